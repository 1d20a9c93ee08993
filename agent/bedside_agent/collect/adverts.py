"""A device that only advertises, as a `Collector` hears it: each weighing once, however often it is said."""

from dataclasses import dataclass, replace

from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Advert, AdvertProfile, Decoded, Listener
from bedside_profiles.readings import Measurement, Modality


@dataclass(frozen=True, slots=True)
class Adverts:
    """What a `Collector` needs of it. `bind_key` decrypts it, where the profile needs one."""

    profile: AdvertProfile
    address: str
    bind_key: bytes | None

    def listen(self) -> Listener:
        """Begin to listen."""
        return _Hearing(self)


class _Hearing:
    """Scales say one weighing many times, with the same date or the same counter, also after the person stepped off."""

    def __init__(self, adverts: Adverts) -> None:
        self._adverts = adverts
        self._payload = b""
        self._measured: tuple[Measurement, ...] = ()

    def feed(self, _characteristic: str, payload: bytes) -> tuple[Decoded | DecodeError, ...]:
        adverts = self._adverts
        try:
            decoded = adverts.profile.decode(Advert(payload, adverts.address.upper(), adverts.bind_key))
        except DecodeError as error:
            return (error,)
        if not decoded.measurements:
            return (decoded,)
        if self._is_repeated(payload, decoded.measurements):
            return (replace(decoded, measurements=()),)
        self._payload, self._measured = payload, decoded.measurements
        return (decoded,)

    def rest(self) -> None:
        """Nothing is ever begun."""

    def _is_repeated(self, payload: bytes, measured: tuple[Measurement, ...]) -> bool:
        if any(one.modality is Modality.CONTINUOUS for one in measured):
            return False
        if payload == self._payload:
            return True
        marks, before = ([(one.device_time, one.record) for one in said] for said in (measured, self._measured))
        return measured == self._measured and marks == before and (None, None) not in marks
