"""The care plan that a hub runs by itself when the network is gone."""

from collections import Counter
from dataclasses import dataclass
from typing import Annotated

from bedside_profiles.bounds import Between, Name
from bedside_profiles.cover import CoverHours
from bedside_profiles.rules.cadence import CadenceRule
from bedside_profiles.rules.rates import RateRule
from bedside_profiles.rules.technical import TechnicalRule
from bedside_profiles.rules.thresholds import ThresholdRule
from bedside_profiles.wire.kinds import DeviceId, HubId, Schema, UtcMs, Uuid

UserSlot = Annotated[int, Between(0, 65_535)]
"""A person's number on a device that several people use."""


@dataclass(frozen=True, slots=True)
class PlannedDevice:
    """A device that measures this patient from `from_ms` until `until_ms` (open when None), in the slot `user`.

    Without `user` nobody said which slot is the patient's: see `bedside_profiles.ownership`.
    """

    device_id: DeviceId
    from_ms: UtcMs
    until_ms: UtcMs | None = None
    user: UserSlot | None = None


@dataclass(frozen=True, slots=True)
class CarePlan:
    """Limits, devices and whom to call. A higher `version` of the same or another plan replaces a lower one.

    `active` is False while the episode of care is planned, paused or ended: the hub then measures and raises
    nothing. `emergency_number` and `call_back_number` are what the patient is told.

    `needs` names the kinds of rules that the plan holds beside thresholds. A hub that does not know one of them runs
    the others, says so in its reply, and raises a technical alarm: its former plan would be worse, and for a new
    patient it has none.

    `others` are the times and slots in which the patient's devices measure other people, without saying whom: what is
    theirs is no reading of this patient's.

    `cover` is when somebody looks at the readings, in the home's local time; empty: nobody has said so.
    """

    schema: Schema
    plan_id: Uuid
    version: int
    hub_id: HubId
    patient_id: Uuid
    issued_at_ms: UtcMs
    active: bool
    rules: tuple[ThresholdRule, ...] = ()
    devices: tuple[PlannedDevice, ...] = ()
    emergency_number: str = ""
    call_back_number: str = ""
    rates: tuple[RateRule, ...] = ()
    cadences: tuple[CadenceRule, ...] = ()
    technical: tuple[TechnicalRule, ...] = ()
    needs: tuple[Name, ...] = ()
    others: tuple[PlannedDevice, ...] = ()
    cover: tuple[CoverHours, ...] = ()

    def __post_init__(self) -> None:
        again = repeated(self.rules, self.rates, self.cadences, self.technical)
        if again:
            raise ValueError(f"the rule {again} stands twice")

    def not_understood(self) -> tuple[str, ...]:
        """What the plan needs and this version does not know."""
        return tuple(sorted(set(self.needs) - KNOWN_NEEDS))


@dataclass(frozen=True, slots=True)
class PlanHeading:
    """The fields by which a plan is answered when the rest of it cannot be followed."""

    schema: Schema
    plan_id: Uuid
    version: int
    hub_id: HubId
    issued_at_ms: UtcMs


RATES = "rates"
CADENCES = "cadences"
TECHNICAL = "technical"
KNOWN_NEEDS = frozenset({RATES, CADENCES, TECHNICAL})
"""What this version understands of a plan's `needs`."""


def needs_of(
    rates: tuple[RateRule, ...], cadences: tuple[CadenceRule, ...], technical: tuple[TechnicalRule, ...]
) -> tuple[str, ...]:
    """The kinds of rules that a plan with these holds beside thresholds."""
    kinds = ((RATES, rates), (CADENCES, cadences), (TECHNICAL, technical))
    return tuple([name for name, rules in kinds if rules])


def repeated(
    rules: tuple[ThresholdRule, ...],
    rates: tuple[RateRule, ...],
    cadences: tuple[CadenceRule, ...],
    technical: tuple[TechnicalRule, ...],
) -> str | None:
    """A rule id that stands twice; None when there is none."""
    named: tuple[ThresholdRule | RateRule | CadenceRule | TechnicalRule, ...] = (*rules, *rates, *cadences, *technical)
    counted = Counter(one.rule_id for one in named)
    return next((rule_id for rule_id, count in counted.items() if count > 1), None)
