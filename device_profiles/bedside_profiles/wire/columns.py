"""Readings as columns: one array a field, so that a batch is small and quick to read.

A column is `{"values": [...]}`, or, where few values repeat, `{"table": [...], "index": [...]}`; one that holds only
its default is left out. A row that cannot be admitted is rejected by its sequence and delays no other row.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from bedside_profiles.errors import MalformedError
from bedside_profiles.readings import METRICS, Metric, Reading
from bedside_profiles.wire.fields import Decoder, decoder, to_map
from bedside_profiles.wire.kinds import BootId, DeviceId, MonotonicMs, Seq, UtcMs
from bedside_profiles.wire.receipt import Rejected

MAX_ROWS = 8192

_BOUNDED: Mapping[str, Any] = {
    "seq": Seq,
    "device_id": DeviceId,
    "taken_at_ms": UtcMs,
    "boot_id": BootId,
    "monotonic_ms": MonotonicMs,
    "group": Seq | None,
}
"""Fields of a reading whose bounds on the wire are narrower than their Python type."""

HINTS: Mapping[str, Any] = {**get_type_hints(Reading, include_extras=True), **_BOUNDED}
DEFAULTS: Mapping[str, object] = {field.name: field.default for field in fields(Reading)}
_DECODERS: Mapping[str, Decoder] = {name: decoder(hint) for name, hint in HINTS.items()}
TABLED = frozenset(HINTS) - {"seq", "value", "taken_at_ms", "monotonic_ms", "group"}


def write_columns(readings: Sequence[Reading]) -> dict[str, object]:
    """The columns of `readings`, all of one length."""
    rows = [to_map(reading) for reading in readings]
    columns: dict[str, object] = {}
    for name, default in DEFAULTS.items():
        plain_default = None if default is MISSING else to_plain(default)
        values = [row.get(name, plain_default) for row in rows]
        if default is not MISSING and all(value == plain_default for value in values):
            continue
        columns[name] = _tabled(values) if name in TABLED else {"values": values}
    return columns


def to_plain(default: object) -> object:
    """A default as it stands on the wire."""
    return list(default) if isinstance(default, tuple) else getattr(default, "value", default)


def _tabled(values: list[object]) -> dict[str, object]:
    places: dict[str, int] = {}
    table: list[object] = []
    index: list[int] = []
    for value in values:
        key = repr(value)
        if key not in places:
            places[key] = len(table)
            table.append(value)
        index.append(places[key])
    return {"table": table, "index": index}


def read_columns(columns: object) -> tuple[tuple[Reading, ...], tuple[Rejected, ...]]:
    """The readings and the rows that could not be admitted.

    MalformedError when no row can be named: the columns are no map, differ in length, are too long, or the
    sequences themselves are not admissible.
    """
    if not isinstance(columns, Mapping):
        raise MalformedError("columns", "is not a map")
    sequences = _sequences(columns.get("seq"))
    known = [name for name in HINTS if name != "seq" and name in columns]
    for name in HINTS:
        if DEFAULTS[name] is MISSING and name not in columns:
            raise MalformedError(f"columns.{name}", "is missing")
    decoded = {name: _column(name, columns[name], len(sequences)) for name in known}
    readings: list[Reading] = []
    rejected: list[Rejected] = []
    for row, seq in enumerate(sequences):
        arguments = {name: column[row] for name, column in decoded.items()}
        wrong = next((value for value in arguments.values() if isinstance(value, MalformedError)), None)
        if wrong is None:
            reading = Reading(seq=seq, **arguments)
            reason = objection(reading)
            if reason is None:
                readings.append(reading)
                continue
            rejected.append(Rejected(seq, reason))
        else:
            rejected.append(Rejected(seq, str(wrong)))
    return tuple(readings), tuple(rejected)


def objection(reading: Reading) -> str | None:
    """Why a well-typed reading is still not one, or None."""
    if (reading.value is None) == (reading.range_flag is None):
        return "value: there must be either a value or a range flag"
    facts = METRICS[Metric(reading.metric)]
    if reading.value is not None and not facts.lowest <= reading.value <= facts.highest:
        return f"value: is outside what {reading.metric.value} can be in {facts.unit}"
    return None


def _sequences(column: object) -> list[int]:
    values = column.get("values") if isinstance(column, Mapping) else None
    if not isinstance(values, list) or not values:
        raise MalformedError("columns.seq", "is not a column of values")
    if len(values) > MAX_ROWS:
        raise MalformedError("columns.seq", f"has more than {MAX_ROWS} rows")
    decode = _DECODERS["seq"]
    sequences = [decode(value, f"columns.seq[{row}]") for row, value in enumerate(values)]
    if any(later <= earlier for earlier, later in itertools.pairwise(sequences)):
        raise MalformedError("columns.seq", "does not rise")
    return sequences


def _column(name: str, column: object, length: int) -> list[Any]:
    """Values of one column; a value that is wrong stands as its MalformedError."""
    if not isinstance(column, Mapping):
        raise MalformedError(f"columns.{name}", "is not a column")
    if "values" in column:
        values = column["values"]
        if not isinstance(values, list) or len(values) != length:
            raise MalformedError(f"columns.{name}", "differs in length from seq")
        return [_checked(name, value) for value in values]
    table, index = column.get("table"), column.get("index")
    if not isinstance(table, list) or not isinstance(index, list) or len(index) != length:
        raise MalformedError(f"columns.{name}", "is no column of values, nor of table and index of seq's length")
    entries = [_checked(name, value) for value in table]
    outside = MalformedError(name, "points outside its table")
    return [entries[place] if type(place) is int and 0 <= place < len(entries) else outside for place in index]


def _checked(name: str, value: object) -> Any:
    try:
        return _DECODERS[name](value, name)
    except MalformedError as wrong:
        return wrong
