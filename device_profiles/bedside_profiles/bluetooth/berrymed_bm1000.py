"""BerryMed BM1000 and its kin: packets of BCI, 100 a second, several in one value, over a transparent UART.

One measurement set a second comes out (see `bci`). The device says nothing of its battery and takes no commands.
"""

from collections.abc import Sequence

from bedside_profiles.bci import BciFramer, packet_of
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import BleProfile, Characteristic, Decoded, EncodeError, Transfer
from bedside_profiles.readings import Measurement

NAME = "bluetooth.berrymed_bm1000"
SERVICE = "49535343-fe7d-4ae5-8fa9-9fafd205e455"
STREAM = "49535343-1e4d-4bd9-ba61-23c647249616"

PACKETS_A_SECOND = 100


class BerryMedListener:
    """The framer of BCI behind one characteristic."""

    def __init__(self) -> None:
        self._framer = BciFramer(NAME, PACKETS_A_SECOND, probe_bit_is_off=True)

    def feed(self, characteristic: str, payload: bytes) -> tuple[Decoded | DecodeError, ...]:
        """See `profile.Listener`."""
        if characteristic != STREAM:
            return (DecodeError(NAME, f"no measurement characteristic: {characteristic}", payload),)
        return self._framer.feed(payload)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Listener`."""
        return self._framer.rest()


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """The 500 bytes of one second that say these measurements. Raises `EncodeError`."""
    if characteristic != STREAM:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    return packet_of(measurements).to_bytes() * PACKETS_A_SECOND


PROFILE = BleProfile(
    name=NAME,
    label="BerryMed BM1000 pulse oximeter",
    service_uuid=SERVICE,
    characteristics=(Characteristic(STREAM, Transfer.NOTIFY, required=True),),
    listen=BerryMedListener,
    encode=encode,
    silence_seconds=30.0,
    names=("berry", "bm1000"),
)
