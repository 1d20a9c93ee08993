"""A patient's rules as they are kept: thresholds in one list, all else in a map by its name. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bedside_cloud.contracts.registry_administration import LimitsRequest
from bedside_profiles.cover import CoverHours
from bedside_profiles.errors import MalformedError
from bedside_profiles.rules.cadence import CadenceRule
from bedside_profiles.rules.rates import RateRule
from bedside_profiles.rules.technical import TechnicalRule
from bedside_profiles.rules.thresholds import ThresholdRule
from bedside_profiles.wire.careplan import CADENCES, RATES, TECHNICAL, repeated
from bedside_profiles.wire.fields import from_map, to_map

COVER = "cover"


@dataclass(frozen=True, slots=True)
class Rules:
    """Every rule of a patient, by kind, and the hours of cover."""

    thresholds: tuple[ThresholdRule, ...] = ()
    rates: tuple[RateRule, ...] = ()
    cadences: tuple[CadenceRule, ...] = ()
    technical: tuple[TechnicalRule, ...] = ()
    cover: tuple[CoverHours, ...] = ()


def rules_of(request: LimitsRequest) -> Rules:
    """The rules that were asked for."""
    return Rules(request.rules, request.rates, request.cadences, request.technical, request.cover)


def problem(rules: Rules) -> str | None:
    """Why no hub would follow these rules, as one sentence; None when it would.

    A plan that its hub refuses is noticed late: the hub's own checks are made before it is signed.
    """
    again = repeated(rules.thresholds, rules.rates, rules.cadences, rules.technical)
    if again is not None:
        return f"The rule {again} stands twice."
    try:
        for rule in (*rules.thresholds, *rules.rates, *rules.cadences, *rules.technical, *rules.cover):
            from_map(type(rule), to_map(rule))
    except MalformedError as error:
        return f"It cannot be followed: {error}."
    return None


def further(rules: Rules) -> dict[str, Any]:
    """All that is beside thresholds, as it is kept."""
    kinds: tuple[tuple[str, Sequence[object]], ...] = (
        (RATES, rules.rates),
        (CADENCES, rules.cadences),
        (TECHNICAL, rules.technical),
        (COVER, rules.cover),
    )
    return {name: [to_map(rule) for rule in kind] for name, kind in kinds if kind}


def kept(raw_rules: Sequence[object], raw_further: Mapping[str, Sequence[object]]) -> Rules:
    """The rules as they were kept."""
    return Rules(
        tuple(from_map(ThresholdRule, one) for one in raw_rules),
        tuple(from_map(RateRule, one) for one in raw_further.get(RATES, ())),
        tuple(from_map(CadenceRule, one) for one in raw_further.get(CADENCES, ())),
        tuple(from_map(TechnicalRule, one) for one in raw_further.get(TECHNICAL, ())),
        tuple(from_map(CoverHours, one) for one in raw_further.get(COVER, ())),
    )
