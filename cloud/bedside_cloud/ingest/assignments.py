"""Whose reading is it: which patient a device measured at a moment."""

from bedside_cloud.contracts.registry import Assignment, AssignmentSnapshot

NOBODY = AssignmentSnapshot(version=0, assignments=())


class Assignments:
    """An index of a snapshot. A device has at most one patient at a time; the latest start wins."""

    def __init__(self, snapshot: AssignmentSnapshot) -> None:
        self.snapshot = snapshot
        self._of_device: dict[str, list[Assignment]] = {}
        for assignment in sorted(snapshot.assignments, key=lambda one: one.from_ms, reverse=True):
            self._of_device.setdefault(assignment.device_id, []).append(assignment)

    def patient(self, device_id: str, taken_at_ms: int) -> str | None:
        """The patient who wore `device_id` at `taken_at_ms` (UTC), or None."""
        for assignment in self._of_device.get(device_id, ()):
            ended = assignment.until_ms is not None and taken_at_ms >= assignment.until_ms
            if taken_at_ms >= assignment.from_ms and not ended:
                return assignment.patient_id
        return None
