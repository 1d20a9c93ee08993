"""Every device kind that Bedside knows. A profile that is not in one of these tuples does not exist."""

from bedside_profiles.bluetooth import (
    and_control,
    battery_service,
    blood_pressure,
    cgm_session,
    clock,
    continuous_glucose,
    device_information,
    features,
    glucose,
    heart_rate,
    pulse_oximeter,
    thermometer,
    user_control,
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
    clock.SERVICE_PROFILE,
    device_information.SERVICE_PROFILE,
    features.SERVICE_PROFILE,
    cgm_session.SERVICE_PROFILE,
    user_control.SERVICE_PROFILE,
    and_control.SERVICE_PROFILE,
)
"""What devices have beside their own: battery, clock, name plate."""


def profile_named(name: str) -> Profile | None:
    """The profile of that name among those that a hub connects to; None when there is none."""
    return next((profile for profile in CATALOGUE if profile.name == name), None)
