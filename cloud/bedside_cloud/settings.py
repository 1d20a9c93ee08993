"""What one service process is started with."""

from dataclasses import dataclass
from pathlib import Path

from bedside_cloud.bus.connection import BusSettings
from bedside_cloud.database.pool import DatabaseSettings


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """`bus` and `database` are the service's own credentials; `state` is the cloud's state directory."""

    service: str
    state: Path
    bus: BusSettings
    database: DatabaseSettings
