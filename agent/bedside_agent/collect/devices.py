"""A device as the hub's settings name it."""

from dataclasses import dataclass

from bedside_profiles.catalogue import profile_named
from bedside_profiles.profile import BleProfile, SerialProfile


@dataclass(frozen=True, slots=True)
class DeviceEntry:
    """One `[[device]]` of the settings.

    `profile` is a name of the catalogue. A Bluetooth device is found by its `address`, or by the profile's service
    together with its `advertised_name` (for devices whose address changes); a serial one by the path of its `port`.
    """

    device_id: str
    profile: str
    address: str | None = None
    advertised_name: str | None = None
    port: str | None = None

    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong with the entry, in sentences for a technician; empty when it can be used."""
        found = []
        profile = profile_named(self.profile)
        if profile is None:
            found.append(f"device {self.device_id}: there is no profile {self.profile!r}")
        if isinstance(profile, BleProfile):
            if (self.address is None) == (self.advertised_name is None):
                found.append(f"device {self.device_id}: give either its address or its advertised_name")
            if self.port is not None:
                found.append(f"device {self.device_id}: a Bluetooth device has no port")
        if isinstance(profile, SerialProfile):
            if self.port is None:
                found.append(f"device {self.device_id}: a serial device needs its port")
            if self.address is not None or self.advertised_name is not None:
                found.append(f"device {self.device_id}: a serial device has no Bluetooth address or name")
        return tuple(found)
