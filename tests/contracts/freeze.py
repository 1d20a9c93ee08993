"""Writes an example of each message that has none yet: `python -m tests.contracts.freeze`."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from tests.support.readings import alarm, event, plan, reading, waveform

from bedside_profiles.readings import ClockQuality, Metric, Modality, RangeFlag
from bedside_profiles.wire.alert import AlertNotice, AlertStage
from bedside_profiles.wire.batch import Batch, encode_batch, header_for
from bedside_profiles.wire.command import Command, Outcome, Reply
from bedside_profiles.wire.events import EventField, Gap, GapReason
from bedside_profiles.wire.fields import to_map
from bedside_profiles.wire.messages import encode
from bedside_profiles.wire.receipt import Receipt, Rejected, UndecodableBody
from bedside_profiles.wire.signed import DocumentKind, SignedDocument
from bedside_profiles.wire.status import DeviceStatus, HubState, LinkState, Status
from bedside_profiles.wire.topics import UpLane

ID = "66666666-6666-4666-8666-666666666666"
STORE = "0123456789abcdef0123456789abcdef"
AT = 1_790_000_000_000

READINGS = (
    reading(97.0, seq=7),
    reading(
        121.0,
        seq=8,
        metric=Metric.SYSTOLIC_PRESSURE,
        modality=Modality.SPOT,
        device_time="2026-09-21T14:13:20",
        device_user=1,
        group=8,
    ),
    reading(None, seq=9, range_flag=RangeFlag.BELOW),
)

MESSAGES = (
    ("careplan", plan()),
    ("alert", AlertNotice(1, "hub-0001", ID, "spo2_low", AlertStage.ACKNOWLEDGED, 3, AT, ID, "nurse")),
    ("command", Command(1, ID, "hub-0001", "restart", AT, (EventField("reason", "update"),))),
    ("reply", Reply(1, "hub-0001", ID, Outcome.REFUSED, 4, "signature does not hold")),
    (
        "receipt",
        Receipt(
            *(1, "hub-0001", ID, UpLane.READINGS, STORE, ((1, 5), (7, 9)), False),
            rejected=(Rejected(6, "value: is not a finite number"),),
            undecodable=(UndecodableBody("ab" * 32, "not a MessagePack map"),),
        ),
    ),
    ("signed", SignedDocument(1, DocumentKind.CARE_PLAN, b"\x80", (b"leaf", b"issuing"), b"signature")),
    (
        "status",
        Status(
            *(1, "hub-0001", HubState.ONLINE, ID, AT, ClockQuality.SYNCED, "0.1.0", ID, ID, 3, 12),
            devices=(DeviceStatus("oximeter-1", "pulse_oximeter", LinkState.CONNECTED, AT, 80),),
        ),
    ),
)

BATCHES = (
    (
        "batch-readings",
        Batch(
            header_for("hub-0001", STORE, UpLane.READINGS, [1, 9]),
            readings=READINGS,
            gaps=(Gap(1, 6, 6, GapReason.DISK_FULL, AT, AT),),
        ),
    ),
    ("batch-alarms", Batch(header_for("hub-0001", STORE, UpLane.ALARMS, [2]), alarms=(alarm(seq=2),))),
    ("batch-events", Batch(header_for("hub-0001", STORE, UpLane.EVENTS, [3]), events=(event(seq=3),))),
    ("batch-waveforms", Batch(header_for("hub-0001", STORE, UpLane.WAVEFORMS, [4]), waveforms=(waveform(seq=4),))),
)


def meaning(value: Any) -> Any:
    """What a message says, as JSON: every field that differs from its default, so that a new field changes nothing."""
    if isinstance(value, Batch):
        parts = ("header", "readings", "alarms", "events", "gaps", "rejected")
        said = {part: meaning(getattr(value, part)) for part in parts}
        # It came later than the others: examples without it stay as they are.
        return said | ({"waveforms": meaning(value.waveforms)} if value.waveforms else {})
    if dataclasses.is_dataclass(value):
        return meaning(to_map(value))
    if isinstance(value, dict):
        return {name: meaning(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [meaning(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def main() -> None:
    folder = Path(__file__).parent / "v1"
    folder.mkdir(exist_ok=True)
    examples: list[tuple[str, str, bytes, Any]] = [
        (name, type(message).__name__, encode(message), meaning(message)) for name, message in MESSAGES
    ]
    examples += [(name, "Batch", encode_batch(batch), meaning(batch)) for name, batch in BATCHES]
    for name, kind, body, means in examples:
        path = folder / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps({"message": kind, "body_hex": body.hex(), "means": means}, indent=1) + "\n")


if __name__ == "__main__":
    main()
