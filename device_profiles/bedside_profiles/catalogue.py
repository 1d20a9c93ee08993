"""Every device kind that Bedside knows. A profile that is not in one of these tuples does not exist."""

from bedside_profiles.bluetooth import (
    battery_service,
    blood_pressure,
    cgm_session,
    continuous_glucose,
    glucose,
    heart_rate,
    pulse_oximeter,
    thermometer,
    weight_scale,
)
from bedside_profiles.profile import AdvertProfile, Profile, Service
from bedside_profiles.serial import nonin_df2

CATALOGUE: tuple[Profile, ...] = (
    blood_pressure.PROFILE,
    heart_rate.PROFILE,
    pulse_oximeter.PROFILE,
    thermometer.PROFILE,
    weight_scale.PROFILE,
    weight_scale.BODY_COMPOSITION_PROFILE,
    glucose.PROFILE,
    continuous_glucose.PROFILE,
    nonin_df2.PROFILE,
)
"""What a hub connects to."""

ADVERTS: tuple[AdvertProfile, ...] = ()
"""What a hub hears without a connection."""

SERVICES: tuple[Service, ...] = (
    battery_service.SERVICE_PROFILE,
    cgm_session.SERVICE_PROFILE,
)
"""What devices have beside their own: battery, clock, name plate."""


def profile_named(name: str) -> Profile | None:
    """The profile of that name among those that a hub connects to; None when there is none."""
    return next((profile for profile in CATALOGUE if profile.name == name), None)
