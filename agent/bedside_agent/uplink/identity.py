"""Who this hub is, on the disk: key, certificate, chain and the root it trusts. Every write is whole or not at all."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from bedside_agent import trust
from bedside_agent.errors import IdentityError, UntrustedError
from bedside_agent.uplink.dates import client_context
from bedside_agent.whole_file import write_whole

FIX = "bedside-agent init --claim TEXT"


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity directory. `chain.pem` is the hub's certificate followed by its issuers: what TLS presents."""

    directory: Path

    @property
    def key(self) -> Path:
        """The private key, PEM, mode 0600. It never leaves the hub."""
        return self.directory / "key.pem"

    @property
    def certificate(self) -> Path:
        """The hub's certificate alone, PEM."""
        return self.directory / "certificate.pem"

    @property
    def chain(self) -> Path:
        """The hub's certificate and its issuers, PEM."""
        return self.directory / "chain.pem"

    @property
    def root(self) -> Path:
        """The one root this hub trusts, PEM."""
        return self.directory / "ca.pem"

    def root_der(self) -> bytes:
        """The root, DER; IdentityError if it is missing or none."""
        return trust.certificate_from_pem(self._read(self.root))

    def is_enrolled(self) -> bool:
        """Whether key and certificate are there and belong together."""
        try:
            return trust.belongs_to(self._read(self.key), trust.certificate_from_pem(self._read(self.certificate)))
        except (IdentityError, UntrustedError):
            return False

    def key_pem(self) -> bytes:
        """The private key, made now if there is none: an enrolment that is repeated asks for the same key."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.key.exists():
            write_whole(self.key, trust.new_key(), mode=0o600)
        return self._read(self.key)

    def keep(self, certificate: bytes, issuers: tuple[bytes, ...], root: bytes) -> None:
        """Write what the cloud issued (DER). The certificate comes last: without it the hub is not enrolled."""
        write_whole(self.root, trust.to_pem([root]))
        write_whole(self.chain, trust.to_pem([certificate, *issuers]))
        write_whole(self.certificate, trust.to_pem([certificate]))

    def tls_context(self, floor_ms: int | None = None) -> ssl.SSLContext:
        """Mutual TLS: presents the hub's chain and trusts the hub's root alone, with the server's name checked.

        `floor_ms` for a hub that does not know the time: it is not earlier than that (UTC), nor than the day on which
        its own certificate was issued. None checks dates by the kernel's clock.
        """
        if floor_ms is not None:
            own = trust.certificate_from_pem(self._read(self.certificate))
            floor_ms = max(floor_ms, round(trust.valid_from(own).timestamp() * 1000))
        context = client_context(floor_ms)
        try:
            context.load_verify_locations(self.root)
            context.load_cert_chain(self.chain, self.key)
        except (OSError, ssl.SSLError) as cause:
            raise IdentityError(
                f"the hub's identity cannot be used: {cause}",
                cause="the hub is not enrolled, or a file is damaged",
                fix=FIX,
            ) from cause
        return context

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as cause:
            raise IdentityError(
                f"{path} cannot be read", cause="the hub is not enrolled, or another user runs this", fix=FIX
            ) from cause
