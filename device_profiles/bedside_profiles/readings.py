"""What a device measures, in canonical units, and a reading as the hub stores it.

Codes are LOINC and ISO/IEEE 11073-10101 (MDC, partition × 65536 + term); units are UCUM.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Metric(StrEnum):
    """A quantity with exactly one canonical unit (`METRICS`)."""

    SPO2 = "spo2"
    PULSE_RATE = "pulse_rate"
    HEART_RATE = "heart_rate"
    RR_INTERVAL = "rr_interval"
    PERFUSION_INDEX = "perfusion_index"
    SYSTOLIC_PRESSURE = "systolic_pressure"
    DIASTOLIC_PRESSURE = "diastolic_pressure"
    MEAN_PRESSURE = "mean_pressure"
    CUFF_PRESSURE = "cuff_pressure"
    BODY_TEMPERATURE = "body_temperature"
    RESPIRATORY_RATE = "respiratory_rate"
    BODY_WEIGHT = "body_weight"
    GLUCOSE = "glucose"
    GLUCOSE_TREND = "glucose_trend"
    KETONE = "ketone"
    BODY_FAT = "body_fat"
    BODY_WATER = "body_water"
    MUSCLE_SHARE = "muscle_share"
    SOFT_LEAN_MASS = "soft_lean_mass"
    BODY_MASS_INDEX = "body_mass_index"
    BODY_HEIGHT = "body_height"
    BASAL_METABOLISM = "basal_metabolism"
    IMPEDANCE = "impedance"
    CARBOXYHAEMOGLOBIN = "carboxyhaemoglobin"
    METHAEMOGLOBIN = "methaemoglobin"
    FEV1 = "fev1"
    FVC = "fvc"
    PEAK_FLOW = "peak_flow"
    BATTERY_LEVEL = "battery_level"


class RangeFlag(StrEnum):
    """A reading without a number: the device could only say on which side of its range the value lies."""

    ABOVE = "above"
    BELOW = "below"


class Modality(StrEnum):
    """How the value was taken: rules treat a stream and a single check differently."""

    CONTINUOUS = "continuous"
    SPOT = "spot"


class Quality(StrEnum):
    """What the device itself says against its own value. The value stands; a reader decides."""

    MOTION = "motion"
    WEAK_SIGNAL = "weak_signal"
    IRREGULAR_PULSE = "irregular_pulse"
    CUFF_LOOSE = "cuff_loose"
    POSITION = "position"
    RATE_ABOVE_RANGE = "rate_above_range"
    RATE_BELOW_RANGE = "rate_below_range"
    QUESTIONABLE = "questionable"
    ARTIFACT = "artifact"
    LOW_BATTERY = "low_battery"
    NO_CONTACT = "no_contact"
    DEVICE_CLOCK_UNSET = "device_clock_unset"


class ClockQuality(StrEnum):
    """How far `taken_at_ms` can be trusted.

    `synced`: the hub knew the time. `resolved`: it did not, and found out later in the same boot: right within a second
    for each five hours between. `estimated`: it never knew in that boot; the time lies between the neighbouring boots
    and the order is right. `unsynced`: whatever the hub's clock showed.
    """

    SYNCED = "synced"
    UNSYNCED = "unsynced"
    RESOLVED = "resolved"
    ESTIMATED = "estimated"


class Attribution(StrEnum):
    """Whose reading it is believed to be (see `docs/hazards.md`, whose reading)."""

    ASSIGNED = "assigned"
    QUARANTINED = "quarantined"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """`unit` is UCUM; `lowest` and `highest` bound what is physically possible, not what is healthy."""

    label: str
    unit: str
    loinc: str | None
    mdc: int | None
    lowest: float
    highest: float
    decimals: int


METRICS: Mapping[Metric, MetricFacts] = MappingProxyType(
    {
        Metric.SPO2: MetricFacts("Oxygen saturation", "%", "59408-5", 150456, 0, 100, 0),
        Metric.PULSE_RATE: MetricFacts("Pulse rate", "/min", "8867-4", 149530, 0, 400, 0),
        Metric.HEART_RATE: MetricFacts("Heart rate", "/min", "8867-4", 147842, 0, 400, 0),
        Metric.RR_INTERVAL: MetricFacts("R-R interval", "ms", None, None, 0, 64000, 0),
        Metric.PERFUSION_INDEX: MetricFacts("Perfusion index", "%", "61006-3", 150448, 0, 100, 2),
        Metric.SYSTOLIC_PRESSURE: MetricFacts("Systolic pressure", "mm[Hg]", "8480-6", 150021, 0, 400, 0),
        Metric.DIASTOLIC_PRESSURE: MetricFacts("Diastolic pressure", "mm[Hg]", "8462-4", 150022, 0, 400, 0),
        Metric.MEAN_PRESSURE: MetricFacts("Mean pressure", "mm[Hg]", "8478-0", 150023, 0, 400, 0),
        Metric.CUFF_PRESSURE: MetricFacts("Cuff pressure", "mm[Hg]", None, None, 0, 400, 0),
        Metric.BODY_TEMPERATURE: MetricFacts("Body temperature", "Cel", "8310-5", 150364, 0, 60, 1),
        Metric.RESPIRATORY_RATE: MetricFacts("Respiratory rate", "/min", "9279-1", 151562, 0, 150, 0),
        Metric.BODY_WEIGHT: MetricFacts("Body weight", "kg", "29463-7", 188736, 0, 700, 1),
        Metric.GLUCOSE: MetricFacts("Glucose", "mg/dL", "2339-0", 160184, 0, 2000, 0),
        Metric.GLUCOSE_TREND: MetricFacts("Glucose trend", "mg/dL/min", None, None, -50, 50, 1),
        Metric.KETONE: MetricFacts("Blood ketone", "mmol/L", None, None, 0, 20, 1),
        Metric.BODY_FAT: MetricFacts("Body fat", "%", "41982-0", 188748, 0, 100, 1),
        Metric.BODY_WATER: MetricFacts("Body water", "kg", None, 188764, 0, 400, 1),
        Metric.MUSCLE_SHARE: MetricFacts("Muscle", "%", None, None, 0, 100, 1),
        Metric.SOFT_LEAN_MASS: MetricFacts("Soft lean mass", "kg", None, None, 0, 400, 1),
        Metric.BODY_MASS_INDEX: MetricFacts("Body mass index", "kg/m2", "39156-5", 188752, 0, 250, 1),
        Metric.BODY_HEIGHT: MetricFacts("Body height", "cm", "8302-2", 188740, 0, 300, 0),
        Metric.BASAL_METABOLISM: MetricFacts("Basal metabolism", "kJ", None, None, 0, 60000, 0),
        Metric.IMPEDANCE: MetricFacts("Body impedance", "Ohm", None, None, 0, 10000, 0),
        Metric.CARBOXYHAEMOGLOBIN: MetricFacts("Carboxyhaemoglobin", "%", None, None, 0, 100, 1),
        Metric.METHAEMOGLOBIN: MetricFacts("Methaemoglobin", "%", None, None, 0, 100, 1),
        Metric.FEV1: MetricFacts("FEV1", "L", "20150-9", 152586, 0, 12, 2),
        Metric.FVC: MetricFacts("FVC", "L", "19868-9", 188928, 0, 12, 2),
        Metric.PEAK_FLOW: MetricFacts("Peak flow", "L/min", "33452-4", 152584, 0, 1500, 0),
        Metric.BATTERY_LEVEL: MetricFacts("Battery level", "%", None, None, 0, 100, 0),
    }
)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value that a profile decoded from a device's bytes.

    `value` is in the metric's canonical unit; it is None exactly when `range_flag` says on which side of the
    device's range it lies. `device_time` is the device's own wall time, ISO 8601 without a zone.
    `device_user` is the slot on a shared device. `record` is the number under which the device keeps it, where it says
    one: it tells a reading that comes again from a new one, and is no part of what was measured. `is_live` is said of a
    single check that cannot come out of a memory: it was taken now, whatever the device's clock shows. Members of one
    measurement (systolic, diastolic, pulse) come from one call of a decoder.
    """

    metric: Metric
    value: float | None
    modality: Modality
    range_flag: RangeFlag | None = None
    quality: tuple[Quality, ...] = ()
    device_time: str | None = None
    device_user: int | None = None
    record: int | None = field(default=None, compare=False)
    is_live: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        if (self.value is None) == (self.range_flag is None):
            raise ValueError("a measurement has either a value or a range flag")


@dataclass(frozen=True, slots=True)
class Reading:
    """A measurement as the hub stored it; its identity is (hub, store_id, lane, `seq`).

    `taken_at_ms` is UTC milliseconds since 1970, `monotonic_ms` counts from the boot named by `boot_id` (the
    hub's clock can be wrong, its order cannot). `group` is the `seq` of the first member of one measurement.
    """

    seq: int
    device_id: str
    metric: Metric
    value: float | None
    modality: Modality
    taken_at_ms: int
    boot_id: str
    monotonic_ms: int
    clock_quality: ClockQuality
    range_flag: RangeFlag | None = None
    quality: tuple[Quality, ...] = ()
    device_time: str | None = None
    device_user: int | None = None
    attribution: Attribution = Attribution.ASSIGNED
    group: int | None = None
