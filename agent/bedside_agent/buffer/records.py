"""An item of the store as a flat record, for a person's eyes and for export. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from bedside_agent.buffer.bundles import span
from bedside_agent.buffer.contents import Item
from bedside_profiles.readings import METRICS, Attribution, Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.events import Event, Gap
from bedside_profiles.wire.topics import UpLane
from bedside_profiles.wire.waveform import Waveform

COLUMNS = ("lane", "store_id", "first_seq", "last_seq", "at_utc", "device_id", "what", "value", "unit", "details")

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_TOLD = ("state", "priority", "reason", "range_flag", "quality", "user")
"""Details that a glance shows by their value alone; events' own fields it shows with their names."""

_SHOWN = {"seq", "device_id", "metric", "value", "taken_at_ms", "at_ms", "condition", "kind"}

Record = dict[str, object]


def record(lane: UpLane, store_id: str, item: Item | None, seq: int = 0) -> Record:
    """The item under the names of `COLUMNS`, all else in `details`; None is a row that cannot be read any more."""
    first, last = (seq, seq) if item is None else span(item)
    found: Record = dict.fromkeys(COLUMNS)
    found |= {"lane": lane.value, "store_id": store_id, "first_seq": first, "last_seq": last}
    if item is None:
        return found | {"what": "damaged", "details": {}}
    fields = {name: value for name, value in asdict(item).items() if value not in (None, (), "")}
    found |= {"at_utc": _utc(at_ms(item)), "device_id": fields.get("device_id")}
    if isinstance(item, Gap):
        return found | {"what": "gap", "value": item.count, "details": {"reason": item.reason.value}}
    if isinstance(item, Waveform):
        samples = fields.pop("samples")
        found["value"], found["unit"] = len(samples), "samples"
    found["details"] = {name: value for name, value in fields.items() if name not in _SHOWN}
    if isinstance(item, Reading):
        return found | {"what": item.metric.value, "value": item.value, "unit": METRICS[item.metric].unit}
    if isinstance(item, Waveform):
        return found | {"what": item.signal.value}
    return found | {"what": item.condition if isinstance(item, Alarm) else item.kind}


def cells(one: Mapping[str, object]) -> list[str]:
    """A record as a line of a table."""
    return [_cell(one[name]) for name in COLUMNS]


def glance(one: Mapping[str, object]) -> tuple[str, str, str, str]:
    """A record for a narrow screen: when, which lane, which sequences, and what it says. `--json` has all of it."""
    at, first, last = one["at_utc"], one["first_seq"], one["last_seq"]
    details = one["details"]
    said = [] if one["value"] is None or one["what"] == "gap" else [f"{one['value']} {one['unit'] or ''}".strip()]
    if one["what"] == "gap":
        said.append(f"of {one['value']}")
    if isinstance(details, Mapping):
        said += [text for name, value in details.items() if (text := _told(name, value))]
    words = (one["device_id"], one["what"], *said)
    return (
        str(at)[:19].replace("T", " ") if at else "",
        str(one["lane"]),
        str(first) if first == last else f"{first}–{last}",
        " ".join(str(word) for word in words if word is not None),
    )


def at_ms(item: Item) -> int | None:
    """When it was, UTC milliseconds."""
    if isinstance(item, Reading | Waveform):
        return item.taken_at_ms
    return item.at_ms if isinstance(item, Alarm | Event) else item.last_taken_at_ms


def since_ms(text: str, now_ms: int) -> int:
    """UTC milliseconds of `2026-01-02T03:04`, or of `90m`, `24h`, `7d` before now; ValueError for anything else."""
    if text[-1:] in _UNITS and text[:-1].isdigit():
        return now_ms - round(int(text[:-1]) * _UNITS[text[-1]].total_seconds() * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as cause:
        raise ValueError(f"{text!r} is no time: give 2026-01-02T03:04 (UTC), or 90m, 24h, 7d") from cause
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _utc(ms: int | None) -> str | None:
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cell(value: object) -> str:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict) else str(value)


def _told(name: str, value: object) -> str:
    if name == "attribution" and value != Attribution.ASSIGNED:
        return str(value)
    if name in _TOLD:
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    if name == "fields" and isinstance(value, list | tuple):
        return ", ".join(f"{one['name']}: {one['value']}" for one in value if one["value"])
    return ""
