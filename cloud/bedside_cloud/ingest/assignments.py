"""Whose reading is it: which patient a device measured at a moment, in the slot that the reading names."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bedside_cloud.contracts.registry import AssignmentSnapshot, Retirement
from bedside_profiles.ownership import Claim, Doubt, owner_of, spans, users_told_apart

NOBODY = AssignmentSnapshot(version=0, assignments=())


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time of a device, from `from_ms` up to, not including, `until_ms` (open when None), and whose its readings are.

    `by_user` answers for some slots (None: no slot was named), `otherwise` for all others.
    """

    device_id: str
    from_ms: int
    until_ms: int | None
    by_user: Mapping[int | None, str | Doubt | None]
    otherwise: str | Doubt | None


class Assignments:
    """An index of a snapshot: what the rule answers is worked out once, and not for each reading."""

    def __init__(self, snapshot: AssignmentSnapshot) -> None:
        self.snapshot = snapshot
        self._of_device: dict[str, tuple[list[int], list[Stretch]]] = {}
        claims: dict[str, list[Claim]] = {}
        for one in snapshot.assignments:
            claims.setdefault(one.device_id, []).append(Claim(one.patient_id, one.from_ms, one.until_ms, one.user))
        for device_id, of_device in claims.items():
            found = list(_stretches(device_id, of_device))
            self._of_device[device_id] = ([stretch.from_ms for stretch in found], found)
        self._retired: dict[str, tuple[Retirement, ...]] = {}
        for out in snapshot.retirements:
            self._retired[out.hub_id] = (*self._retired.get(out.hub_id, ()), out)

    def retirements(self, hub_id: str) -> tuple[Retirement, ...]:
        """Times in which the hub was out of service: whose a reading of such a time is only a person can tell."""
        return self._retired.get(hub_id, ())

    def owner(self, device_id: str, taken_at_ms: int, user: int | None) -> str | Doubt | None:
        """The patient whom `device_id` measured at `taken_at_ms` (UTC) in the slot `user`; why that cannot be told;
        None when it measured nobody."""
        known = self._of_device.get(device_id)
        if known is None:
            return None
        place = bisect_right(known[0], taken_at_ms) - 1
        if place < 0:
            return None
        stretch = known[1][place]
        if stretch.until_ms is not None and taken_at_ms >= stretch.until_ms:
            return None
        return stretch.by_user.get(user, stretch.otherwise)

    def of_patient(self, patient_id: str) -> list[Stretch]:
        """The times in which a device without slots measures this patient."""
        return [stretch for stretch in self.stretches() if stretch.by_user.get(None, stretch.otherwise) == patient_id]

    def stretches(self) -> Iterator[Stretch]:
        """Every time in which a device measures somebody."""
        for _, found in self._of_device.values():
            yield from found


def _stretches(device_id: str, claims: list[Claim]) -> Iterator[Stretch]:
    for span in spans(claims):
        users = users_told_apart(span.claims)
        answers = {user: owner_of(span.claims, user) for user in users}
        unnamed = 1 + max(user for user in users if user is not None)
        yield Stretch(device_id, span.from_ms, span.until_ms, answers, owner_of(span.claims, unnamed))
