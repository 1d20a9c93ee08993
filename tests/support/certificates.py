"""A small certificate authority: root, issuing certificate, and whatever leaf a test needs. Keys are P-256."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bedside_profiles.wire.careplan import CarePlan
from bedside_profiles.wire.command import Command
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import encode
from bedside_profiles.wire.signed import DocumentKind, SignedDocument, signing_input

PURPOSES = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
EPOCH = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
END = dt.datetime(2050, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Leaf:
    """A certificate with its key and its issuers below the root."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    issuers: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        return der(self.certificate)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def chain_pem(self) -> bytes:
        return b"".join(pem(one) for one in (self.certificate, *self.issuers))

    def sign(self, message: CarePlan | Command) -> SignedDocument:
        """The message as the registry would sign it."""
        kind = DocumentKind.CARE_PLAN if isinstance(message, CarePlan) else DocumentKind.COMMAND
        return self.sign_body(kind, encode(message))

    def sign_body(self, kind: DocumentKind, body: bytes) -> SignedDocument:
        """Whatever body, as the registry would sign it."""
        signature = self.key.sign(signing_input(kind, body), ec.ECDSA(hashes.SHA256()))
        return SignedDocument(SCHEMA_VERSION, kind, body, (self.der, *(der(one) for one in self.issuers)), signature)


class Authority:
    """A root and one issuing certificate below it."""

    def __init__(self) -> None:
        self.root = self._make("Test root", None, authority=True)
        self.issuing = self._make("Test issuing", self.root, authority=True)

    def leaf(
        self,
        common_name: str,
        *,
        start: dt.datetime = EPOCH,
        end: dt.datetime = END,
        issuer: Leaf | None = None,
        host: str = "localhost",
        purposes: Sequence[x509.ObjectIdentifier] = PURPOSES,
    ) -> Leaf:
        """A certificate for `common_name`, as a server for `host`; for localhost also for loopback's address."""
        return self._make(
            common_name, issuer or self.issuing, authority=False, start=start, end=end, host=host, purposes=purposes
        )

    def signer(self, common_name: str = "registry", *, end: dt.datetime = END, issuer: Leaf | None = None) -> Leaf:
        """A certificate that may sign documents."""
        return self.leaf(common_name, end=end, issuer=issuer, purposes=[ExtendedKeyUsageOID.CODE_SIGNING])

    def sign_request(self, request_der: bytes) -> x509.Certificate:
        """What an enrolment server makes of a request."""
        request = x509.load_der_x509_csr(request_der)
        assert request.is_signature_valid
        return self._build(request.subject, request.public_key(), self.issuing, authority=False)

    def write(self, directory: Path, leaf: Leaf) -> None:
        """The identity directory of a hub, or the like of a server."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / "key.pem").write_bytes(leaf.key_pem)
        (directory / "key.pem").chmod(0o600)
        (directory / "certificate.pem").write_bytes(pem(leaf.certificate))
        (directory / "chain.pem").write_bytes(leaf.chain_pem)
        (directory / "ca.pem").write_bytes(pem(self.root.certificate))

    def server_context(self, directory: Path, leaf: Leaf) -> ssl.SSLContext:
        """TLS for a server that asks for no client certificate."""
        self.write(directory, leaf)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "chain.pem", directory / "key.pem")
        return context

    def _make(
        self,
        common_name: str,
        issuer: Leaf | None,
        *,
        authority: bool,
        start: dt.datetime = EPOCH,
        end: dt.datetime = END,
        host: str = "localhost",
        purposes: Sequence[x509.ObjectIdentifier] = PURPOSES,
    ) -> Leaf:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        certificate = self._build(
            subject,
            key.public_key(),
            issuer,
            authority=authority,
            own_key=key,
            start=start,
            end=end,
            host=host,
            purposes=purposes,
        )
        below_root = () if issuer is None or issuer is getattr(self, "root", None) else (issuer.certificate,)
        return Leaf(certificate, key, (*below_root, *(issuer.issuers if issuer else ())))

    def _build(
        self,
        subject: x509.Name,
        public_key: object,
        issuer: Leaf | None,
        *,
        authority: bool,
        own_key: ec.EllipticCurvePrivateKey | None = None,
        start: dt.datetime = EPOCH,
        end: dt.datetime = END,
        host: str = "localhost",
        purposes: Sequence[x509.ObjectIdentifier] = PURPOSES,
    ) -> x509.Certificate:
        assert isinstance(public_key, ec.EllipticCurvePublicKey)
        signer = issuer.key if issuer else own_key
        assert signer is not None
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if authority:
            usage = x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            )
            builder = builder.add_extension(usage, critical=True)
        else:
            names: list[x509.GeneralName] = [x509.DNSName(host)]
            if host == "localhost":
                names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        return builder.sign(signer, hashes.SHA256())


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
