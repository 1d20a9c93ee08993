"""What a service is told at its start. Built from the state directory by `supervisor.service`, never read at import."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bedside_cloud.bus.link import BusSettings
from bedside_cloud.database.pool import DatabaseSettings
from bedside_cloud.engines.certificates.files import CertificateFiles
from bedside_cloud.secret import Secret

DEFAULT_STATE = Path("bedside-cloud")
"""Where a command looks when it is told nothing: below the current folder."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Listeners, picked free at the first start and kept: hubs remember them.

    `gateway` (console and API) and `postgres` and `bus` are on the loopback interface; `hubs` (MQTT over TLS) and
    `est` (enrolment over TLS) are on `ServiceSettings.listen`.
    """

    postgres: int
    bus: int
    hubs: int
    gateway: int
    est: int


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Everything a service's `main` gets.

    `instance` tells replicas apart (`identity-2`); `folder` is the instance's own, for what may be lost.
    `listen` is the address that hubs come to, `names` the names and addresses that the servers' certificates bear.
    `secrets` holds what this service alone needs; `system_bus` is identity's access to the broker's system account.
    """

    service: str
    instance: str
    folder: Path
    database: DatabaseSettings
    bus: BusSettings
    certificates: CertificateFiles
    ports: Ports
    listen: str
    names: tuple[str, ...]
    secrets: Mapping[str, Secret]
    system_bus: BusSettings | None = None
