"""Every device kind that Bedside knows. A profile that is not in this tuple does not exist."""

from bedside_profiles.bluetooth import blood_pressure, heart_rate, pulse_oximeter
from bedside_profiles.profile import Profile
from bedside_profiles.serial import nonin_df2

CATALOGUE: tuple[Profile, ...] = (
    blood_pressure.PROFILE,
    heart_rate.PROFILE,
    pulse_oximeter.PROFILE,
    nonin_df2.PROFILE,
)


def profile_named(name: str) -> Profile | None:
    """The profile of that name; None when there is none."""
    return next((profile for profile in CATALOGUE if profile.name == name), None)
