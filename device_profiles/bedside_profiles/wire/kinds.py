"""Types that several messages share."""

from typing import Annotated

from bedside_profiles import bounds
from bedside_profiles.bounds import Between, Shape
from bedside_profiles.wire.topics import HUB_ID_PATTERN

SCHEMA_VERSION = 1
"""Major version of every message. Adding a field with a default does not change it."""

Schema = Annotated[int, Between(SCHEMA_VERSION, SCHEMA_VERSION)]
HubId = Annotated[str, Shape(64, HUB_ID_PATTERN)]
StoreId = Annotated[str, Shape(32, r"[0-9a-f]{32}")]
"""Random, new at every opening of the hub's store; with the lane and the sequence it identifies an item."""
BootId = Annotated[str, Shape(36, r"[0-9a-f-]{1,36}")]
DeviceId = bounds.DeviceId
Uuid = Annotated[str, Shape(36, r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")]
Seq = Annotated[int, Between(1, 2**62)]
UtcMs = Annotated[int, Between(0, 253402300799999)]
"""Milliseconds since 1970-01-01 UTC, up to the end of year 9999."""
MonotonicMs = Annotated[int, Between(0, 2**53)]
Sha256 = Annotated[str, Shape(64, r"[0-9a-f]{64}")]
Traceparent = Annotated[str, Shape(55, r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")]
"""W3C Trace Context."""
SeqRange = tuple[Seq, Seq]
"""First and last sequence, both included."""
