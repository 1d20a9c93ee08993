"""MQTT topics `bedside/v1/hubs/{hub_id}/{lane}` and the NATS subjects they map to.

Hub ids are `[a-z0-9-]` only, because a broker may map topic levels to subject tokens.
"""

import re
from enum import StrEnum

from bedside_profiles.errors import MalformedError

PREFIX = "bedside/v1/hubs"
SUBJECT_PREFIX = PREFIX.replace("/", ".")
HUB_ID_PATTERN = r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?"
_HUB_ID = re.compile(HUB_ID_PATTERN)


class UpLane(StrEnum):
    """What a hub may publish, under its own id."""

    ALARMS = "alarms"
    READINGS = "readings"
    WAVEFORMS = "waveforms"
    EVENTS = "events"
    STATUS = "status"
    REPLIES = "replies"


class DownLane(StrEnum):
    """What a hub may subscribe to, under its own id."""

    RECEIPTS = "receipts"
    CAREPLAN = "careplan"
    COMMANDS = "commands"
    ALERTS = "alerts"


_LANES: dict[str, UpLane | DownLane] = {lane.value: lane for lane in (*UpLane, *DownLane)}

SEQUENCED = (UpLane.ALARMS, UpLane.READINGS, UpLane.WAVEFORMS, UpLane.EVENTS)
"""Lanes whose items have a sequence and are kept by the hub until a receipt covers them."""


def check_hub_id(hub_id: str) -> str:
    """Return `hub_id` if it may stand in a topic, a certificate's CN and an MQTT client id."""
    if not _HUB_ID.fullmatch(hub_id):
        raise MalformedError("hub_id", "1 to 64 of a-z, 0-9 and -, not beginning or ending with -")
    return hub_id


def topic(hub_id: str, lane: UpLane | DownLane) -> str:
    """The MQTT topic of one lane of one hub."""
    return f"{PREFIX}/{check_hub_id(hub_id)}/{lane.value}"


def subject(hub_id: str, lane: UpLane | DownLane) -> str:
    """The NATS subject that the broker maps `topic(hub_id, lane)` to; `*` stands for every hub."""
    return f"{SUBJECT_PREFIX}.{hub_id if hub_id == '*' else check_hub_id(hub_id)}.{lane.value}"


def parse_topic(text: str) -> tuple[str, UpLane | DownLane]:
    """Hub id and lane of a topic or a subject; MalformedError for anything else."""
    parts = text.replace(".", "/").split("/")
    if len(parts) != 5 or "/".join(parts[:3]) != PREFIX:
        raise MalformedError("topic", f"not below {PREFIX}")
    hub_id = check_hub_id(parts[3])
    lane = _LANES.get(parts[4])
    if lane is None:
        raise MalformedError("topic", "no such lane")
    return hub_id, lane
