"""What `ingest` tells others once it has stored it, and what it can be asked for. It names nobody."""

from enum import StrEnum

from bedside_cloud.contracts.message import Message
from bedside_profiles.readings import Metric, Modality, RangeFlag
from bedside_profiles.waveforms import Signal
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.events import Event

STORED_READINGS = "ingest.stored.readings"
"""Outbox delivery of `StoredReadings` to alerting; answered after alerting's own commit."""

STORED_ALARM = "ingest.stored.alarm"
"""Outbox delivery of `StoredAlarm` to alerting; answered after alerting's own commit."""

STORED_EVENT = "ingest.stored.event"
"""Outbox delivery of `StoredEvent` to registry; answered after registry's own commit."""

STORED_WORD = "ingest.stored.word"
"""Outbox delivery of the `StoredEvent` "I am all right" to alerting; answered after alerting's own commit."""

LIVE = "ingest.live"
"""Fan-out of `StoredReadings` for screens: nothing depends on its arrival."""

LATEST = "ingest.latest"
"""`LatestRequest` → `LatestAnswer`."""

TREND = "ingest.trend"
"""`TrendRequest` → `TrendAnswer`."""

WAVEFORMS = "ingest.waveforms"
"""`WaveformsRequest` → `WaveformsAnswer`."""

UNASSIGNED = "ingest.unassigned"
"""`Empty` → `UnassignedAnswer`: devices whose readings belong to nobody yet, for techs; no values."""


QUARANTINE = "ingest.quarantine"
"""`QuarantineRequest` → `QuarantineAnswer`: measurements of which nobody can tell by rule whose they are; no values."""

QUARANTINE_CONFIRM = "ingest.quarantine.confirm"
"""`ConfirmRequest` → `Decided`: a person says whose it is; rules then hear it as late data, by when it was taken."""

QUARANTINE_DISMISS = "ingest.quarantine.dismiss"
"""`DismissRequest` → `Decided`: it is no patient's, also if it was confirmed before; it is kept."""


class QuarantineReason(StrEnum):
    """Why a measurement is in quarantine. The last two have the names of `bedside_profiles.ownership.Doubt`."""

    UNDATED_OR_TEST = "undated_or_test"
    HUB_RETIRED = "hub_retired"
    DISOWNED = "disowned"
    USER_UNKNOWN = "user_unknown"
    USER_MISSING = "user_missing"


class StoredReading(Message):
    """A stored reading of a known patient, in the metric's canonical unit."""

    patient_id: str
    device_id: str
    metric: Metric
    value: float | None
    range_flag: RangeFlag | None = None
    modality: Modality
    taken_at_ms: int
    store_id: str
    seq: int


class StoredReadings(Message):
    """Readings of one batch that were stored for the first time. `heard_at_ms` is when the batch came."""

    hub_id: str
    heard_at_ms: int
    readings: tuple[StoredReading, ...]


class StoredAlarm(Message):
    """A hub's alarm as it came, under its identity. `patient_id` is None while the hub serves nobody."""

    hub_id: str
    store_id: str
    patient_id: str | None
    heard_at_ms: int
    alarm: Alarm


class StoredEvent(Message):
    """A hub's event as it came, under its identity."""

    hub_id: str
    store_id: str
    event: Event


class LatestRequest(Message):
    """The newest reading of every metric of each of `patient_ids`."""

    patient_ids: tuple[str, ...]


class LatestAnswer(Message):
    """One reading per patient and metric that there is."""

    readings: tuple[StoredReading, ...]


class TrendRequest(Message):
    """Readings of one metric of one patient with `from_ms` ≤ taken_at < `until_ms`, at most `most` (newest win).

    With `columns` the time is cut into so many equal spans, and of each only the lowest and the highest reading are
    answered: a picture of so many columns shows every dip, however long the time. A reading without a number counts
    as lower or higher than every number.
    """

    patient_id: str
    metric: Metric
    from_ms: int
    until_ms: int
    most: int = 5000
    columns: int | None = None


class TrendPoint(Message):
    """One stored reading of a trend."""

    taken_at_ms: int
    value: float | None
    range_flag: RangeFlag | None = None


class TrendAnswer(Message):
    """In order of time."""

    points: tuple[TrendPoint, ...]


class WaveformsRequest(Message):
    """Pieces of one signal of one patient with `from_ms` ≤ taken_at < `until_ms`, at most `most` (newest win)."""

    patient_id: str
    signal: Signal
    from_ms: int
    until_ms: int
    most: int = 600


class WaveformPiece(Message):
    """Samples in a row, oldest first, in the signal's unit; `taken_at_ms` is when the first of them was taken."""

    device_id: str
    rate_hz: float
    samples: tuple[int, ...]
    taken_at_ms: int


class WaveformsAnswer(Message):
    """In order of time."""

    pieces: tuple[WaveformPiece, ...]


class UnassignedDevice(Message):
    """How many readings of a device wait for a patient, and since when."""

    hub_id: str
    device_id: str
    readings: int
    first_taken_at_ms: int
    last_taken_at_ms: int


class UnassignedAnswer(Message):
    """Devices with unassigned readings."""

    devices: tuple[UnassignedDevice, ...]


class QuarantineRequest(Message):
    """Of one device, or of all; at most `most` measurements, the newest."""

    device_id: str | None = None
    most: int = 200


class QuarantinedMeasurement(Message):
    """One measurement. `hub_id`, `store_id` and `first_seq` name it; `user` is the slot that the device named.

    `taken_at_ms` is when the hub heard it where nothing dates it; `device_time` what the device's clock said.
    """

    hub_id: str
    store_id: str
    first_seq: int
    device_id: str
    metrics: tuple[Metric, ...]
    taken_at_ms: int
    device_time: str | None = None
    user: int | None = None
    reason: QuarantineReason


class QuarantineAnswer(Message):
    """In order of time, the newest first; `more` when there are others."""

    measurements: tuple[QuarantinedMeasurement, ...]
    more: bool = False


class ConfirmRequest(Message):
    """`person_id` says that the measurement is this patient's, and when it was taken, if that was known to nobody.

    `store_id` may be cut, as long as the hub has no other store that begins so.
    """

    hub_id: str
    store_id: str
    first_seq: int
    patient_id: str
    person_id: str
    taken_at_ms: int | None = None


class DismissRequest(Message):
    """`person_id` says that it is no patient's. `store_id` as in `ConfirmRequest`."""

    hub_id: str
    store_id: str
    first_seq: int
    person_id: str


class Decided(Message):
    """How many readings the measurement has."""

    readings: int
