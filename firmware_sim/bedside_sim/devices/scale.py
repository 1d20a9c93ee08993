"""Scales on Bluetooth: one that weighs, and one that also analyses and keeps its readings for several people."""

from collections.abc import Mapping

from bedside_profiles.bluetooth import body_composition, user_control, weight_scale
from bedside_profiles.profile import BleProfile
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_sim.devices.device import Moment
from bedside_sim.devices.drifting_clock import DriftingClock
from bedside_sim.devices.peripheral import Heed, Peripheral
from bedside_sim.journal import Journal, Stamp
from bedside_sim.patients import Vitals
from bedside_sim.radio import Air


class WeightScale(Peripheral):
    """See `device.Device`. Somebody steps on it every `every_seconds`, first in second 5."""

    profile_name = weight_scale.PROFILE.name

    def __init__(
        self,
        air: Air,
        journal: Journal,
        *,
        device_id: str,
        address: str,
        every_seconds: int = 60,
        clock: DriftingClock | None = None,
        profile: BleProfile = weight_scale.PROFILE,
        heeds: Mapping[str, Heed] | None = None,
    ) -> None:
        self.clock = clock or DriftingClock()
        shows, sets = self.clock.current_time()
        super().__init__(
            air,
            profile,
            journal,
            device_id=device_id,
            name="Sim Scale",
            address=address,
            shows=shows,
            heeds={**sets, **(heeds or {})},
        )
        self._every_seconds = every_seconds

    @property
    def whereabouts(self) -> dict[str, str]:
        """See `device.Device`."""
        return {"address": self.address}

    async def second(self, vitals: Vitals, moment: Moment) -> None:
        """A measurement, when it is time for one."""
        if moment.second % self._every_seconds == 5 % self._every_seconds:
            await self.emit({Metric.BODY_WEIGHT: 72.5}, spot=True)

    async def emit(self, values: Mapping[Metric, float], *, spot: bool) -> Stamp | None:
        """See `device.Device`; a weight is always a spot check."""
        return await self.say(weight_scale.MEASUREMENT, self._members(values))

    def _members(self, values: Mapping[Metric, float], user: int | None = None) -> list[Measurement]:
        device_time = self.clock.time().replace(microsecond=0).isoformat()
        return [
            Measurement(metric, value, Modality.SPOT, device_time=device_time, device_user=user)
            for metric, value in values.items()
        ]


class BodyCompositionScale(WeightScale):
    """`users` are the consent codes by user index. Nothing is said before one was given on the present connection; the
    first thing then is a stub of zeros, as real ones say."""

    profile_name = weight_scale.BODY_COMPOSITION_PROFILE.name

    def __init__(
        self,
        air: Air,
        journal: Journal,
        *,
        device_id: str,
        address: str,
        users: Mapping[int, int],
        clock: DriftingClock | None = None,
    ) -> None:
        super().__init__(
            air,
            journal,
            device_id=device_id,
            address=address,
            clock=clock,
            profile=weight_scale.BODY_COMPOSITION_PROFILE,
            heeds={user_control.CONTROL_POINT: self._asked},
        )
        self.consents: list[bytes] = []
        self._users = users
        self._user: int | None = None
        self.when_connected(self._forget)

    @property
    def whereabouts(self) -> dict[str, str]:
        """See `device.Device`, with the consent of its first user."""
        user = min(self._users)
        return {**super().whereabouts, "user_index": str(user), "consent_code": str(self._users[user])}

    async def emit(self, values: Mapping[Metric, float], *, spot: bool) -> Stamp | None:
        """See `device.Device`; None while nobody has given consent."""
        if self._user is None:
            return None
        stub = body_composition.BodyRecord(0, {}, user=self._user).to_bytes()
        await self.hand_over(body_composition.MEASUREMENT, stub)
        return await self.say(body_composition.MEASUREMENT, self._members(values, self._user))

    def _forget(self) -> None:
        self._user = None

    def _asked(self, payload: bytes) -> None:
        self.consents.append(payload)
        index, code = payload[1], int.from_bytes(payload[2:4], "little")
        is_right = self._users.get(index) == code
        self._user = index if is_right else None
        self.later(self.hand_over(user_control.CONTROL_POINT, user_control.encode_response(payload[0], is_right)))
