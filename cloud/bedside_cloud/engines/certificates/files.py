"""The certificates as files in the state directory.

ca.pem               the root's certificate: what everyone trusts
issuing.pem          the issuing authority's certificate
root.key             encrypted; needed only to make another issuing authority: keep it elsewhere
issuing.key          encrypted, or the PKCS #11 URI of a key in a token; identity reads it
earlier-<serial>.*   issuing authorities before it: what they issued is still in force
next.*               the next one, while it takes the place of the present one
<server>.pem/.key    broker, gateway, est: leaf with chain, renewed at start
registry.pem/.key    what care plans are signed with
"""

import os
from datetime import datetime
from pathlib import Path

from bedside_cloud.engines.certificates import authority
from bedside_cloud.engines.certificates.authority import Certificate, Issued, PrivateKey
from bedside_cloud.engines.certificates.token import SCHEME, TokenKey, TokenUri, make_token_key

SERVERS = ("broker", "gateway", "est")
SIGNING_SERVICES = ("registry",)
EARLIER, NEXT = "earlier-", "next"


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
        self._finish_rotation()
        issuing = self.issuing(issuing_passphrase)
        for server in SERVERS:
            if self._is_due(server, issuing, now, names):
                self._store(server, authority.issue_server(issuing, names, now), issuing)
        for service in SIGNING_SERVICES:
            if self._is_due(service, issuing, now):
                self._store(service, authority.issue_service(issuing, service, now), issuing)

    def rotate(
        self, root_passphrase: str, issuing_passphrase: str, now: datetime, token: TokenUri | None = None
    ) -> Certificate:
        """Make another issuing authority, which issues from the next start on; what the present one issued stays good.

        Its key is made in the `token`, under a name that is free there, or lies in a file. Nobody else may use the
        folder meanwhile. FileNotFoundError without the root's key, ValueError for a wrong passphrase, TokenError:
        nothing has changed then. A power cut leaves the present authority, or the next.
        """
        self._finish_rotation()
        root_key = authority.key_from_pem(self.key_file("root").read_bytes(), root_passphrase)
        present = self.issuing(issuing_passphrase)
        key = authority.new_key() if token is None else make_token_key(token)
        following = authority.make_issuing(Issued(self.root(), root_key), now, key)
        earlier = EARLIER + authority.serial_hex(present.certificate)
        _write(self.key_file(earlier), self.key_file("issuing").read_bytes())
        _write(self.certificate_file(earlier), self.certificate_file("issuing").read_bytes())
        kept = authority.key_pem(key, issuing_passphrase) if token is None else str(token).encode()
        _write(self.key_file(NEXT), kept)
        # From here on the next one is the one: what is left to do can be done again.
        _write(self.certificate_file(NEXT), authority.certificate_pem(following.certificate))
        self._finish_rotation()
        return following.certificate

    def earlier(self, passphrase: str) -> tuple[Issued, ...]:
        """The issuing authorities before the present one, with their keys: they sign lists of what is refused."""
        found = []
        for file in sorted(self._folder.glob(f"{EARLIER}*.pem")):
            certificate = authority.certificates_from_pem(file.read_bytes())[0]
            found.append(Issued(certificate, _key(file.with_suffix(".key"), passphrase, certificate)))
        return tuple(found)

    def _finish_rotation(self) -> None:
        if not self.certificate_file(NEXT).exists():
            return
        if self.key_file(NEXT).exists():
            self.key_file(NEXT).replace(self.key_file("issuing"))
        self.certificate_file(NEXT).replace(self.certificate_file("issuing"))

    def root(self) -> Certificate:
        """The root's certificate."""
        return authority.certificates_from_pem(self.ca_file.read_bytes())[0]

    def issuing(self, passphrase: str) -> Issued:
        """The issuing authority with its key; ValueError for a wrong passphrase. A token is asked when it signs."""
        certificate = authority.certificates_from_pem(self.certificate_file("issuing").read_bytes())[0]
        return Issued(certificate, _key(self.key_file("issuing"), passphrase, certificate))

    def leaf(self, name: str) -> tuple[Issued, list[Certificate]]:
        """A leaf with its key, and its chain, leaf first, ending below the root."""
        chain = authority.certificates_from_pem(self.certificate_file(name).read_bytes())
        return Issued(chain[0], authority.key_from_pem(self.key_file(name).read_bytes())), chain

    def _is_due(self, name: str, issuing: Issued, now: datetime, names: tuple[str, ...] = ()) -> bool:
        if not self.certificate_file(name).exists() or not self.key_file(name).exists():
            return True
        issued, _ = self.leaf(name)
        if not authority.belong_together(issued) or not authority.is_issued_by(issued.certificate, issuing.certificate):
            return True
        begin, end = issued.certificate.not_valid_before_utc, issued.certificate.not_valid_after_utc
        return now > begin + (end - begin) * 2 / 3 or not authority.alternative_names(issued.certificate) >= set(names)

    def _store(self, name: str, issued: Issued, issuing: Issued) -> None:
        _write(self.key_file(name), authority.key_pem(issued.key))
        _write(self.certificate_file(name), authority.certificate_pem(issued.certificate, issuing.certificate))


def _key(path: Path, passphrase: str, certificate: Certificate) -> PrivateKey:
    content = path.read_bytes()
    if content.startswith(SCHEME.encode()):
        return TokenKey(TokenUri.from_text(content.decode()), authority.public_key(certificate))
    return authority.key_from_pem(content, passphrase)


def _write(path: Path, content: bytes) -> None:
    """Replace the file whole, mode 0600."""
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
