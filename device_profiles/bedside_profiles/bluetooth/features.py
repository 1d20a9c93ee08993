"""What devices say once of what they can: features, where a sensor is worn, how often it measures.

Each stands in the service of its measurement; none of it changes how a measurement is read.
"""

from bedside_profiles.bluetooth.thermometer import site_facts
from bedside_profiles.cursor import Cursor
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Decoded, Fact, Service, sig_uuid

NAME = "bluetooth.features"

TEMPERATURE_TYPE, MEASUREMENT_INTERVAL, SENSOR_LOCATION = (sig_uuid(short) for short in (0x2A1D, 0x2A21, 0x2A38))
BLOOD_PRESSURE, GLUCOSE, OXIMETER, BODY_COMPOSITION, WEIGHT_SCALE = (
    sig_uuid(short) for short in (0x2A49, 0x2A51, 0x2A60, 0x2A9B, 0x2A9E)
)

SENSOR_LOCATIONS = ("other", "chest", "wrist", "finger", "hand", "ear_lobe", "foot")

_WEIGHT_NAMES = ("timestamp", "several_users", "body_mass_index")
FEATURES = {
    BLOOD_PRESSURE: (
        2,
        (
            "movement_detection",
            "cuff_fit_detection",
            "irregular_pulse_detection",
            "rate_range_detection",
            "position_detection",
            "several_bonds",
        ),
    ),
    GLUCOSE: (
        2,
        (
            "low_battery_detection",
            "malfunction_detection",
            "sample_size_detection",
            "strip_insertion_detection",
            "strip_type_detection",
            "result_range_detection",
            "temperature_detection",
            "read_interrupt_detection",
            "device_fault",
            "time_fault",
            "several_bonds",
        ),
    ),
    BODY_COMPOSITION: (
        4,
        (
            "timestamp",
            "several_users",
            "basal_metabolism",
            "muscle_share",
            "muscle_mass",
            "fat_free_mass",
            "soft_lean_mass",
            "body_water",
            "impedance",
            "weight",
            "height",
        ),
    ),
    WEIGHT_SCALE: (4, _WEIGHT_NAMES),
}
"""The bytes of a feature characteristic, and the names of its bits from the lowest on."""

_OXIMETER_NAMES = (
    "measurement_status",
    "sensor_status",
    "stored_measurements",
    "timestamp",
    "fast_average",
    "slow_average",
    "pulse_amplitude_index",
    "several_bonds",
)
_OXIMETER_MEASUREMENT_STATUS, _OXIMETER_SENSOR_STATUS = 0x01, 0x02


def decode(characteristic: str, payload: bytes) -> Decoded:
    """One value as facts. Raises `DecodeError`."""
    cursor = Cursor(NAME, payload)
    facts: tuple[Fact, ...]
    if characteristic in FEATURES:
        size, names = FEATURES[characteristic]
        facts = (_named(cursor.unsigned(size, "features"), names),)
    elif characteristic == OXIMETER:
        facts = _oximeter(cursor)
    elif characteristic == TEMPERATURE_TYPE:
        facts = site_facts(cursor.unsigned(1, "temperature type"))
    elif characteristic == MEASUREMENT_INTERVAL:
        facts = (Fact("measurement_interval_s", cursor.unsigned(2, "interval")),)
    elif characteristic == SENSOR_LOCATION:
        code = cursor.unsigned(1, "location")
        named = (Fact("sensor_location", SENSOR_LOCATIONS[code]),) if code < len(SENSOR_LOCATIONS) else ()
        facts = (Fact("sensor_location_code", code), *named)
    else:
        raise DecodeError(NAME, f"no characteristic of features: {characteristic}", payload)
    cursor.end()
    return Decoded(facts=facts)


def _named(bits: int, names: tuple[str, ...]) -> Fact:
    return Fact("features", tuple([name for place, name in enumerate(names) if bits >> place & 1]))


def _oximeter(cursor: Cursor) -> tuple[Fact, ...]:
    bits = cursor.unsigned(2, "features")
    facts = [_named(bits, _OXIMETER_NAMES)]
    if bits & _OXIMETER_MEASUREMENT_STATUS:
        facts.append(Fact("measurement_status_bits", cursor.unsigned(2, "measurement status")))
    if bits & _OXIMETER_SENSOR_STATUS:
        facts.append(Fact("sensor_status_bits", cursor.unsigned(3, "sensor status")))
    return tuple(facts)


SERVICE_PROFILE = Service(
    NAME,
    "Features",
    sig_uuid(0x1800),
    (*FEATURES, OXIMETER, TEMPERATURE_TYPE, MEASUREMENT_INTERVAL, SENSOR_LOCATION),
    decode,
)
