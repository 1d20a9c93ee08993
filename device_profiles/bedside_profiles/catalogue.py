"""Every device kind that Bedside knows. A profile that is not in one of these tuples does not exist."""

from bedside_profiles.advert import mi_scale, mibeacon_scale, polar_heart_rate
from bedside_profiles.bluetooth import (
    and_control,
    battery_service,
    berrymed_bm1000,
    blood_pressure,
    cgm_session,
    clock,
    contec_cms50d_bt,
    contec_sp10,
    continuous_glucose,
    device_information,
    features,
    glucose,
    heart_rate,
    ihealth_kn550,
    jumper_jpd500f,
    lepu_bp2w,
    microlife_bp3gy1,
    nonin_3230,
    o2ring,
    o2ring_s,
    omron_hem,
    pc60fw,
    polar_h10,
    polar_pmd,
    pulse_oximeter,
    sanitas_sbf70,
    thermometer,
    user_control,
    weight_scale,
    yonker_cuff,
    yuwell_oximeter,
)
from bedside_profiles.profile import AdvertProfile, Profile, Service
from bedside_profiles.serial import (
    bayer_contour,
    contec_cms50,
    contec_cms50_5_byte,
    masimo_ascii,
    nellcor_ascii,
    nonin_9560,
    nonin_df2,
    nonin_df8,
    onetouch_ultra2,
    onetouch_ultraeasy,
    personal_health_device,
    suntech_nibp,
    taidoc,
)

CATALOGUE: tuple[Profile, ...] = (
    blood_pressure.PROFILE,
    heart_rate.PROFILE,
    pulse_oximeter.PROFILE,
    thermometer.PROFILE,
    weight_scale.PROFILE,
    weight_scale.BODY_COMPOSITION_PROFILE,
    glucose.PROFILE,
    continuous_glucose.PROFILE,
    contec_sp10.PROFILE,
    nonin_df2.PROFILE,
    # Makers' own services over Bluetooth.
    berrymed_bm1000.PROFILE,
    contec_cms50d_bt.PROFILE,
    ihealth_kn550.PROFILE,
    jumper_jpd500f.PROFILE,
    lepu_bp2w.PROFILE,
    microlife_bp3gy1.PROFILE,
    nonin_3230.PROFILE,
    o2ring.PROFILE,
    o2ring_s.PROFILE,
    *omron_hem.PROFILES,
    pc60fw.PROFILE,
    polar_h10.PROFILE,
    sanitas_sbf70.PROFILE,
    yonker_cuff.PROFILE,
    yuwell_oximeter.PROFILE,
    nonin_df2.PROFILE_7,
    nonin_df8.PROFILE,
    nonin_df8.PROFILE_1,
    nonin_9560.PROFILE,
    contec_cms50.PROFILE,
    contec_cms50_5_byte.PROFILE,
    contec_cms50_5_byte.ODD_PARITY,
    contec_cms50_5_byte.SLOW,
    masimo_ascii.PROFILE,
    nellcor_ascii.PROFILE,
    onetouch_ultra2.PROFILE,
    onetouch_ultraeasy.PROFILE,
    taidoc.PROFILE,
    taidoc.PRESSURE,
    taidoc.TEMPERATURE,
    bayer_contour.PROFILE,
    suntech_nibp.PROFILE,
    personal_health_device.OXIMETER,
    personal_health_device.BLOOD_PRESSURE,
    personal_health_device.SCALE,
)
"""What a hub connects to."""

ADVERTS: tuple[AdvertProfile, ...] = (*mi_scale.PROFILES, mibeacon_scale.PROFILE, polar_heart_rate.PROFILE)
"""What a hub hears without a connection."""

SERVICES: tuple[Service, ...] = (
    battery_service.SERVICE_PROFILE,
    clock.SERVICE_PROFILE,
    device_information.SERVICE_PROFILE,
    features.SERVICE_PROFILE,
    cgm_session.SERVICE_PROFILE,
    user_control.SERVICE_PROFILE,
    and_control.SERVICE_PROFILE,
    polar_pmd.SERVICE_PROFILE,
)
"""What devices have beside their own: battery, clock, name plate."""


def profile_named(name: str) -> Profile | AdvertProfile | None:
    """The profile of that name among those that a hub connects to or hears; None when there is none."""
    return next((profile for profile in (*CATALOGUE, *ADVERTS) if profile.name == name), None)
