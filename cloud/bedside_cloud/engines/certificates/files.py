"""The certificates as files in the state directory.

ca.pem               the root's certificate: what everyone trusts
issuing.pem          the issuing authority's certificate
root.key             encrypted; needed only to make another issuing authority: keep it elsewhere
issuing.key          encrypted; identity reads it
<server>.pem/.key    broker, gateway, est: leaf with chain, renewed at start
registry.pem/.key    what care plans are signed with
"""

import os
from datetime import datetime
from pathlib import Path

from bedside_cloud.engines.certificates import authority
from bedside_cloud.engines.certificates.authority import Certificate, Issued

SERVERS = ("broker", "gateway", "est")
SIGNING_SERVICES = ("registry",)


class CertificateFiles:
    """What lies in one folder. Passphrases come from the state's secrets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def ca_file(self) -> Path:
        """The root's certificate."""
        return self._folder / "ca.pem"

    def certificate_file(self, name: str) -> Path:
        """A leaf with its chain below the root."""
        return self._folder / f"{name}.pem"

    def key_file(self, name: str) -> Path:
        """The leaf's key, mode 0600."""
        return self._folder / f"{name}.key"

    def prepare(self, names: tuple[str, ...], root_passphrase: str, issuing_passphrase: str, now: datetime) -> None:
        """Make what is missing and renew what has used up two thirds of its life or lacks one of `names`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.certificate_file("issuing").exists():
            root = authority.make_root(now)
            issuing = authority.make_issuing(root, now)
            _write(self.key_file("root"), authority.key_pem(root.key, root_passphrase))
            _write(self.key_file("issuing"), authority.key_pem(issuing.key, issuing_passphrase))
            _write(self.ca_file, authority.certificate_pem(root.certificate))
            # Written last: it is what says that all of the above is whole.
            _write(self.certificate_file("issuing"), authority.certificate_pem(issuing.certificate))
        issuing = self.issuing(issuing_passphrase)
        for server in SERVERS:
            if self._is_due(server, now, names):
                self._store(server, authority.issue_server(issuing, names, now), issuing)
        for service in SIGNING_SERVICES:
            if self._is_due(service, now):
                self._store(service, authority.issue_service(issuing, service, now), issuing)

    def root(self) -> Certificate:
        """The root's certificate."""
        return authority.certificates_from_pem(self.ca_file.read_bytes())[0]

    def issuing(self, passphrase: str) -> Issued:
        """The issuing authority with its key; ValueError for a wrong passphrase."""
        certificate = authority.certificates_from_pem(self.certificate_file("issuing").read_bytes())[0]
        return Issued(certificate, authority.key_from_pem(self.key_file("issuing").read_bytes(), passphrase))

    def leaf(self, name: str) -> tuple[Issued, list[Certificate]]:
        """A leaf with its key, and its chain, leaf first, ending below the root."""
        chain = authority.certificates_from_pem(self.certificate_file(name).read_bytes())
        return Issued(chain[0], authority.key_from_pem(self.key_file(name).read_bytes())), chain

    def _is_due(self, name: str, now: datetime, names: tuple[str, ...] = ()) -> bool:
        if not self.certificate_file(name).exists() or not self.key_file(name).exists():
            return True
        issued, _ = self.leaf(name)
        if not authority.belong_together(issued):
            return True
        begin, end = issued.certificate.not_valid_before_utc, issued.certificate.not_valid_after_utc
        return now > begin + (end - begin) * 2 / 3 or not authority.alternative_names(issued.certificate) >= set(names)

    def _store(self, name: str, issued: Issued, issuing: Issued) -> None:
        _write(self.key_file(name), authority.key_pem(issued.key))
        _write(self.certificate_file(name), authority.certificate_pem(issued.certificate, issuing.certificate))


def _write(path: Path, content: bytes) -> None:
    """Replace the file whole, mode 0600."""
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
