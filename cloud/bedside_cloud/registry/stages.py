"""What a rollout does next. Pure: the hubs as they stand and a moment in, one step out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bedside_cloud.contracts.releases import Standing

GRACE = timedelta(minutes=15)
"""After a hub has said that it runs the new version, it may be away for so long before it counts as failed."""


@dataclass(frozen=True, slots=True)
class Member:
    """A hub of a rollout. `outcome` is None until it has answered; `online` and `agent_version` are of now."""

    hub_id: str
    stage: int
    is_given: bool
    outcome: str | None
    reason: str
    answered_at: datetime | None
    expires_at: datetime | None
    agent_version: str
    online: bool


@dataclass(frozen=True, slots=True)
class Course:
    """What was asked for, and how far it has come. `stages` are shares in percent; `stage` counts from 0."""

    version: str
    stages: tuple[int, ...]
    stage: int
    soak: timedelta
    most_failing_percent: int


@dataclass(frozen=True, slots=True)
class Give:
    """Tell these hubs."""

    hub_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is to be done now."""


@dataclass(frozen=True, slots=True)
class NextStage:
    """This stage is over, and it went well."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The last stage is over."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Too many fail."""

    reason: str


Step = Give | Wait | NextStage | Finish | Halt


def stage_of(place: int, count: int, stages: Sequence[int]) -> int:
    """The stage of the hub at this place (from 0) among so many; the first stage has at least one hub."""
    for stage, percent in enumerate(stages):
        if place < max(1, count * percent // 100):
            return stage
    return len(stages) - 1


def standing(member: Member, version: str, now: datetime) -> Standing:
    """How the hub stands. One that took the version and then stays away has failed: its patient may be alone."""
    if not member.is_given:
        return Standing.WAITS
    if member.outcome is None or member.answered_at is None:
        return Standing.SILENT if member.expires_at is None or now >= member.expires_at else Standing.GIVEN
    if member.outcome != "applied":
        return Standing.FAILED
    if (member.online and member.agent_version == version) or now - member.answered_at < GRACE:
        return Standing.WORKS
    return Standing.FAILED


def next_step(course: Course, members: Sequence[Member], now: datetime) -> Step:
    """One step at a time; the same question gives the same answer until something changes."""
    stands = [(one, standing(one, course.version, now)) for one in members if one.stage <= course.stage]
    failed = [one for one, how in stands if how is Standing.FAILED]
    tried = len(failed) + sum(how is Standing.WORKS for _, how in stands)
    if failed and 100 * len(failed) > course.most_failing_percent * tried:
        named = ", ".join(one.hub_id for one in failed[:5])
        return Halt(f"Of {tried} that tried, {len(failed)} failed: {named}")
    waiting = [one.hub_id for one, how in stands if how is Standing.WAITS]
    if waiting:
        return Give(tuple(waiting))
    if any(how is Standing.GIVEN for _, how in stands):
        return Wait()
    last = max((one.answered_at for one, _ in stands if one.answered_at is not None), default=None)
    if last is not None and now < last + course.soak:
        return Wait()
    return Finish() if course.stage == len(course.stages) - 1 else NextStage()
