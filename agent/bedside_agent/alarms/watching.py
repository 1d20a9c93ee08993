"""Which devices measure the patient now, and when a reading was taken on the monotonic line. Pure."""

from dataclasses import replace

from bedside_agent.alarms.mind import Course, Mind, Track
from bedside_agent.clock import Instant
from bedside_profiles.ownership import Claim, owner_of
from bedside_profiles.readings import Attribution, ClockQuality, Reading
from bedside_profiles.wire.careplan import CarePlan, PlannedDevice

PATIENT, SOMEBODY_ELSE = "patient", "somebody else"


def is_watched(plan: CarePlan, device_id: str, now: Instant) -> bool:
    """Whether the plan has this device measure the patient now.

    A hub that does not know the time watches every device the plan names: an alarm too many, not one too few.
    """
    if not plan.active:
        return False
    return _measures(plan, device_id, now.utc_ms if now.quality is ClockQuality.SYNCED else None)


def is_of_the_patient(plan: CarePlan, reading: Reading) -> bool:
    """Whether a reading may be believed to be the patient's: not one of the last patient's that the device has kept,
    not one of another user of the device, and none that is in quarantine."""
    if reading.attribution is Attribution.QUARANTINED:
        return False
    knows_time = reading.clock_quality is ClockQuality.SYNCED
    at_ms = reading.taken_at_ms if knows_time else None
    return owner_of(_claims(plan, reading.device_id, at_ms), reading.device_user) == PATIENT


def given_ms(plan: CarePlan, device_id: str) -> int | None:
    """Since when (UTC) the device measures the first of those whom it measures; None when the plan does not name it."""
    holders = (*plan.devices, *(one for one in plan.others if one.until_ms is None))
    return min((one.from_ms for one in holders if one.device_id == device_id), default=None)


def _claims(plan: CarePlan, device_id: str, at_ms: int | None) -> list[Claim]:
    """Who the device measured then. Without the time, the patient counts always and another only without an end."""
    return [
        *(
            _claim(PATIENT, device)
            for device in plan.devices
            if device.device_id == device_id and _holds(device, at_ms)
        ),
        *(
            _claim(SOMEBODY_ELSE, device)
            for device in plan.others
            if device.device_id == device_id and (device.until_ms is None if at_ms is None else _holds(device, at_ms))
        ),
    ]


def _claim(owner: str, device: PlannedDevice) -> Claim:
    return Claim(owner, device.from_ms, device.until_ms, device.user)


def _measures(plan: CarePlan, device_id: str, at_ms: int | None) -> bool:
    return any(device.device_id == device_id and _holds(device, at_ms) for device in plan.devices)


def _holds(device: PlannedDevice, at_ms: int | None) -> bool:
    return at_ms is None or _claim(PATIENT, device).holds_at(at_ms)


def taken_ms(reading: Reading, now: Instant) -> int:
    """When the reading was taken, on the present boot's monotonic line; never later than now.

    A record from a device's memory has its age in its `taken_at_ms`; where the wall clocks cannot say, the monotonic
    time of the same boot does.
    """
    synced = ClockQuality.SYNCED
    if reading.clock_quality is synced and now.quality is synced and reading.boot_id == now.boot_id:
        return now.monotonic_ms - max(0, now.utc_ms - reading.taken_at_ms, now.monotonic_ms - reading.monotonic_ms)
    if reading.boot_id == now.boot_id:
        return min(reading.monotonic_ms, now.monotonic_ms)
    return now.monotonic_ms - (max(0, now.utc_ms - reading.taken_at_ms) if now.quality is synced else 0)


def forget(plan: CarePlan, mind: Mind, now: Instant) -> Mind:
    """Without what is known of devices that are not watched any more, and of rules that the plan has no longer."""
    metrics = {rule.rule_id: rule.metric for rule in plan.rules} | {rate.rule_id: rate.metric for rate in plan.rates}
    cadences = {rule.rule_id for rule in plan.cadences} if plan.active else set()

    def kept(device_id: str) -> bool:
        return is_watched(plan, device_id, now)

    def stays(one: Track | Course) -> bool:
        metric = metrics.get(one.rule_id)
        return metric is not None and kept(one.device_id) and (one.onset is None or one.onset.metric is metric)

    return replace(
        mind,
        tracks={key: one for key, one in mind.tracks.items() if stays(one)},
        late={key: one for key, one in mind.late.items() if stays(one.track)},
        courses={key: one for key, one in mind.courses.items() if stays(one)},
        cadences={rule_id: one for rule_id, one in mind.cadences.items() if rule_id in cadences},
        heard={key: one for key, one in mind.heard.items() if kept(one.device_id)},
        contacts={device_id: one for device_id, one in mind.contacts.items() if kept(device_id)},
        batteries={device_id: one for device_id, one in mind.batteries.items() if kept(device_id)},
        clockless=frozenset(device_id for device_id in mind.clockless if kept(device_id)),
    )
