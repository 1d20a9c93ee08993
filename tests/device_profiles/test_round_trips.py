"""Every profile of a device in the air reads what it writes, for whatever a patient has: the serial ones likewise.

The serial ones are in `test_serial_framers.py`, together with what happens to them on a bad line.
"""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_profiles.advert import mibeacon_scale
from bedside_profiles.catalogue import ADVERTS, CATALOGUE
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Advert, BleProfile, Decoded, SerialProfile
from bedside_profiles.readings import Measurement
from bedside_sim.devices.radio_sets import KINDS, NOT_PLAYED
from bedside_sim.patients import Vitals

IN_THE_AIR = {one.name: one for one in (*CATALOGUE, *ADVERTS) if not isinstance(one, SerialProfile)}

VITALS = st.builds(
    Vitals,
    spo2=st.floats(70, 100),
    pulse_rate=st.floats(51, 126),
    respiratory_rate=st.floats(8, 40),
    perfusion_index=st.floats(0.1, 19.9),
    systolic=st.floats(100, 250),
    diastolic=st.floats(40, 79),
    mean=st.floats(80, 99),
)


SAYS_IT = {"bluetooth.body_composition": 1}
"""The place of the characteristic that holds all of it, where it is not the first."""

COUNTS_MINUTES = "bluetooth.continuous_glucose"
"""Since its session began, which another characteristic tells: a record holds no date."""


def told(name: str, measured: tuple[Measurement, ...]) -> tuple[Measurement, ...]:
    """All that comes out of what the device says, also what waits for more."""
    profile = IN_THE_AIR[name]
    outcomes: list[Decoded | DecodeError | None]
    if isinstance(profile, BleProfile):
        listener, said = profile.listen(), profile.characteristics[SAYS_IT.get(name, 0)].uuid
        outcomes = [*listener.feed(said, profile.encode(said, measured)), listener.rest()]
    else:
        sealed = profile.needs_bind_key
        address = mibeacon_scale.SIMULATED_ADDRESS if sealed else "F0:BE:D5:1D:00:21"
        key = mibeacon_scale.SIMULATED_KEY if sealed else None
        outcomes = [profile.decode(Advert(profile.encode(measured), address, key))]
    assert not any(isinstance(one, DecodeError) for one in outcomes)
    return tuple(one for outcome in outcomes if isinstance(outcome, Decoded) for one in outcome.measurements)


@pytest.mark.parametrize("name", sorted(KINDS))
@given(vitals=VITALS, number=st.integers(0, 5_000))
@settings(max_examples=60)
def test_reads_what_it_writes(name: str, vitals: Vitals, number: int) -> None:
    measured = KINDS[name].kind.measured(vitals, number)
    if name == COUNTS_MINUTES:
        measured = tuple(replace(one, device_time=None) for one in measured)
    found = told(name, measured)
    assert {(one.metric, one.value, one.modality, one.device_time) for one in found} == {
        (one.metric, one.value, one.modality, one.device_time) for one in measured
    }


def test_every_profile_is_held_to_it() -> None:
    assert set(IN_THE_AIR) == set(KINDS) | set(NOT_PLAYED)
