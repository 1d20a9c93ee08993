"""Signatures over documents for hubs."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bedside_cloud.engines.certificates.authority import Certificate, PrivateKey


def sign(key: PrivateKey, data: bytes) -> bytes:
    """ECDSA with SHA-256 over `data`, in DER."""
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def is_signed_by(certificate: Certificate, data: bytes, signature: bytes) -> bool:
    """Whether the certificate's key made `signature` over `data`."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
