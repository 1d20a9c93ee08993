"""Keys, certificates, signatures and sealed bytes: the only importer of cryptography."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bedside_agent.errors import IdentityError, UntrustedError

MOST_INTERMEDIATES = 4
"""Longer chains are a mistake or an attack; each link costs a signature check."""


def new_key() -> bytes:
    """A fresh P-256 private key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate_request(key_pem: bytes, common_name: str, serial_number: str | None = None) -> bytes:
    """A PKCS#10 request for `common_name`, DER, signed by the key. It names the computer where that has a number."""
    names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if serial_number is not None:
        names.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, serial_number))
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(names))
        .sign(_private_key(key_pem), hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.DER)


def certificates_in_pkcs7(der: bytes) -> tuple[bytes, ...]:
    """The certificates of a certs-only PKCS#7, each DER; UntrustedError if it is not one."""
    # It brings the standard library's whole e-mail policy with it, and only an enrolment reads such an answer.
    from cryptography.hazmat.primitives.serialization import pkcs7

    try:
        found = pkcs7.load_der_pkcs7_certificates(der)
    except (ValueError, UnsupportedAlgorithm) as cause:
        raise UntrustedError("the answer holds no certificates") from cause
    return tuple([certificate.public_bytes(serialization.Encoding.DER) for certificate in found])


def certificate_from_pem(pem: bytes) -> bytes:
    """The first certificate of a PEM text as DER; IdentityError if there is none."""
    try:
        return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    except ValueError as cause:
        raise IdentityError("the file holds no certificate") from cause


def to_pem(certificates: Sequence[bytes]) -> bytes:
    """DER certificates as one PEM text."""
    return b"".join(_load(der).public_bytes(serialization.Encoding.PEM) for der in certificates)


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a DER certificate, lower-case hexadecimal."""
    return _load(certificate).fingerprint(hashes.SHA256()).hex()


def belongs_to(key_pem: bytes, certificate: bytes) -> bool:
    """Whether the certificate is for this private key."""
    own = _private_key(key_pem).public_key()
    return _load(certificate).public_key() == own


def valid_from(certificate: bytes) -> datetime:
    """When the certificate begins to be valid, UTC."""
    return _load(certificate).not_valid_before_utc


def valid_until(certificate: bytes) -> datetime:
    """When the certificate expires, UTC."""
    return _load(certificate).not_valid_after_utc


def verify_chain(leaf: bytes, others: Sequence[bytes], root: bytes, at_ms: int | None) -> tuple[str, tuple[bytes, ...]]:
    """The leaf's common name and its issuers below the root, each signed by the next up to `root`.

    `at_ms` (UTC) is when every certificate must be valid; None leaves dates out, for a clock that knows none.
    UntrustedError otherwise.
    """
    anchor = _load(root)
    pool = [_load(der) for der in others]
    chain = [_load(leaf)]
    while not _is_issued_by(chain[-1], anchor):
        issuer = next((one for one in pool if one not in chain and _is_issued_by(chain[-1], one)), None)
        if issuer is None or len(chain) > MOST_INTERMEDIATES:
            raise UntrustedError("the certificate does not lead to the root that this hub trusts")
        chain.append(issuer)
    for issuer in (*chain[1:], anchor):
        _check_is_authority(issuer)
    if at_ms is not None:
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        for certificate in (*chain, anchor):
            if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
                raise UntrustedError("a certificate of the chain is not valid at that time")
    names = chain[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise UntrustedError("the certificate has no common name, or several")
    return str(names[0].value), tuple([one.public_bytes(serialization.Encoding.DER) for one in chain[1:]])


def verify_signature(certificate: bytes, signature: bytes, message: bytes) -> None:
    """UntrustedError unless `signature` is ECDSA with SHA-256 over `message` by the key of a signing certificate.

    A signing certificate has the extended key usage codeSigning: the name alone would let a hub sign that was enrolled
    under the signer's name.
    """
    signer = _load(certificate)
    try:
        usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError) as cause:
        raise UntrustedError("the certificate is not for signing") from cause
    if ExtendedKeyUsageOID.CODE_SIGNING not in usage:
        raise UntrustedError("the certificate is not for signing")
    key = signer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise UntrustedError("the signer's key is of another kind")
    try:
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as cause:
        raise UntrustedError("the signature is wrong") from cause


NONCE_BYTES = 12


def seal(key: bytes, plain: bytes, about: bytes) -> bytes:
    """AES-GCM under a fresh random nonce, which comes first; `about` is bound to it and not stored.

    Random and never counted: a transaction that was cut leaves its bytes in the log and its sequence is used again, so
    that anything derived from the sequence would seal two texts under one nonce.
    """
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, about)


def unseal(key: bytes, sealed: bytes, about: bytes) -> bytes:
    """What `seal` was given; UntrustedError when a single bit of it or of `about` is another."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about)
    except (InvalidTag, ValueError) as cause:
        raise UntrustedError("the sealed bytes were changed, or belong to another key") from cause


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _check_is_authority(certificate: x509.Certificate) -> None:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError) as cause:
        raise UntrustedError("an issuer in the chain is no certificate authority") from cause
    if not constraints.ca:
        raise UntrustedError("an issuer in the chain is no certificate authority")


def _load(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as cause:
        raise UntrustedError("not a certificate") from cause


def _private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as cause:
        raise IdentityError("the hub's key cannot be read", fix="bedside-agent init with a new claim") from cause
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise IdentityError("the hub's key is of another kind", fix="bedside-agent init with a new claim")
    return key
