"""JSON Schema (2020-12) of every message, made from the types that check it.

MessagePack and JSON have the same shapes here but for bytes, which JSON shows as base64 text. Run
`python -m bedside_profiles.wire.schema FOLDER` to write one file a message.
"""

import dataclasses
import json
import sys
import types
import typing
from enum import Enum
from pathlib import Path
from typing import Any

from bedside_profiles.bounds import Between, Shape
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.batch import Header
from bedside_profiles.wire.columns import DEFAULTS, HINTS, MAX_ROWS, TABLED
from bedside_profiles.wire.events import Event, Gap
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import MESSAGES
from bedside_profiles.wire.waveform import Waveform

NAMES = {bool: "boolean", int: "integer", float: "number", str: "string", bytes: "string"}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(hint: Any) -> dict[str, Any]:
    """The schema of a message type or of a field's annotated type. Unknown fields are allowed everywhere."""
    bounds: tuple[object, ...] = ()
    if typing.get_origin(hint) is typing.Annotated:
        hint, *metadata = typing.get_args(hint)
        bounds = tuple(metadata)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return {"anyOf": [schema_of(inner), {"type": "null"}]}
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return {"type": "array", "items": schema_of(arguments[0])}
        items = [schema_of(argument) for argument in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if dataclasses.is_dataclass(hint):
        return _object(hint)
    if issubclass(hint, Enum):
        return {"enum": [member.value for member in hint]}
    return _plain(hint, bounds)


def _plain(hint: type, bounds: tuple[object, ...]) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": {bool: "boolean", int: "integer", float: "number", str: "string", bytes: "string"}[hint]
    }
    for bound in bounds:
        if isinstance(bound, Between):
            schema |= {"minimum": bound.lowest, "maximum": bound.highest}
        if isinstance(bound, Shape):
            schema["maxLength"] = bound.longest if hint is str else -(-bound.longest // 3) * 4
            if bound.pattern:
                schema["pattern"] = f"^(?:{bound.pattern})$"
    if hint is bytes:
        schema["contentEncoding"] = "base64"
    return schema


def _object(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = dataclasses.fields(kind)
    return {
        "type": "object",
        "description": " ".join((kind.__doc__ or "").split()),
        "properties": {field.name: schema_of(hints[field.name]) for field in fields},
        "required": [field.name for field in fields if field.default is dataclasses.MISSING],
    }


def batch_schema() -> dict[str, Any]:
    """The batch envelope: its header, and the items of its lane."""
    schema = _object(Header)
    schema["properties"] |= {
        "columns": _columns(),
        "alarms": {"type": "array", "items": schema_of(Alarm), "maxItems": MAX_ROWS},
        "events": {"type": "array", "items": schema_of(Event), "maxItems": MAX_ROWS},
        "waveforms": {"type": "array", "items": schema_of(Waveform), "maxItems": MAX_ROWS},
        "gaps": {"type": "array", "items": schema_of(Gap), "maxItems": MAX_ROWS},
    }
    return schema


def _columns() -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, hint in HINTS.items():
        values = {"type": "array", "items": schema_of(hint), "maxItems": MAX_ROWS}
        plain = {"type": "object", "properties": {"values": values}, "required": ["values"]}
        if name not in TABLED:
            properties[name] = plain
            continue
        index = {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": MAX_ROWS}
        table = {"type": "object", "properties": {"table": values, "index": index}, "required": ["table", "index"]}
        properties[name] = {"anyOf": [plain, table]}
    required = [name for name, default in DEFAULTS.items() if default is dataclasses.MISSING]
    return {"type": "object", "properties": properties, "required": required}


def documents() -> dict[str, dict[str, Any]]:
    """File name → schema, of every message of this major version."""
    schemas = {kind.__name__: _object(kind) for kind in MESSAGES}
    schemas["Batch"] = batch_schema()
    return {
        f"{name}.schema.json": {"$schema": DIALECT, "title": f"{name}, version {SCHEMA_VERSION}", **schema}
        for name, schema in sorted(schemas.items())
    }


def write(folder: Path) -> None:
    """Write every schema into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in documents().items():
        (folder / name).write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
