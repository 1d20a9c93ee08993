"""A device that measured continuously and falls silent is itself an alarm. Pure; monotonic milliseconds.

Only continuous devices: nobody can say from outside when the next spot check is due.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bedside_agent.clock import Instant
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alarm import Alarm, AlarmKind, AlarmState
from bedside_profiles.wire.careplan import CarePlan

CONDITION = "no_data"


@dataclass(frozen=True, slots=True)
class Heard:
    """When a device last gave a continuous reading; `episode` is set while its silence is an alarm."""

    at_ms: int
    at_utc_ms: int
    episode: str | None = None
    priority: Priority = Priority.MEDIUM


def hear(
    plan: CarePlan, heard: Mapping[str, Heard], device_id: str, now: Instant
) -> tuple[Mapping[str, Heard], Alarm | None]:
    """After a continuous reading: the device is heard, and its silence, if it was an alarm, is over."""
    before = heard.get(device_id)
    after = {**heard, device_id: Heard(now.monotonic_ms, now.utc_ms)}
    if before is None or before.episode is None:
        return after, None
    return after, _alarm(plan, device_id, before, now, AlarmState.CLEARED)


def pass_time(
    plan: CarePlan,
    heard: Mapping[str, Heard],
    alarming: frozenset[str],
    now: Instant,
    silence_ms: int,
    new_episode: Callable[[], str],
) -> tuple[Mapping[str, Heard], tuple[Alarm, ...]]:
    """Raise for each device that has been silent for `silence_ms`.

    High priority when the device is `alarming`: patients who collapse lose their sensors.
    """
    after = dict(heard)
    alarms = []
    for device_id, last in heard.items():
        if last.episode is None and now.monotonic_ms - last.at_ms >= silence_ms:
            priority = Priority.HIGH if device_id in alarming else Priority.MEDIUM
            after[device_id] = replace(last, episode=new_episode(), priority=priority)
            alarms.append(_alarm(plan, device_id, after[device_id], now, AlarmState.RAISED))
    return after, tuple(alarms)


def forget(
    plan: CarePlan, heard: Mapping[str, Heard], watched: Callable[[str], bool], now: Instant
) -> tuple[Mapping[str, Heard], tuple[Alarm, ...]]:
    """After another plan, or when an assignment ended: devices that are not watched any more owe nothing."""
    gone = {device_id: last for device_id, last in heard.items() if not watched(device_id)}
    alarms = [_alarm(plan, device, last, now, AlarmState.CLEARED) for device, last in gone.items() if last.episode]
    return {device_id: last for device_id, last in heard.items() if device_id not in gone}, tuple(alarms)


def _alarm(plan: CarePlan, device_id: str, heard: Heard, now: Instant, state: AlarmState) -> Alarm:
    assert heard.episode is not None  # noqa: S101 - only an alarm has one
    return Alarm(
        seq=0,
        episode=heard.episode,
        condition=CONDITION,
        kind=AlarmKind.TECHNICAL,
        priority=heard.priority,
        state=state,
        at_ms=now.utc_ms,
        onset_ms=max(0, min(heard.at_utc_ms, now.utc_ms)),
        boot_id=now.boot_id,
        monotonic_ms=now.monotonic_ms,
        clock_quality=now.quality,
        patient_id=plan.patient_id,
        plan_id=plan.plan_id,
        plan_version=plan.version,
        device_id=device_id,
    )
