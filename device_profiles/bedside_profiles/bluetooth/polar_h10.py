"""A Polar H10 strap: heart rate and R-R intervals like any strap's, and, where it is wanted, its electrocardiogram.

The electrocardiogram is asked for at each connection, over Polar's measurement data service: the strap forgets that it
was asked when the link ends. It costs the strap's battery and the hub's disk, so it is off until somebody wants it.
"""

from collections.abc import Sequence

from bedside_profiles.bluetooth import clock_setting, heart_rate, polar_pmd
from bedside_profiles.conversation import Conversation, Known, Moment, Read, Step, Together, Trouble, Write
from bedside_profiles.profile import BleProfile, Characteristic, Decoded, Transfer, values
from bedside_profiles.waveforms import Signal

NAME = "bluetooth.polar_h10"

SILENT_SECONDS = 20.0
"""Without a frame for so long, it is asked for once more: a strap that was off the skin has stopped sampling."""


class EcgConversation:
    """See `Conversation`."""

    def __init__(self, *, is_wanted: bool) -> None:
        self._is_wanted = is_wanted
        self._wakes_at_seconds: float | None = None

    @property
    def wakes_at_seconds(self) -> float | None:
        """See `Conversation`."""
        return self._wakes_at_seconds

    def begin(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if not self._is_wanted:
            return ()
        self._wakes_at_seconds = now.seconds + SILENT_SECONDS
        return (Write(polar_pmd.START_ECG, polar_pmd.CONTROL_POINT),)

    def hear(self, characteristic: str, payload: bytes, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if not self._is_wanted:
            return ()
        if characteristic == polar_pmd.DATA:
            self._wakes_at_seconds = now.seconds + SILENT_SECONDS
        if characteristic != polar_pmd.CONTROL_POINT or len(payload) < polar_pmd.ANSWER_BYTES:
            return ()
        if payload[:3] != bytes((polar_pmd.ANSWER, polar_pmd.START_ECG[0], polar_pmd.ECG)):
            return ()
        if payload[3] in (polar_pmd.STARTED, polar_pmd.ALREADY_STARTED):
            return ()
        return (Trouble(f"the strap does not start its electrocardiogram: error {payload[3]}"),)

    def refused(self, step: Write | Read, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if isinstance(step, Read) or step.characteristic != polar_pmd.CONTROL_POINT:
            return ()
        self._wakes_at_seconds = None
        return (Trouble("the strap offers no electrocardiogram: is it an H10?"),)

    def wake(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        return self.begin(now)


def converse(known: Known) -> Conversation:
    """A strap's clock is measured, and its electrocardiogram started where it is wanted."""
    return Together(clock_setting.measured(known), EcgConversation(is_wanted=known.wants_waveform))


def decode(characteristic: str, payload: bytes) -> Decoded:
    """One value of either service. Raises `DecodeError`."""
    if characteristic in (polar_pmd.DATA, polar_pmd.CONTROL_POINT):
        return polar_pmd.decode(characteristic, payload)
    return heart_rate.decode(characteristic, payload)


PROFILE = BleProfile(
    name=NAME,
    label="Polar H10 strap, with electrocardiogram",
    service_uuid=heart_rate.SERVICE,
    characteristics=(
        Characteristic(heart_rate.MEASUREMENT, Transfer.NOTIFY, required=True),
        Characteristic(polar_pmd.CONTROL_POINT, Transfer.INDICATE, required=False),
        Characteristic(polar_pmd.DATA, Transfer.NOTIFY, required=False),
    ),
    listen=values(decode),
    encode=heart_rate.encode,
    silence_seconds=30.0,
    names=("polar h10",),
    commands=(polar_pmd.CONTROL_POINT,),
    converse=converse,
    signals=(Signal.ECG,),
)
