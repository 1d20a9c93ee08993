"""What a continuous glucose sensor tells of itself: its features (2AA8), status (2AA9), session (2AAA, 2AAB)."""

from bedside_profiles.bluetooth.end_to_end import end_with_crc, is_whole
from bedside_profiles.cursor import Cursor
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Decoded, Fact, Service, sig_uuid

NAME = "bluetooth.cgm_session"
SERVICE = sig_uuid(0x181F)
FEATURE, STATUS, START_TIME, RUN_TIME = (sig_uuid(short) for short in (0x2AA8, 0x2AA9, 0x2AAA, 0x2AAB))

_E2E_CRC_SUPPORTED = 1 << 12
_NO_CRC = 0xFFFF

FEATURES = (
    "calibration",
    "patient_limits",
    "hypo_alert",
    "hyper_alert",
    "rate_alert",
    "device_alert",
    "malfunction_detection",
    "temperature_detection",
    "result_range_detection",
    "low_battery_detection",
    "sensor_type_detection",
    "device_fault",
    "e2e_crc",
    "several_bonds",
    "several_sessions",
    "trend",
    "quality",
)

_QUARTER_HOUR_MINUTES = 15
_UNKNOWN_ZONE, _UNKNOWN_DAYLIGHT_SAVING = -128, 255
_DAYLIGHT_SAVING_MINUTES = {0: 0, 2: 30, 4: 60, 8: 120}


def decode(characteristic: str, payload: bytes) -> Decoded:
    """One value as facts. Raises `DecodeError`; a CRC is checked wherever there is one."""
    readers = {FEATURE: _feature, STATUS: _status, START_TIME: _start_time, RUN_TIME: _run_time}
    if characteristic not in readers:
        raise DecodeError(NAME, f"no characteristic of this service: {characteristic}", payload)
    return Decoded(facts=readers[characteristic](Cursor(NAME, payload), payload))


def _feature(cursor: Cursor, payload: bytes) -> tuple[Fact, ...]:
    bits, kind = cursor.unsigned(3, "features"), cursor.unsigned(1, "type and sample location")
    crc = cursor.unsigned(2, "E2E-CRC")
    cursor.end()
    if not (is_whole(payload[:-2], crc) if bits & _E2E_CRC_SUPPORTED else crc == _NO_CRC):
        raise cursor.error("wrong E2E-CRC")
    return (
        Fact("features", tuple([name for place, name in enumerate(FEATURES) if bits >> place & 1])),
        Fact("sample_type", kind & 0x0F),
        Fact("sample_location", kind >> 4),
    )


def _status(cursor: Cursor, payload: bytes) -> tuple[Fact, ...]:
    minutes = cursor.unsigned(2, "time offset")
    octets = [cursor.unsigned(1, what) for what in ("status", "calibration", "warning")]
    end_with_crc(cursor, payload)
    return (
        Fact("minutes_since_session_start", minutes),
        *(
            Fact(f"sensor_{name}", octet)
            for name, octet in zip(("status", "calibration", "warning"), octets, strict=True)
        ),
    )


def _start_time(cursor: Cursor, payload: bytes) -> tuple[Fact, ...]:
    moment = cursor.date_time("start time")
    zone, saving = cursor.signed(1, "time zone"), cursor.unsigned(1, "daylight saving")
    end_with_crc(cursor, payload)
    facts = [] if moment is None else [Fact("session_start", moment.isoformat())]
    if zone != _UNKNOWN_ZONE:
        facts.append(Fact("time_zone_minutes", zone * _QUARTER_HOUR_MINUTES))
    if saving in _DAYLIGHT_SAVING_MINUTES:
        facts.append(Fact("daylight_saving_minutes", _DAYLIGHT_SAVING_MINUTES[saving]))
    elif saving != _UNKNOWN_DAYLIGHT_SAVING:
        raise cursor.error(f"no daylight saving: {saving}")
    return (Fact("session_start_known", moment is not None), *facts)


def _run_time(cursor: Cursor, payload: bytes) -> tuple[Fact, ...]:
    hours = cursor.unsigned(2, "run time")
    end_with_crc(cursor, payload)
    return (Fact("session_run_time_h", hours),)


SERVICE_PROFILE = Service(NAME, "Sensor session", SERVICE, (FEATURE, STATUS, START_TIME, RUN_TIME), decode)
