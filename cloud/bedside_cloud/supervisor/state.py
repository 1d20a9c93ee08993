"""The state directory: everything that one installation of the cloud is, made at the first start.

cloud.json             ports, address and names (no secret)
secrets.json           passwords, passphrases, keys (mode 0600)
certificates/          see engines.certificates.files
bus/<user>.seed        one key for each bus user (mode 0600)
postgres/ broker/      the engines' data
services/<instance>/   what a service may lose
logs/                  one file a process
status.json            what `up` is doing now
lock                   held by the one process that may change all this
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bedside_cloud.bus.link import BusSettings
from bedside_cloud.contracts.service_map import SERVICES
from bedside_cloud.database.pool import DatabaseSettings
from bedside_cloud.engines.broker import SYSTEM_USER, Broker, BrokerSecrets
from bedside_cloud.engines.certificates.files import CertificateFiles
from bedside_cloud.engines.keys import new_account_seed, new_user_seed
from bedside_cloud.engines.postgres import Postgres
from bedside_cloud.engines.reachable import free_ports
from bedside_cloud.errors import OperatorError
from bedside_cloud.secret import Secret
from bedside_cloud.settings import Ports, ServiceSettings

SCHEMA = 1
BUS_USERS = (*(service.name for service in SERVICES), SYSTEM_USER)
SECRETS = "secrets.json"
EARLIER = "earlier.bus."
"""How the names of keys begin that are good while services change to new ones."""

SECRETS_OF_SERVICE = {"identity": ("ca.issuing", "bus.callout", "identity.tokens")}
"""Which secrets beside its bus seed and its database password a service is given."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the cloud is found: `listen` is the IP address for hubs, `names` what its certificates bear."""

    listen: str
    names: tuple[str, ...]
    ports: Ports


class State:
    """An existing state directory. `State.make` makes or completes one, `State.open` only reads."""

    def __init__(self, directory: Path, place: Place, texts: dict[str, str]) -> None:
        self.directory = directory
        self.place = place
        self._secrets = texts
        self._earlier_are_good = False

    @classmethod
    def open(cls, directory: Path) -> "State":
        """The state in `directory`; OperatorError when there is none."""
        try:
            place = _place(json.loads((directory / "cloud.json").read_text(encoding="utf-8")))
            texts = json.loads((directory / SECRETS).read_text(encoding="utf-8"))
        except FileNotFoundError as cause:
            raise OperatorError(
                f"There is no cloud in {directory}.",
                "It was never started there, or --state names another folder.",
                f"Start it: bedside-cloud up --state {directory}",
            ) from cause
        except PermissionError as cause:
            raise OperatorError(
                f"The cloud's state in {directory} cannot be read.",
                "It belongs to another user.",
                "Run the command as the user who started the cloud.",
            ) from cause
        return cls(directory, place, texts)

    @classmethod
    def make(cls, directory: Path, listen: str | None = None, names: tuple[str, ...] = ()) -> "State":
        """Make what is missing. `listen` and `names`, when given, change what was there. Hold the lock."""
        directory = directory.absolute()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        place = _chosen_place(directory, listen, names)
        texts = _complete_secrets(directory)
        state = cls(directory, place, texts)
        for folder in ("bus", "logs", "services"):
            (directory / folder).mkdir(mode=0o700, exist_ok=True)
        state.hand_out_seeds()
        state.certificates.prepare(place.names, texts["ca.root"], texts["ca.issuing"], datetime.now(UTC))
        return state

    @property
    def certificates(self) -> CertificateFiles:
        """The cluster's certificates."""
        return CertificateFiles(self.directory / "certificates")

    @property
    def postgres(self) -> Postgres:
        """The database server."""
        return Postgres(
            self.directory / "postgres", self.place.ports.postgres, Secret(self._secrets["database.superuser"])
        )

    @property
    def broker(self) -> Broker:
        """The broker."""
        files = self.certificates
        return Broker(
            directory=self.directory / "broker",
            listen=self.place.listen,
            bus_port=self.place.ports.bus,
            hub_port=self.place.ports.hubs,
            certificate_file=files.certificate_file("broker"),
            key_file=files.key_file("broker"),
            ca_file=files.ca_file,
        )

    @property
    def broker_secrets(self) -> BrokerSecrets:
        """What the broker's configuration is made with."""
        return BrokerSecrets(
            seeds={user: self._secrets[f"bus.{user}"] for user in BUS_USERS},
            callout_seed=self._secrets["bus.callout"],
            storage_key=self._secrets["broker.storage"],
            earlier_seeds={user: seed for user in BUS_USERS if (seed := self._secrets.get(f"{EARLIER}{user}"))},
            earlier_are_good=self._earlier_are_good,
        )

    @property
    def database_passwords(self) -> dict[str, str]:
        """Password by service."""
        return {service.name: self._secrets[f"database.{service.name}"] for service in SERVICES}

    @property
    def issuing_passphrase(self) -> Secret:
        """What the issuing authority's key is encrypted with."""
        return Secret(self._secrets["ca.issuing"])

    @property
    def root_passphrase(self) -> Secret:
        """What the root's key is encrypted with."""
        return Secret(self._secrets["ca.root"])

    def renew_credentials(self) -> None:
        """A new key and a new password for every service; see `rotation`.

        The earlier keys stay good until they are ended.
        """
        for user in BUS_USERS:
            self._secrets[f"{EARLIER}{user}"] = self._secrets[f"bus.{user}"]
            self._secrets[f"bus.{user}"] = new_user_seed()
        for service in SERVICES:
            self._secrets[f"database.{service.name}"] = _new_password()
        self._earlier_are_good = True
        _write(self.directory / SECRETS, _as_text(self._secrets))

    def hand_out_seeds(self) -> None:
        """Put every bus user's present key where it is read."""
        for user in BUS_USERS:
            _write(self.seed_file(user), self._secrets[f"bus.{user}"])

    def end_earlier_seeds(self) -> None:
        """From the next configuration of the broker on, they are good for nothing."""
        self._earlier_are_good = False

    def seed_file(self, user: str) -> Path:
        """The bus user's key."""
        return self.directory / "bus" / f"{user}.seed"

    def bus_settings(self, user: str) -> BusSettings:
        """How `user` reaches the bus."""
        url = f"tls://127.0.0.1:{self.place.ports.bus}"
        return BusSettings(user, url, self.certificates.ca_file, self.seed_file(user))

    def service_settings(self, service: str, instance: str) -> ServiceSettings:
        """What the service's `main` gets; OperatorError for a service that does not exist."""
        schemas = {entry.name: entry.schema for entry in SERVICES if entry.schema is not None}
        if service not in schemas:
            raise OperatorError(
                f"There is no service {service!r}.", "", f"The services are: {', '.join(sorted(schemas))}."
            )
        folder = self.directory / "services" / instance
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        dsn = self.postgres.dsn(service, self._secrets[f"database.{service}"])
        return ServiceSettings(
            service=service,
            instance=instance,
            folder=folder,
            database=DatabaseSettings(Secret(dsn), schemas[service]),
            bus=self.bus_settings(service),
            certificates=self.certificates,
            ports=self.place.ports,
            listen=self.place.listen,
            names=self.place.names,
            secrets={name: Secret(self._secrets[name]) for name in SECRETS_OF_SERVICE.get(service, ())},
            system_bus=self.bus_settings(SYSTEM_USER) if service == "identity" else None,
        )


@contextmanager
def locked(directory: Path, doing: str) -> Iterator[None]:
    """Be the one process that may change the state directory; OperatorError when another one is."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as cause:
            raise OperatorError(
                f"{doing} is not possible now.",
                f"Another bedside-cloud is at work in {directory}.",
                "Stop it (Ctrl-C in its terminal, or SIGTERM) and try again.",
            ) from cause
        yield
    finally:
        os.close(descriptor)


def is_running(directory: Path) -> bool:
    """Whether some process holds the lock."""
    try:
        with locked(directory, "Looking"):
            return False
    except OperatorError:
        return True


def _chosen_place(directory: Path, listen: str | None, names: tuple[str, ...]) -> Place:
    file = directory / "cloud.json"
    known = _place(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None
    chosen_listen = listen or (known.listen if known else "127.0.0.1")
    base = ("127.0.0.1", "localhost", *(() if chosen_listen in ("127.0.0.1", "0.0.0.0") else (chosen_listen,)))  # noqa: S104
    chosen_names = tuple(dict.fromkeys((*names, *(known.names if known else ()), *base)))
    ports = known.ports if known else Ports(*free_ports(5))
    place = Place(chosen_listen, chosen_names, ports)
    if place != known:
        content = {"schema": SCHEMA, "listen": place.listen, "names": place.names, "ports": asdict(place.ports)}
        _write(file, json.dumps(content, indent=2) + "\n")
    return place


def _place(content: dict[str, object]) -> Place:
    if content.get("schema") != SCHEMA:
        raise OperatorError(
            "The state directory was made by another version of bedside-cloud.",
            f"cloud.json has schema {content.get('schema')}, this program knows {SCHEMA}.",
            "Use the version that made it, or a new folder.",
        )
    ports, names = content["ports"], content["names"]
    if not isinstance(ports, dict) or not isinstance(names, list):
        raise OperatorError("cloud.json is damaged.", "It was edited by hand.", "Restore it from a backup.")
    return Place(str(content["listen"]), tuple(names), Ports(**ports))


def _complete_secrets(directory: Path) -> dict[str, str]:
    file = directory / SECRETS
    known: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    # Everything starts with its present key.
    made = {name: text for name, text in known.items() if not name.startswith(EARLIER)}
    for user in BUS_USERS:
        made.setdefault(f"bus.{user}", new_user_seed())
    made.setdefault("bus.callout", new_account_seed())
    names = ("database.superuser", "broker.storage", "ca.root", "ca.issuing", "identity.tokens")
    for name in (*names, *(f"database.{service.name}" for service in SERVICES)):
        made.setdefault(name, _new_password())
    if made != known:
        _write(file, _as_text(made))
    return made


def _new_password() -> str:
    return secrets.token_urlsafe(32)


def _as_text(texts: dict[str, str]) -> str:
    return json.dumps(texts, indent=2) + "\n"


def _write(path: Path, text: str) -> None:
    """Replace the file whole, mode 0600; untouched when it holds the text already."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
