"""What the agent needs of Bluetooth Low Energy, in its own words, and how it can fail.

RadioError
├── RadioUnavailableError       no adapter, or its transport or the Bluetooth service is gone
├── DeviceNotFoundError         nothing that matches advertised in time
├── SlotsExhaustedError         it advertised, but all connections that the adapter can hold are in use
├── SlotYieldedError            an idle connection was ended for a device that waited
├── ConnectFailedError          it advertised, but no connection came about
├── LinkLostError               the connection ended while it was in use
├── CallTimedOutError           one GATT operation got no answer in time
├── AccessRefusedError          the device answered an operation with an ATT error
├── PairingFailedError          the device and this hub did not come to a bond
├── KeyRefusedError             the device does not know the key of the bond that this hub has with it
├── RadioBusyError              the adapter is still busy with something of the same kind
└── CharacteristicMissingError  the device does not have what its profile requires
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from bedside_profiles.errors import BedsideError


class RadioError(BedsideError):
    """Base of what goes wrong on the air. `reason` is one sentence for a technician."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RadioUnavailableError(RadioError):
    """There is no radio to speak with at the moment."""


class DeviceNotFoundError(RadioError):
    """The target did not advertise within `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not heard within {seconds:g} s")
        self.seconds = seconds


class SlotsExhaustedError(RadioError):
    """None of the adapter's `count` connection slots became free within `seconds`."""

    def __init__(self, count: int, seconds: float) -> None:
        super().__init__(f"all {count} connection slots were taken for {seconds:g} s")
        self.count = count
        self.seconds = seconds


class SlotYieldedError(RadioError):
    """The device had nothing more to say, and another one waited for its slot."""


class ConnectFailedError(RadioError):
    """The device at `address` advertised but did not connect."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(reason)
        self.address = address


class LinkLostError(RadioError):
    """The connection is gone."""


class CallTimedOutError(RadioError):
    """`operation` had no answer within `seconds`."""

    def __init__(self, operation: str, seconds: float) -> None:
        super().__init__(f"{operation}: no answer within {seconds:g} s")
        self.operation = operation
        self.seconds = seconds


class AccessRefusedError(RadioError):
    """The device refused `operation` with the ATT error `code`; `needs_pairing` for the codes that ask for a bond."""

    def __init__(self, operation: str, code: int) -> None:
        super().__init__(f"{operation}: refused with ATT error 0x{code:02x}")
        self.operation = operation
        self.code = code

    @property
    def needs_pairing(self) -> bool:
        """Insufficient authentication, authorization, key size or encryption."""
        return self.code in {0x05, 0x08, 0x0C, 0x0F}


class PairingFailedError(RadioError):
    """No bond came about: the device refused, the passkey was wrong or not known, or nobody may pair with it."""


class KeyRefusedError(RadioError):
    """The device does not know the key of the bond that this hub has with it: it was reset, or forgets by habit."""


class RadioBusyError(RadioError):
    """The adapter refused, because something of the same kind is still under way."""


class CharacteristicMissingError(RadioError):
    """The connected device has no characteristic `uuid`."""

    def __init__(self, uuid: str) -> None:
        super().__init__(f"the device has no characteristic {uuid}")
        self.uuid = uuid


Passkey = Callable[[], Awaitable[int | None]]
"""The six digits that the device shows or has printed on it; None when they cannot be had."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """Whether a device that asks for a bond gets one, and how: by its `passkey`, or without one (Just Works)."""

    is_allowed: bool = True
    passkey: Passkey | None = None


NO_PAIRING = Pairing(is_allowed=False)


class Denial(Enum):
    """Why the hub made no bond when its radio was about to make one."""

    MAY_NOT_PAIR = "this device may not pair"
    PASSKEY_UNKNOWN = "the passkey of this device is not known"


@dataclass(frozen=True, slots=True)
class Target:
    """The device to look for: its `address` (upper case, colons), or else its advertised service and name."""

    service_uuid: str
    address: str | None = None
    advertised_name: str | None = None

    def matches(self, found: "Found") -> bool:
        """Whether this advertisement comes from the target."""
        if self.address is not None:
            return found.address.upper() == self.address.upper()
        return self.service_uuid in found.service_uuids and found.name == self.advertised_name


@dataclass(frozen=True, slots=True)
class Found:
    """One advertiser. `rssi_dbm` is the received signal strength; `service_data` is by UUID, 128 bit, lower case, and
    `company_data` by the Bluetooth SIG's number of the company; `adapter` is the one that heard it."""

    address: str
    name: str | None
    service_uuids: tuple[str, ...]
    rssi_dbm: int
    service_data: Mapping[str, bytes] = field(default_factory=dict)
    company_data: Mapping[int, bytes] = field(default_factory=dict)
    adapter: str = ""


class Link(Protocol):
    """One connection to one device. Every call raises `RadioError`, in time."""

    @property
    def address(self) -> str:
        """The device's address."""
        ...

    def offers(self, characteristic: str) -> bool:
        """Whether the device has this characteristic."""
        ...

    async def subscribe(self, characteristic: str, hear: Callable[[bytes], None], *, timeout_seconds: float) -> None:
        """Have every value handed to `hear`, which must not block.

        Over Bumble an indication is confirmed after it returned; BlueZ confirms by itself, before it tells anybody.
        """
        ...

    async def read(self, characteristic: str, *, timeout_seconds: float) -> bytes:
        """The characteristic's value."""
        ...

    async def write(
        self, characteristic: str, payload: bytes, *, timeout_seconds: float, acknowledged: bool = True
    ) -> None:
        """Write, with the device's response or, not `acknowledged`, without waiting for any.

        A characteristic that takes only one kind of write is written in that kind.
        """
        ...

    async def is_bonded(self, *, timeout_seconds: float) -> bool:
        """See `Central.is_bonded`."""
        ...

    async def pair(self, *, timeout_seconds: float) -> None:
        """Make a bond, in the way that was said when the link was made. What was refused may be tried again at once.

        Raises `PairingFailedError`, also when time is up.
        """
        ...

    async def disconnect(self, *, timeout_seconds: float) -> None:
        """End the connection; no error if it has ended already. `on_lost` is not called for it."""
        ...


class Central(Protocol):
    """One radio, shared by all sessions. It looks for devices and connects to them, one attempt at a time."""

    async def scan(self, *, seconds: float) -> tuple[Found, ...]:
        """Everything that advertises now, strongest first."""
        ...

    async def listen(self, hear: Callable[[Found], None], *, seconds: float) -> None:
        """Have `hear`, which must not block, called with each advertisement, for that long."""
        ...

    async def find(self, target: Target, *, timeout_seconds: float) -> Found:
        """Wait until the target advertises."""
        ...

    async def connect(
        self,
        found: Found,
        on_lost: Callable[[], None],
        *,
        timeout_seconds: float,
        pairing: Pairing = NO_PAIRING,
    ) -> Link:
        """Connect; `on_lost` is called once when the connection ends without having been asked to.

        With a device that this hub has a bond with, the link is encrypted. `pairing` is what the device may have.
        """
        ...

    async def is_bonded(self, found: Found) -> bool:
        """Whether this hub has a bond with the device; whether the device still knows it, nobody can say."""
        ...

    async def forget_bond(self, found: Found) -> None:
        """Remove the bond, and end the connection. The device must be found again before it is connected."""
        ...

    async def close(self) -> None:
        """Give the radio back. Nothing may be called afterwards."""
        ...
