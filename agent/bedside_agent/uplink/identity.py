"""Who this hub is, on the disk: key, certificate, chain and the root it trusts. Every write is whole or not at all.

Each renewal is a folder of its own beside what enrolment wrote; a link names the one in use, and is all that changes
when another takes its place.
"""

import contextlib
import os
import shutil
import ssl
from dataclasses import dataclass
from pathlib import Path

from bedside_agent import trust
from bedside_agent.errors import IdentityError, UntrustedError
from bedside_agent.uplink.dates import client_context
from bedside_agent.whole_file import write_whole

FIX = "bedside-agent init --claim TEXT"
IN_USE = "in-use"
RENEWAL = "renewal-"


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity directory. `chain.pem` is the hub's certificate followed by its issuers: what TLS presents.

    `trust` is the directory that holds the root, when it is another one.
    """

    directory: Path
    trust: Path | None = None

    @property
    def key(self) -> Path:
        """The private key, PEM, mode 0600. It never leaves the hub."""
        return self._files / "key.pem"

    @property
    def certificate(self) -> Path:
        """The hub's certificate alone, PEM."""
        return self._files / "certificate.pem"

    @property
    def chain(self) -> Path:
        """The hub's certificate and its issuers, PEM."""
        return self._files / "chain.pem"

    @property
    def root(self) -> Path:
        """The one root this hub trusts, PEM."""
        return (self.trust or self.directory) / "ca.pem"

    @property
    def _files(self) -> Path:
        in_use = self.directory / IN_USE
        return in_use.resolve() if in_use.is_symlink() else self.directory

    def following(self) -> "Identity":
        """What is to take the place of the present one; the same until it does."""
        present = self._files.name
        number = int(present.removeprefix(RENEWAL)) + 1 if present.startswith(RENEWAL) else 1
        return Identity(self.directory / f"{RENEWAL}{number}", self.directory)

    def adopt(self, following: "Identity") -> None:
        """Use that one from now on, and forget the present one. A power cut leaves one of the two in use."""
        before = self._files
        link, beside = self.directory / IN_USE, self.directory / f"{IN_USE}.part"
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        beside.symlink_to(following.directory.name)
        beside.replace(link)
        _sync(self.directory)
        if before == self.directory:
            for name in ("key.pem", "certificate.pem", "chain.pem"):
                (before / name).unlink(missing_ok=True)
        else:
            shutil.rmtree(before, ignore_errors=True)

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

    def validity_ms(self) -> tuple[int, int]:
        """From when until when (UTC) the hub's certificate is in force; IdentityError when it cannot be read."""
        own = trust.certificate_from_pem(self._read(self.certificate))
        begin, end = trust.valid_from(own), trust.valid_until(own)
        return round(begin.timestamp() * 1000), round(end.timestamp() * 1000)

    def keep(self, certificate: bytes, issuers: tuple[bytes, ...], root: bytes) -> None:
        """Write what the cloud issued (DER). The certificate comes last: without it the hub is not enrolled."""
        if self.trust is None:
            write_whole(self.root, trust.to_pem([root]))
            # What was to take the place of the certificate before is of no use any more.
            shutil.rmtree(self.following().directory, ignore_errors=True)
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


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
