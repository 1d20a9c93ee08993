"""Hypothesis strategies for whatever travels between hub and cloud, made from the types that check it."""

import dataclasses
import types
import typing
from enum import Enum
from typing import Any

from hypothesis import strategies as st

from bedside_profiles.bounds import Between, Shape
from bedside_profiles.readings import METRICS, Metric, RangeFlag, Reading
from bedside_profiles.wire.columns import HINTS

INT64 = Between(-(2**63), 2**63 - 1)
WORDS: dict[str, st.SearchStrategy[Any]] = {"zone": st.sampled_from(("UTC", "Europe/Madrid", "America/New_York"))}
"""Fields whose words are a list that no type spells out."""
TEXT = st.characters(exclude_characters="\0", exclude_categories=["Cs"])


def of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of an annotated type as `wire.fields` knows them."""
    bounds: tuple[object, ...] = ()
    if typing.get_origin(hint) is typing.Annotated:
        hint, *metadata = typing.get_args(hint)
        bounds = tuple(metadata)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return st.none() | of(inner)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return st.lists(of(arguments[0]), max_size=3).map(tuple)
        return st.tuples(*(of(argument) for argument in arguments))
    if dataclasses.is_dataclass(hint):
        return messages(typing.cast("type[Any]", hint))
    if issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    return _plain(hint, bounds)


def _plain(hint: type, bounds: tuple[object, ...]) -> st.SearchStrategy[Any]:
    between = next((bound for bound in bounds if isinstance(bound, Between)), None)
    shape = next((bound for bound in bounds if isinstance(bound, Shape)), Shape(40))
    if hint is bool:
        return st.booleans()
    if hint is int:
        limits = between or INT64
        return st.integers(int(limits.lowest), int(limits.highest))
    if hint is float:
        if between is not None:
            return st.floats(between.lowest, between.highest)
        return st.floats(allow_nan=False, allow_infinity=False)
    if hint is bytes:
        return st.binary(max_size=min(shape.longest, 40))
    if shape.pattern:
        return st.from_regex(shape.pattern, fullmatch=True).filter(lambda text: "\n" not in text)
    return st.text(TEXT, max_size=min(shape.longest, 40))


def messages(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Messages of one type; what its own constructor refuses is left out."""
    hints = typing.get_type_hints(kind, include_extras=True)
    arguments = st.fixed_dictionaries(
        {
            field.name: WORDS[field.name] if field.name in WORDS else of(hints[field.name])
            for field in dataclasses.fields(kind)
        }
    )
    return arguments.map(lambda given: _made(kind, given)).filter(lambda made: made is not None)


def _made(kind: type[Any], arguments: dict[str, Any]) -> Any:
    try:
        return kind(**arguments)
    except ValueError:
        return None


@st.composite
def readings(draw: st.DrawFn, seq: int) -> Reading:
    """A reading that is admissible: within its metric's bounds, or flagged without a number."""
    arguments = {name: draw(of(hint)) for name, hint in HINTS.items() if name not in ("seq", "value", "range_flag")}
    facts = METRICS[Metric(arguments["metric"])]
    value = draw(st.none() | st.floats(facts.lowest, facts.highest))
    flag = draw(st.sampled_from(list(RangeFlag))) if value is None else None
    return Reading(seq=seq, value=value, range_flag=flag, **arguments)


@st.composite
def reading_lists(draw: st.DrawFn) -> tuple[Reading, ...]:
    """One to eight readings with rising sequences."""
    steps = draw(st.lists(st.integers(1, 1000), min_size=1, max_size=8))
    seq, rows = 0, []
    for step in steps:
        seq += step
        rows.append(draw(readings(seq)))
    return tuple(rows)
