"""A device as the hub's settings name it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bedside_agent.radio.central import Pairing
from bedside_agent.serial.place import Place, at_path
from bedside_agent.serial.usb import UsbId, at_usb_id
from bedside_profiles.catalogue import profile_named
from bedside_profiles.conversation import Known
from bedside_profiles.profile import AdvertProfile, BleProfile, Profile, SerialProfile

_BIND_KEY = re.compile("[0-9A-Fa-f]{32}")

_PASSKEY = re.compile("[0-9]{6}")
NEVER = "never"
ON = "on"


@dataclass(frozen=True, slots=True)
class DeviceEntry:
    """One `[[device]]` of the settings.

    `profile` is a name of the catalogue. A Bluetooth device is found by its `address`, or by the profile's service
    together with its `advertised_name` (for devices whose address changes); a serial one by the path of its `port`,
    best one below /dev/serial/by-id, or by the `usb_id` of its adapter (see `serial.usb`), which stays when the adapter
    is plugged in somewhere else.
    `bind_key` is hexadecimal: 16 bytes that decrypt the advertisements of a device that encrypts them.
    A scale that keeps readings for several people gives those of the user `user_index`, for the `consent_code` that
    was set at the scale; it is a secret. `waveform` is `on` for a strap whose electrocardiogram is wanted.

    A Bluetooth device that asks for a bond gets one, with its `passkey` (six digits, printed on it or in its manual) or
    without; unless `pairing` is `never`.
    """

    device_id: str
    profile: str
    address: str | None = None
    advertised_name: str | None = None
    port: str | None = None
    bind_key: str | None = None
    user_index: str | None = None
    consent_code: str | None = None
    usb_id: str | None = None

    @property
    def consent(self) -> tuple[int | None, int | None]:
        """User index and consent code as numbers, or None twice."""
        if self.user_index is None or self.consent_code is None:
            return None, None
        return int(self.user_index), int(self.consent_code)

    passkey: str | None = None
    pairing: str | None = None
    waveform: str | None = None

    def known(self, position: str | None) -> Known:
        """What a conversation with the device begins with; `position` is what was last remembered of it."""
        return Known(position, *self.consent, wants_waveform=self.waveform == ON)

    def radio_pairing(self) -> Pairing:
        """What the entry says of a bond."""
        if self.passkey is None:
            return Pairing(is_allowed=self.pairing != NEVER)
        digits = int(self.passkey)

        async def passkey() -> int:
            return digits

        return Pairing(passkey=passkey)

    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong with the entry, in sentences for a technician; empty when it can be used."""
        profile = profile_named(self.profile)
        found = [*self._problems_for(profile), *self._problems_of_codes(), *self._problems_of_pairing()]
        return tuple([f"device {self.device_id}: {problem}" for problem in found])

    def _problems_for(self, profile: Profile | AdvertProfile | None) -> Iterator[str]:
        """What does not fit the kind of device."""
        if profile is None:
            yield f"there is no profile {self.profile!r}"
        if isinstance(profile, BleProfile):
            if (self.address is None) == (self.advertised_name is None):
                yield "give either its address or its advertised_name"
            if self.port is not None or self.usb_id is not None:
                yield "a Bluetooth device has no port and no usb_id"
        if isinstance(profile, SerialProfile):
            if (self.port is None) == (self.usb_id is None):
                yield "give either its port or its usb_id"
            if self.address is not None or self.advertised_name is not None:
                yield "a serial device has no Bluetooth address or name"
        if isinstance(profile, AdvertProfile):
            if self.address is None:
                yield "a device that only advertises needs its address"
            if any(one is not None for one in (self.advertised_name, self.port, self.usb_id)):
                yield "a device that only advertises has an address and nothing else"
            if profile.needs_bind_key and self.bind_key is None:
                yield "it encrypts what it says; give its bind_key"
        offers = isinstance(profile, BleProfile) and profile.signals
        if self.waveform is not None and profile is not None and not offers:
            yield "this kind of device has no waveform"
        is_paired = self.passkey is not None or self.pairing is not None
        if is_paired and not isinstance(profile, BleProfile | None):
            yield "only a Bluetooth device that is connected is paired"

    def _problems_of_codes(self) -> Iterator[str]:
        if self.usb_id is not None:
            try:
                UsbId.from_text(self.usb_id)
            except ValueError as error:
                yield str(error)
        if self.bind_key is not None and _BIND_KEY.fullmatch(self.bind_key) is None:
            yield "a bind_key is 32 hexadecimal digits"
        if (self.user_index is None) != (self.consent_code is None):
            yield "user_index and consent_code belong together"
        for name, text, highest in (("user_index", self.user_index, 254), ("consent_code", self.consent_code, 9999)):
            if text is not None and not (text.isascii() and text.isdigit() and int(text) <= highest):
                yield f"{name} is not a number from 0 to {highest}"

        if self.waveform not in (None, ON):
            yield "waveform is on, or is left out"

    def _problems_of_pairing(self) -> Iterator[str]:
        if self.passkey is not None and _PASSKEY.fullmatch(self.passkey) is None:
            yield "a passkey has six digits"
        if self.pairing not in (None, NEVER):
            yield "pairing is never, or is left out"
        if self.pairing == NEVER and self.passkey is not None:
            yield "a device that is never paired needs no passkey"

    def place(self) -> Place:
        """Where a serial device without `problems()` is looked for."""
        if self.usb_id is not None:
            return at_usb_id(self.usb_id)
        assert self.port is not None  # noqa: S101 - `problems` asks for one of the two
        return at_path(self.port)
