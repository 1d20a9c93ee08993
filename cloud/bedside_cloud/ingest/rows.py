"""A reading as the database and as other services get it: the innermost loop of the service.

Enumerations are read by `_value_`, their supported plain attribute: `value` is computed anew at every access.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from bedside_cloud.contracts.readings import QuarantineReason
from bedside_cloud.contracts.registry import Retirement
from bedside_cloud.database.times import to_time
from bedside_cloud.ingest.assignments import Assignments
from bedside_cloud.ingest.lanes import LaneKey
from bedside_cloud.ingest.timing import believable_times
from bedside_profiles.ownership import Doubt, latest_ms
from bedside_profiles.readings import Attribution, ClockQuality, Modality, Reading

TYPES = (
    *("text", "text", "int8", "text", "uuid", "text", "float8", "text", "text", "text[]", "timestamptz", "text"),
    *("int8", "text", "text", "int8", "text", "int8", "timestamptz", "timestamptz", "text"),
)
"""Of the columns that `copy_readings` names."""

SYNCED = ClockQuality.SYNCED
QUARANTINED = Attribution.QUARANTINED.value
UNDATED_OR_TEST = QuarantineReason.UNDATED_OR_TEST.value
HUB_RETIRED = QuarantineReason.HUB_RETIRED.value


class Rows:
    """Collects the fresh readings of one transaction, in the order in which they are added."""

    def __init__(self, assignments: Assignments, now: datetime) -> None:
        self.rows: list[tuple[object, ...]] = []
        self._assignments = assignments
        self._now = now
        self._uuids: dict[str, UUID] = {}

    def add(self, key: LaneKey, readings: Sequence[Reading], heard_at_ms: int) -> list[dict[str, object]]:
        """Take the readings of one batch; those of a known patient as `StoredReading` has them."""
        if not readings:
            return []
        times = believable_times(readings, heard_at_ms)
        hub_id, store_id, now = key.hub_id, key.store_id, self._now
        retirements = self._assignments.retirements(hub_id)
        announced: list[dict[str, object]] = []
        for one, taken_at_ms in zip(readings, times, strict=True):
            patient_id, attribution, reason = self._owner(one, taken_at_ms, retirements)
            range_flag = one.range_flag and one.range_flag._value_
            metric, modality = one.metric._value_, one.modality._value_
            self.rows.append(
                (
                    hub_id,
                    store_id,
                    one.seq,
                    one.device_id,
                    patient_id and self._uuid(patient_id),
                    metric,
                    one.value,
                    range_flag,
                    modality,
                    [flag._value_ for flag in one.quality],
                    to_time(taken_at_ms),
                    one.boot_id,
                    one.monotonic_ms,
                    one.clock_quality._value_,
                    one.device_time,
                    one.device_user,
                    attribution,
                    one.group,
                    now,
                    None if taken_at_ms == one.taken_at_ms else to_time(one.taken_at_ms),
                    reason,
                )
            )
            if patient_id is not None:
                announced.append(
                    {
                        "patient_id": patient_id,
                        "device_id": one.device_id,
                        "metric": metric,
                        "value": one.value,
                        "range_flag": range_flag,
                        "modality": modality,
                        "taken_at_ms": taken_at_ms,
                        "store_id": store_id,
                        "seq": one.seq,
                    }
                )
        return announced

    def _owner(
        self, one: Reading, taken_at_ms: int, retirements: Sequence[Retirement]
    ) -> tuple[str | None, str, str | None]:
        """Patient, attribution and, of a reading that is nobody's until a person says whose, the reason."""
        if one.attribution is Attribution.QUARANTINED:
            return None, QUARANTINED, UNDATED_OR_TEST
        owner = self._assignments.owner(one.device_id, taken_at_ms, one.device_user)
        if owner is not None and retirements and _is_within(retirements, taken_at_ms):
            return None, QUARANTINED, HUB_RETIRED
        if isinstance(owner, Doubt):
            return None, QUARANTINED, owner._value_
        if one.device_time is not None and one.clock_quality is not SYNCED and self._is_older(one, taken_at_ms, owner):
            return None, QUARANTINED, UNDATED_OR_TEST
        return owner, one.attribution._value_, None

    def _is_older(self, one: Reading, taken_at_ms: int, owner: str | None) -> bool:
        """Whether a hub that did not know the time may have read it in a memory that was another's then."""
        if owner is None or one.modality is not Modality.SPOT:
            return False
        latest = latest_ms(one.device_time or "")
        if latest is None or latest >= taken_at_ms:
            return False
        return self._assignments.owner(one.device_id, latest, one.device_user) != owner

    def _uuid(self, patient_id: str) -> UUID:
        known = self._uuids.get(patient_id)
        if known is None:
            known = self._uuids[patient_id] = UUID(patient_id)
        return known


def _is_within(retirements: Sequence[Retirement], at_ms: int) -> bool:
    return any(out.from_ms <= at_ms and (out.until_ms is None or at_ms < out.until_ms) for out in retirements)


def announcement(hub_id: str, heard_at_ms: int, readings: list[dict[str, object]]) -> bytes:
    """The bytes of a `StoredReadings`. Written by hand: building the models would cost more than storing the rows."""
    return json.dumps({"hub_id": hub_id, "heard_at_ms": heard_at_ms, "readings": readings}).encode()
