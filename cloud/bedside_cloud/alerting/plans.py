"""Which limits hold for whom, and whom a hub serves."""

from bedside_cloud.contracts.registry import FormerPlan, Plan, PlanSnapshot
from bedside_cloud.database.projection import Projection

NO_PLANS = PlanSnapshot(version=0, plans=())


class Plans:
    """The plans as last heard, by patient and by hub."""

    def __init__(self, projection: Projection[PlanSnapshot]) -> None:
        self._projection = projection
        self._indexed = NO_PLANS
        self._of_patient: dict[str, Plan] = {}
        self._of_hub: dict[str, Plan] = {}
        self._of_plan_id: dict[str, Plan] = {}

    def of_patient(self, patient_id: str) -> Plan | None:
        """The patient's newest plan, in force or not."""
        self._index()
        return self._of_patient.get(patient_id)

    def of_hub(self, hub_id: str, plan_id: str | None = None) -> Plan | None:
        """The plan that an alarm of the hub was raised by, in force or not: it is taken even after the episode.

        `plan_id` is the alarm's word for it, and believed when registry knows it as one of this hub's: the hub may
        serve another patient by the time its alarm arrives, or another hub the patient. Otherwise it is the newest of
        the hub's plans.
        """
        self._index()
        plan = self._of_plan_id.get(plan_id) if plan_id else None
        return plan if plan is not None and plan.hub_id == hub_id else self._of_hub.get(hub_id)

    def _former(self, former: FormerPlan) -> Plan:
        """A plan by which a hub served before another one took its place: not in force, and of a version before all."""
        present = self._of_patient.get(former.patient_id)
        return Plan(
            patient_id=former.patient_id,
            plan_id=former.plan_id,
            version=0,
            active=False,
            hub_id=former.hub_id,
            rules=present.rules if present is not None else (),
        )

    async def refresh(self) -> None:
        """Ask registry now, for something that was not found: it may be newer than what was last heard."""
        await self._projection.refresh()

    @property
    def heard(self) -> bool:
        """Whether there was ever an answer: before that, not finding a plan means nothing."""
        return self._projection.current is not NO_PLANS

    def _index(self) -> None:
        snapshot = self._projection.current
        if snapshot is not self._indexed:
            self._of_patient = {plan.patient_id: plan for plan in snapshot.plans}
            former = [self._former(one) for one in snapshot.former]
            self._of_plan_id = {plan.plan_id: plan for plan in (*former, *snapshot.plans)}
            # Versions grow per hub, whomever it serves.
            newest = sorted(snapshot.plans, key=lambda plan: plan.version)
            self._of_hub = {plan.hub_id: plan for plan in (*former, *newest)}
            self._indexed = snapshot
