"""What a simulated device on Bluetooth measures of the patient and what plays it, profile by profile.

Every profile of the catalogue that a hub finds in the air stands in `KINDS`, or in `NOT_PLAYED` with the reason.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bedside_profiles.advert import mi_scale, mibeacon_scale
from bedside_profiles.bluetooth import (
    berrymed_bm1000,
    jumper_jpd500f,
    nonin_3230,
    o2ring,
    o2ring_s,
    omron_memory,
    omron_record,
    pc60fw,
    sanitas_sbf70,
    yonker_cuff,
    yuwell_oximeter,
)
from bedside_profiles.bluetooth.omron_conversation import UNLOCK
from bedside_profiles.catalogue import ADVERTS, CATALOGUE
from bedside_profiles.profile import BleProfile
from bedside_profiles.readings import Metric, Modality
from bedside_sim.devices.advertiser import Advertiser
from bedside_sim.devices.blood_pressure_cuff import BloodPressureCuff
from bedside_sim.devices.glucose_meter import GlucoseMeter
from bedside_sim.devices.glucose_sensor import MINUTES, GlucoseSensor
from bedside_sim.devices.heart_rate_strap import HeartRateStrap
from bedside_sim.devices.kinds import (
    FIRST_MOMENT,
    Kind,
    checked,
    glucose,
    oximetry,
    pressure,
    pressure_with_mean,
    streamed,
    temperature,
)
from bedside_sim.devices.omron_cuff import OmronCuff
from bedside_sim.devices.polar_h10 import PolarH10
from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.devices.scale import BodyCompositionScale, WeightScale
from bedside_sim.devices.thermometer import Thermometer
from bedside_sim.devices.vendor_device import Script, VendorDevice
from bedside_sim.devices.vendor_scripts import (
    Bp2wMemory,
    KeptAlive,
    KnMemory,
    MicrolifeMemory,
    Polled,
    Sp10Memory,
    Speaks,
)
from bedside_sim.journal import Journal
from bedside_sim.patients import Vitals
from bedside_sim.radio import Air

Player = (
    Advertiser
    | BloodPressureCuff
    | GlucoseMeter
    | GlucoseSensor
    | HeartRateStrap
    | PulseOximeter
    | Thermometer
    | VendorDevice
    | WeightScale
)

NEVER_BY_ITSELF = 1 << 31
"""Seconds between two measurements of a player whose measurements the world decides on."""

SCALE_USERS = {1: 1111}
"""Consent code by user index."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device is made. `address` is one that it may have; a profile that seals for an address has its own."""

    air: Air
    journal: Journal
    device_id: str
    address: str


@dataclass(frozen=True, slots=True)
class RadioKind:
    """`play` makes the device. One that `keeps` its results has taken them, whoever listens, and tells them later."""

    kind: Kind
    play: Callable[[Place], Player]
    keeps: bool = False


def _oximetry_with_perfusion(vitals: Vitals, number: int) -> Mapping[Metric, float]:
    return {**oximetry(vitals, number), Metric.PERFUSION_INDEX: round(vitals.perfusion_index, 1)}


def _heart_rate(vitals: Vitals, _number: int) -> Mapping[Metric, float]:
    return {Metric.HEART_RATE: float(round(vitals.pulse_rate))}


def _weight(_vitals: Vitals, number: int) -> Mapping[Metric, float]:
    return {Metric.BODY_WEIGHT: 71.0 + 0.5 * (number % 15)}


def _weight_and_fat(vitals: Vitals, number: int) -> Mapping[Metric, float]:
    return {**_weight(vitals, number), Metric.BODY_FAT: round(22.0 + 0.1 * (number % 15), 1)}


def _weight_and_impedance(vitals: Vitals, number: int) -> Mapping[Metric, float]:
    return {**_weight(vitals, number), Metric.IMPEDANCE: float(480 + number % 40)}


def _weight_and_heart_rate(vitals: Vitals, number: int) -> Mapping[Metric, float]:
    return {**_weight_and_impedance(vitals, number), **_heart_rate(vitals, number)}


def _breath(_vitals: Vitals, number: int) -> Mapping[Metric, float]:
    return {
        Metric.FVC: round(4.0 + 0.01 * (number % 50), 2),
        Metric.FEV1: round(3.0 + 0.01 * (number % 50), 2),
        Metric.PEAK_FLOW: float(420 + 6 * (number % 20)),
    }


def _vendor(
    profile_name: str,
    script: Callable[[], Script],
    *,
    model_number: str | None = None,
    also_heeds: Sequence[str] = (),
) -> Callable[[Place], Player]:
    def play(place: Place) -> Player:
        profile = next(one for one in CATALOGUE if one.name == profile_name)
        assert isinstance(profile, BleProfile)  # noqa: S101 - the table below names no other
        return VendorDevice(
            place.air,
            place.journal,
            profile,
            script(),
            device_id=place.device_id,
            name=f"Sim {profile.label}"[:20],
            address=place.address,
            model_number=model_number,
            also_heeds=also_heeds,
        )

    return play


def _omron(profile_name: str, model: str) -> RadioKind:
    memory = omron_memory.memory_of(model.encode())
    assert memory is not None  # noqa: S101 - the table below names no other
    play = _vendor(profile_name, lambda: OmronCuff([], memory), model_number=model, also_heeds=(UNLOCK,))
    return RadioKind(checked(pressure), play, keeps=True)


def _speaks(profile: BleProfile) -> Callable[[Place], Player]:
    return _vendor(profile.name, lambda: Speaks(profile))


def _advert(profile_name: str) -> Callable[[Place], Player]:
    def play(place: Place) -> Player:
        profile = next(one for one in ADVERTS if one.name == profile_name)
        sealed = profile.needs_bind_key
        return Advertiser(
            place.air,
            profile,
            place.journal,
            device_id=place.device_id,
            address=mibeacon_scale.SIMULATED_ADDRESS if sealed else place.address,
            bind_key=mibeacon_scale.SIMULATED_KEY if sealed else None,
        )

    return play


def _cuff(place: Place) -> Player:
    return BloodPressureCuff(
        place.air,
        place.journal,
        device_id=place.device_id,
        address=place.address,
        every_seconds=NEVER_BY_ITSELF,
    )


def _strap(place: Place) -> Player:
    return HeartRateStrap(place.air, place.journal, device_id=place.device_id, address=place.address)


def _polar_h10(place: Place) -> Player:
    return PolarH10(place.air, place.journal, device_id=place.device_id, address=place.address)


def _oximeter(place: Place) -> Player:
    return PulseOximeter(place.air, place.journal, device_id=place.device_id, address=place.address)


def _thermometer(place: Place) -> Player:
    return Thermometer(
        place.air,
        place.journal,
        device_id=place.device_id,
        address=place.address,
        every_seconds=NEVER_BY_ITSELF,
    )


def _scale(place: Place) -> Player:
    return WeightScale(place.air, place.journal, device_id=place.device_id, address=place.address)


def _scale_with_users(place: Place) -> Player:
    return BodyCompositionScale(
        place.air, place.journal, device_id=place.device_id, address=place.address, users=SCALE_USERS
    )


def _meter(place: Place) -> Player:
    return GlucoseMeter(place.air, place.journal, device_id=place.device_id, address=place.address)


def _sensor(place: Place) -> Player:
    return GlucoseSensor(
        place.air,
        place.journal,
        device_id=place.device_id,
        address=place.address,
        session_start=FIRST_MOMENT,
    )


def _ring(command: bytes) -> bool:
    return command == o2ring.encode_command(o2ring.READ_VALUES)[0]


def _ring_s(command: bytes) -> bool:
    return o2ring_s.decode_command(command).facts[0].value == o2ring_s.LIVE


_RINGS_VALUES, _RING_S_VALUES = streamed(_oximetry_with_perfusion), streamed(oximetry)
_SENSED = Kind(glucose, Modality.CONTINUOUS, has_time=True, every_seconds=MINUTES)

KINDS: Mapping[str, RadioKind] = {
    "bluetooth.blood_pressure": RadioKind(checked(pressure_with_mean), _cuff),
    "bluetooth.heart_rate": RadioKind(streamed(_heart_rate), _strap),
    "bluetooth.polar_h10": RadioKind(streamed(_heart_rate), _polar_h10),
    "bluetooth.pulse_oximeter": RadioKind(streamed(_oximetry_with_perfusion), _oximeter),
    "bluetooth.thermometer": RadioKind(checked(temperature), _thermometer),
    "bluetooth.weight_scale": RadioKind(checked(_weight), _scale),
    "bluetooth.body_composition": RadioKind(checked(_weight_and_fat), _scale_with_users),
    "bluetooth.glucose": RadioKind(checked(glucose), _meter, keeps=True),
    "bluetooth.continuous_glucose": RadioKind(_SENSED, _sensor, keeps=True),
    "bluetooth.contec_sp10": RadioKind(
        checked(_breath), _vendor("bluetooth.contec_sp10", lambda: Sp10Memory([])), keeps=True
    ),
    "bluetooth.berrymed_bm1000": RadioKind(streamed(oximetry), _speaks(berrymed_bm1000.PROFILE)),
    "bluetooth.contec_cms50d_bt": RadioKind(streamed(oximetry), _vendor("bluetooth.contec_cms50d_bt", KeptAlive)),
    "bluetooth.ihealth_kn550": RadioKind(
        checked(pressure), _vendor("bluetooth.ihealth_kn550", lambda: KnMemory([])), keeps=True
    ),
    "bluetooth.jumper_jpd500f": RadioKind(streamed(_oximetry_with_perfusion), _speaks(jumper_jpd500f.PROFILE)),
    "bluetooth.lepu_bp2w": RadioKind(
        checked(pressure_with_mean), _vendor("bluetooth.lepu_bp2w", lambda: Bp2wMemory([])), keeps=True
    ),
    "bluetooth.microlife_bp3gy1": RadioKind(
        checked(pressure), _vendor("bluetooth.microlife_bp3gy1", lambda: MicrolifeMemory([])), keeps=True
    ),
    "bluetooth.nonin_3230": RadioKind(streamed(_oximetry_with_perfusion), _speaks(nonin_3230.PROFILE)),
    "bluetooth.o2ring": RadioKind(_RINGS_VALUES, _vendor("bluetooth.o2ring", lambda: Polled(o2ring.PROFILE, _ring))),
    "bluetooth.o2ring_s": RadioKind(
        _RING_S_VALUES, _vendor("bluetooth.o2ring_s", lambda: Polled(o2ring_s.PROFILE, _ring_s))
    ),
    "bluetooth.omron_hem_14": _omron("bluetooth.omron_hem_14", "HEM-7146T2-EBK"),
    "bluetooth.omron_hem_16": _omron("bluetooth.omron_hem_16", "HEM-7155T-MW"),
    "bluetooth.omron_hem_big_endian": _omron("bluetooth.omron_hem_big_endian", "HEM-7322T-D"),
    "bluetooth.pc60fw": RadioKind(streamed(_oximetry_with_perfusion), _speaks(pc60fw.PROFILE)),
    "bluetooth.sanitas_sbf70": RadioKind(checked(_weight, has_time=False), _speaks(sanitas_sbf70.PROFILE)),
    "bluetooth.yonker_cuff": RadioKind(checked(pressure), _speaks(yonker_cuff.PROFILE)),
    "bluetooth.yuwell_oximeter": RadioKind(streamed(_oximetry_with_perfusion), _speaks(yuwell_oximeter.PROFILE)),
    mi_scale.V1_NAME: RadioKind(checked(_weight), _advert(mi_scale.V1_NAME)),
    mi_scale.V2_NAME: RadioKind(checked(_weight_and_impedance), _advert(mi_scale.V2_NAME)),
    mibeacon_scale.NAME: RadioKind(checked(_weight_and_heart_rate, has_time=False), _advert(mibeacon_scale.NAME)),
    "advert.polar_heart_rate": RadioKind(streamed(_heart_rate), _advert("advert.polar_heart_rate")),
}

NOT_PLAYED: Mapping[str, str] = {
    omron_record.NAME: "a cuff of a model that is not known: nothing is measured with it",
}
"""Why not, by the profile's name."""
