"""Messages as frozen dataclasses: to a map, from a map with every type and bound checked.

Consumers ignore unknown fields within a major version, so a newer sender may add some. A field with a default may
be absent. Every text is bounded and holds no NUL (PostgreSQL cannot store one); a float is finite.
"""

import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

from bedside_profiles.bounds import Between, Shape
from bedside_profiles.errors import MalformedError

INT64 = (-(2**63), 2**63 - 1)

T = TypeVar("T")
Decoder = Callable[[object, str], Any]


def to_map(message: object) -> dict[str, object]:
    """The map of a message; fields that hold their default are left out."""
    result: dict[str, object] = {}
    for name, default in _defaults(type(message)):
        value = getattr(message, name)
        if value != default:
            result[name] = _plain(value)
    return result


def _defaults(message: type) -> tuple[tuple[str, object], ...]:
    if message not in _found_defaults:
        _found_defaults[message] = tuple([(field.name, field.default) for field in dataclasses.fields(message)])
    return _found_defaults[message]


_found_defaults: dict[type, tuple[tuple[str, object], ...]] = {}


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return to_map(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def from_map(message: type[T], value: object, path: str = "") -> T:
    """The message in `value`; MalformedError names the first field that is missing or wrong."""
    if not isinstance(value, Mapping):
        raise MalformedError(path or "message", "is not a map")
    arguments: dict[str, Any] = {}
    for name, required, decode in _plan(message):
        where = f"{path}.{name}" if path else name
        if name in value:
            arguments[name] = decode(value[name], where)
        elif required:
            raise MalformedError(where, "is missing")
    try:
        return message(**arguments)
    except ValueError as cause:
        raise MalformedError(path or "message", str(cause)) from cause


_Plan = tuple[tuple[str, bool, Decoder], ...]
_plans: dict[type, _Plan] = {}


def _plan(message: type[Any]) -> _Plan:
    """Name, whether it must be there, and decoder of each field; worked out once a type."""
    if message not in _plans:
        hints = typing.get_type_hints(message, include_extras=True)
        _plans[message] = tuple(
            [
                (field.name, field.default is dataclasses.MISSING, decoder(hints[field.name]))
                for field in dataclasses.fields(message)
            ]
        )
    return _plans[message]


def decoder(hint: Any) -> Decoder:
    """The function that checks and builds a value of the annotated type `hint`."""
    bounds: tuple[object, ...] = ()
    if typing.get_origin(hint) is typing.Annotated:
        hint, *metadata = typing.get_args(hint)
        bounds = tuple(metadata)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return _optional(decoder(inner))
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return _many(decoder(arguments[0]))
        return _exactly(tuple([decoder(argument) for argument in arguments]))
    if isinstance(hint, type):
        if dataclasses.is_dataclass(hint):
            return functools.partial(from_map, hint)
        if issubclass(hint, Enum):
            return _one_of(hint)
        if hint is bool:
            return _boolean
        if hint is int:
            return _whole(next((b for b in bounds if isinstance(b, Between)), Between(*INT64)))
        if hint is float:
            return _number(next((b for b in bounds if isinstance(b, Between)), None))
        if hint in (str, bytes):
            return _text(hint, next((b for b in bounds if isinstance(b, Shape)), Shape()))
    raise TypeError(f"no decoder for {hint!r}")


def _optional(inner: Decoder) -> Decoder:
    return lambda value, path: None if value is None else inner(value, path)


def _many(inner: Decoder) -> Decoder:
    def decode(value: object, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise MalformedError(path, "is not an array")
        return tuple([inner(item, f"{path}[{index}]") for index, item in enumerate(value)])

    return decode


def _exactly(inner: tuple[Decoder, ...]) -> Decoder:
    def decode(value: object, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or len(value) != len(inner):
            raise MalformedError(path, f"is not an array of {len(inner)}")
        return tuple(
            [one(item, f"{path}[{index}]") for index, (one, item) in enumerate(zip(inner, value, strict=True))]
        )

    return decode


def _one_of(kind: type[Enum]) -> Decoder:
    members = {member.value: member for member in kind}

    def decode(value: object, path: str) -> Enum:
        if not isinstance(value, str) or value not in members:
            raise MalformedError(path, f"is not one of {', '.join(map(str, members))}")
        return members[value]

    return decode


def _boolean(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        raise MalformedError(path, "is not true or false")
    return value


def _whole(bounds: Between) -> Decoder:
    def decode(value: object, path: str) -> int:
        if type(value) is not int:
            raise MalformedError(path, "is not a whole number")
        if not bounds.lowest <= value <= bounds.highest:
            raise MalformedError(path, f"is not within {bounds.lowest} to {bounds.highest}")
        return value

    return decode


def _number(bounds: Between | None) -> Decoder:
    def decode(value: object, path: str) -> float:
        if type(value) not in (int, float) or not math.isfinite(typing.cast("float", value)):
            raise MalformedError(path, "is not a finite number")
        number = float(typing.cast("float", value))
        if bounds and not bounds.lowest <= number <= bounds.highest:
            raise MalformedError(path, f"is not within {bounds.lowest} to {bounds.highest}")
        return number

    return decode


def _text(kind: type[str] | type[bytes], shape: Shape) -> Decoder:
    expression = re.compile(shape.pattern) if shape.pattern else None

    def decode(value: object, path: str) -> str | bytes:
        if not isinstance(value, kind):
            raise MalformedError(path, "is not a text" if kind is str else "is not bytes")
        if len(value) > shape.longest:
            raise MalformedError(path, f"is longer than {shape.longest}")
        if isinstance(value, str):
            if "\0" in value:
                raise MalformedError(path, "holds a NUL")
            if expression and not expression.fullmatch(value):
                raise MalformedError(path, f"does not match {shape.pattern}")
        return value

    return decode
