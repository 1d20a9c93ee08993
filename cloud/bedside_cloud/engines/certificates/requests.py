"""A hub's certificate request (PKCS#10): what may be certified and what not."""

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class RequestError(ValueError):
    """The request cannot be certified; the text says why in a sentence."""


@dataclass(frozen=True, slots=True)
class HubRequest:
    """What a sound request asks for: a certificate for `key`. `hub_serial` is the computer's own number, if told."""

    key: ec.EllipticCurvePublicKey
    sha256: bytes
    hub_serial: str | None


def hub_request(csr_der: bytes, hub_id: str) -> HubRequest:
    """What is to be certified for `hub_id`. RequestError unless the request is signed by its own P-256 key and asks for
    this hub's name or for none."""
    try:
        request = x509.load_der_x509_csr(csr_der)
        key = request.public_key()
        valid = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as cause:
        raise RequestError("The request is not a PKCS#10 certificate request.") from cause
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RequestError("The request's key is not on the curve P-256.")
    if not valid:
        raise RequestError("The request is not signed with its own key.")
    names = [attribute.value for attribute in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names not in ([], [hub_id]):
        raise RequestError("The request names another hub.")
    serials = [attribute.value for attribute in request.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)]
    serial = serials[0] if serials and isinstance(serials[0], str) else None
    return HubRequest(key, hashlib.sha256(csr_der).digest(), serial)
