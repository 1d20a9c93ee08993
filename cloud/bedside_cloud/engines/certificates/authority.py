"""X.509 as functions: P-256 everywhere, times passed in, nothing read or written."""

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey
Certificate = x509.Certificate

ROOT_LIFE = timedelta(days=3650 * 2)
ISSUING_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=90)
SERVICE_LIFE = timedelta(days=90)
HUB_LIFE = timedelta(days=30)

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

BACKDATED = timedelta(minutes=5)
"""Certificates begin this long before they are made: a hub's clock may be a little slow."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and the key that belongs to it."""

    certificate: Certificate
    key: PrivateKey


def new_key() -> PrivateKey:
    """A new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def make_root(now: datetime) -> Issued:
    """A self-signed root. Its key signs issuing authorities and is otherwise kept away."""
    key = new_key()
    name = _name("Bedside root")
    builder = _authority(_builder(name, name, key.public_key(), now, ROOT_LIFE), path_length=1)
    return Issued(_signed(builder, key.public_key(), key), key)


def make_issuing(root: Issued, now: datetime, key: PrivateKey | None = None) -> Issued:
    """The authority that issues what servers, services and hubs hold, with that key or a new one."""
    key = key or new_key()
    builder = _builder(_name("Bedside issuing"), root.certificate.subject, key.public_key(), now, ISSUING_LIFE)
    return Issued(_signed(_authority(builder, path_length=0), root.key.public_key(), root.key), key)


def issue_server(issuing: Issued, names: tuple[str, ...], now: datetime) -> Issued:
    """A certificate for a listener that is reached under `names` (host names or IP addresses)."""
    key = new_key()
    builder = _leaf(issuing, names[0], key.public_key(), now, SERVER_LIFE, ExtendedKeyUsageOID.SERVER_AUTH)
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    return Issued(
        _signed(builder.add_extension(alternatives, critical=False), issuing.key.public_key(), issuing.key), key
    )


def issue_service(issuing: Issued, service: str, now: datetime) -> Issued:
    """A certificate that a service signs documents with; its CN is the service's name."""
    key = new_key()
    builder = _leaf(issuing, service, key.public_key(), now, SERVICE_LIFE, ExtendedKeyUsageOID.CODE_SIGNING)
    return Issued(_signed(builder, issuing.key.public_key(), issuing.key), key)


def issue_hub(
    issuing: Issued, hub_id: str, public_key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta = HUB_LIFE
) -> Certificate:
    """A client certificate whose CN is the hub's id; the key stays on the hub."""
    builder = _leaf(issuing, hub_id, public_key, now, life, ExtendedKeyUsageOID.CLIENT_AUTH)
    return _signed(builder, issuing.key.public_key(), issuing.key)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _authority(builder: x509.CertificateBuilder, path_length: int) -> x509.CertificateBuilder:
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True).add_extension(
        _key_usage(signs_certificates=True), critical=True
    )


def _leaf(
    issuing: Issued,
    common_name: str,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
    purpose: x509.ObjectIdentifier,
) -> x509.CertificateBuilder:
    return (
        _builder(_name(common_name), issuing.certificate.subject, public_key, now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )


def _signed(builder: x509.CertificateBuilder, issuer_key: ec.EllipticCurvePublicKey, key: PrivateKey) -> Certificate:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key)
    return builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256())


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def common_name(certificate: Certificate) -> str:
    """The one CN of a certificate; ValueError when there is none or more than one."""
    values = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(values) != 1 or not isinstance(values[0].value, str):
        raise ValueError("the certificate has not exactly one common name")
    return values[0].value


def may_be_client(certificate: Certificate) -> bool:
    """Whether the certificate was issued for a client: a server's or a service's must not pass for a hub's."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage


def is_issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether the issuer's key signed the certificate, and the names fit. Dates are the caller's."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def issued_at(certificate: Certificate) -> datetime:
    """When it was made, in whole seconds."""
    return certificate.not_valid_before_utc + BACKDATED


def serial_hex(certificate: Certificate) -> str:
    """The serial number as lower-case hexadecimal without leading zeros."""
    return f"{certificate.serial_number:x}"


def key_sha256(public_key: ec.EllipticCurvePublicKey) -> bytes:
    """SHA-256 of the key as SubjectPublicKeyInfo."""
    spki = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def public_key(certificate: Certificate) -> ec.EllipticCurvePublicKey:
    """The certificate's key; ValueError when it is not an elliptic curve key."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("not an elliptic curve key")
    return key


def certificate_pem(*certificates: Certificate) -> bytes:
    """The certificates as PEM, one after the other."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def certificate_der(certificate: Certificate) -> bytes:
    """The certificate as DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def certificates_from_pem(text: bytes) -> list[Certificate]:
    """Every certificate in `text`; ValueError when there is none."""
    return x509.load_pem_x509_certificates(text)


def certificate_from_der(der: bytes) -> Certificate:
    """The certificate; ValueError when it is none."""
    return x509.load_der_x509_certificate(der)


def key_pem(key: PrivateKey, passphrase: str | None = None) -> bytes:
    """The key as PKCS#8 PEM, encrypted when there is a passphrase."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def key_from_pem(text: bytes, passphrase: str | None = None) -> PrivateKey:
    """The key in `text`; ValueError when it is not an elliptic curve key or the passphrase is wrong."""
    key = serialization.load_pem_private_key(text, None if passphrase is None else passphrase.encode())
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an elliptic curve key")
    return key


def certificates_only(certificates: list[Certificate]) -> bytes:
    """A certs-only CMS Signed-Data in DER, as EST answers (RFC 7030, 4.1.3)."""
    return pkcs7.serialize_certificates(certificates, serialization.Encoding.DER)


def belong_together(issued: Issued) -> bool:
    """Whether the key is the certificate's: an interrupted renewal leaves a new key beside an old certificate."""
    return issued.certificate.public_key() == issued.key.public_key()


def alternative_names(certificate: Certificate) -> set[str]:
    """The host names and addresses that a server's certificate is good for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in names}


def derived_key(secret: str) -> PrivateKey:
    """The P-256 key that a random secret of at least 256 bits stands for, the same every time."""
    number = int.from_bytes(hashlib.sha512(b"bedside key " + secret.encode()).digest())
    return ec.derive_private_key(number % (P256_ORDER - 1) + 1, ec.SECP256R1())


def fingerprint(certificate: Certificate) -> str:
    """SHA-256 of the certificate in DER, lower-case hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()
