"""Connection profiles as NetworkManager wants them (nm-settings-dbus(5)), and what its networks and states mean."""

import uuid
from typing import Any

from dbus_fast import Variant

from bedside_agent.wifi.label import Label
from bedside_agent.wifi.setting_up import Choice, Network, Trouble

HOTSPOT_ID = "bedside-hotspot"
HOTSPOT_UUID = str(uuid.uuid5(uuid.NAMESPACE_DNS, "hotspot.bedside"))
HOTSPOT_ADDRESS = "10.42.0.1"
"""NetworkManager's own for a shared network."""

WIRELESS = "802-11-wireless"
NETWORK_TYPES = frozenset({WIRELESS, "802-3-ethernet", "gsm", "cdma", "bluetooth"})
"""What can lead out of the home. Bridges and loopback are active on a computer without any network."""

Profile = dict[str, dict[str, Variant]]

_PRIVACY, _INFRASTRUCTURE = 0x1, 2
"""NM80211ApFlags, NM80211Mode."""


def hotspot(label: Label) -> Profile:
    """WPA2 with AES alone: what every telephone knows, and nothing older."""
    return {
        "connection": {
            "id": Variant("s", HOTSPOT_ID),
            "uuid": Variant("s", HOTSPOT_UUID),
            "type": Variant("s", WIRELESS),
            "autoconnect": Variant("b", False),
        },
        WIRELESS: {
            "ssid": Variant("ay", label.ssid.encode()),
            "mode": Variant("s", "ap"),
            # Channels of 2.4 GHz are allowed in every country; a card without a country may use no others.
            "band": Variant("s", "bg"),
        },
        f"{WIRELESS}-security": {
            "key-mgmt": Variant("s", "wpa-psk"),
            "proto": Variant("as", ["rsn"]),
            "pairwise": Variant("as", ["ccmp"]),
            "group": Variant("as", ["ccmp"]),
            "psk": Variant("s", label.password),
        },
        "ipv4": {
            "method": Variant("s", "shared"),
            "address-data": Variant("aa{sv}", [{"address": Variant("s", HOTSPOT_ADDRESS), "prefix": Variant("u", 24)}]),
        },
        "ipv6": {"method": Variant("s", "disabled")},
    }


def home(choice: Choice) -> Profile:
    """The home's network. WPA2 and WPA3 personal, or open."""
    profile: Profile = {
        "connection": {
            "id": Variant("s", choice.ssid),
            "uuid": Variant("s", str(uuid.uuid4())),
            "type": Variant("s", WIRELESS),
        },
        WIRELESS: {
            "ssid": Variant("ay", choice.ssid.encode()),
            "mode": Variant("s", "infrastructure"),
            "hidden": Variant("b", choice.is_hidden),
        },
        "ipv4": {"method": Variant("s", "auto")},
        "ipv6": {"method": Variant("s", "auto")},
    }
    if choice.password:
        # NetworkManager takes WPA3's SAE beside the key where the network and the card know it.
        profile[f"{WIRELESS}-security"] = {
            "key-mgmt": Variant("s", "wpa-psk"),
            "psk": Variant("s", choice.password),
        }
    return profile


def is_saved_network(settings: dict[str, dict[str, Any]]) -> bool:
    """Whether a profile is a Wi-Fi network to join, and not one that this computer opens."""
    wireless = settings.get(WIRELESS)
    return wireless is not None and wireless.get("mode", "infrastructure") == "infrastructure"


def networks_of(access_points: list[dict[str, Any]]) -> tuple[Network, ...]:
    """The networks of these access points, strongest first, each once; without those that have no readable name."""
    found: dict[str, Network] = {}
    for one in sorted(access_points, key=lambda point: int(point["Strength"])):
        try:
            ssid = bytes(one["Ssid"]).decode()
        except UnicodeDecodeError:
            continue
        if not ssid.strip("\0") or not ssid.isprintable() or one["Mode"] != _INFRASTRUCTURE:
            continue
        is_protected = bool(one["Flags"] & _PRIVACY or one["WpaFlags"] or one["RsnFlags"])
        found[ssid] = Network(ssid, int(one["Strength"]), is_protected)
    return (*sorted(found.values(), key=lambda network: -network.strength),)


# NMDeviceState and NMDeviceStateReason of NetworkManager's D-Bus API.
IP_CONFIG, IP_CHECK, SECONDARIES, ACTIVATED, FAILED = 70, 80, 90, 100, 120
_ADDRESS_REASONS = frozenset({5, 6, 15, 16, 17})
_SECRET_REASONS = frozenset({7, 8, 9, 10})
"""No secrets; the supplicant's disconnection, configuration and failure: an access point that was handed a wrong key
sends the station away, and every one in its own words."""
_NOT_FOUND_REASONS = frozenset({11, 53})
"""The supplicant's timeout, and that no network of the name is heard."""


class Attempt:
    """One attempt to join a network, from what its device says (signal StateChanged of a device)."""

    def __init__(self) -> None:
        self._had_key_accepted = False
        self.is_joined = False
        self.trouble: Trouble | None = None

    @property
    def is_over(self) -> bool:
        """Whether it is known what came of it."""
        return self.is_joined or self.trouble is not None

    def hear(self, new_state: int, reason: int) -> None:
        """The device has a new state, for this reason."""
        if new_state == ACTIVATED:
            self.is_joined = True
        elif new_state in (IP_CONFIG, IP_CHECK, SECONDARIES):
            self._had_key_accepted = True
        elif new_state == FAILED:
            self.trouble = self._why(reason)

    def late(self) -> Trouble:
        """What is wrong with an attempt that has taken too long."""
        return Trouble.NO_ADDRESS if self._had_key_accepted else Trouble.OUT_OF_RANGE

    def _why(self, reason: int) -> Trouble:
        if reason in _ADDRESS_REASONS or self._had_key_accepted:
            return Trouble.NO_ADDRESS
        if reason in _NOT_FOUND_REASONS:
            return Trouble.OUT_OF_RANGE
        if reason in _SECRET_REASONS:
            return Trouble.WRONG_PASSWORD
        return Trouble.REFUSED
