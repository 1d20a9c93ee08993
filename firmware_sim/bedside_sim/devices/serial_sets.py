"""What a simulated serial device measures of the patient, profile by profile. A profile that is not here cannot be
played."""

from collections.abc import Mapping

from bedside_sim.devices.kinds import (
    Kind,
    checked,
    glucose,
    oximetry,
    oximetry_with_perfusion,
    pressure,
    pressure_with_mean,
    streamed,
    temperature,
    weight,
)

KINDS: Mapping[str, Kind] = {
    "serial.nonin_df2": streamed(oximetry),
    "serial.nonin_df7": streamed(oximetry),
    "serial.nonin_df8": streamed(oximetry),
    "serial.nonin_df1": streamed(oximetry),
    "serial.nonin_9560": checked(oximetry),
    "serial.contec_cms50": streamed(oximetry_with_perfusion),
    "serial.contec_cms50_5_byte": streamed(oximetry),
    "serial.contec_cms50_5_byte_odd": streamed(oximetry),
    "serial.contec_cms50_5_byte_4800": streamed(oximetry),
    "serial.masimo_ascii": streamed(oximetry_with_perfusion, has_time=True),
    "serial.nellcor_ascii": streamed(oximetry, has_time=True),
    "serial.onetouch_ultra2": checked(glucose),
    "serial.onetouch_ultraeasy": checked(glucose),
    "serial.taidoc_glucose": checked(glucose),
    "serial.taidoc_blood_pressure": checked(pressure),
    "serial.taidoc_thermometer": checked(temperature),
    "serial.bayer_contour": checked(glucose),
    "serial.suntech_nibp": checked(pressure_with_mean, has_time=False),
    "serial.phd_oximeter": streamed(oximetry, has_time=True),
    "serial.phd_blood_pressure": checked(pressure_with_mean),
    "serial.phd_scale": checked(weight),
}
