"""A patient's file: what served them when, and which plan the hub really runs."""

import pytest
from tests.cloud.registry.test_registry import HUB, OTHER_HUB, OXIMETER, PATIENT, PERSON, RULE, Office, office, online

from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts import registry_administration
from bedside_cloud.contracts.patient_file import PATIENT_FILE, FileRequest, PatientFile
from bedside_cloud.contracts.registry import EpisodeState
from bedside_cloud.contracts.registry_administration import EpisodeRequest, PlaceRequest, ReleaseRequest
from bedside_profiles.wire.command import Outcome

__all__ = ["office"]


async def test_it_tells_what_served_the_patient_and_what_the_hub_runs(office: Office) -> None:
    async def file() -> PatientFile:
        return await office.operator.request(PATIENT_FILE, FileRequest(patient_id=patient_id), PatientFile)

    patient_id = await office.patient()
    empty = await file()
    assert (empty.patient.mrn, empty.episodes, empty.hubs, empty.devices, empty.plans) == (PATIENT.mrn, (), (), (), ())
    assert empty.limits is None
    await office.serve(patient_id)
    active = await office.next_plan()
    while not active.active:
        active = await office.next_plan()
    await office.reply(active, Outcome.APPLIED)
    await office.say(online(plan_id=active.plan_id, plan_version=active.version))
    await office.hub_where(plan_version=active.version)
    await office.done(registry_administration.DEVICE_RELEASE, ReleaseRequest(device_id=OXIMETER, until_ms=5_000))
    await office.done(registry_administration.HUB_PLACE, PlaceRequest(hub_id=OTHER_HUB, patient_id=patient_id))
    ended = EpisodeRequest(patient_id=patient_id, state=EpisodeState.ENDED)
    await office.done(registry_administration.EPISODE_SET, ended)

    found = await file()
    (episode,) = found.episodes
    assert episode.state is EpisodeState.ENDED
    assert episode.started_at_ms is not None
    assert episode.ended_at_ms is not None
    assert episode.ended_at_ms >= episode.started_at_ms
    assert [(one.hub_id, one.until_ms is None) for one in found.hubs] == [(OTHER_HUB, True), (HUB, False)]
    assert [(one.device_id, one.from_ms, one.until_ms) for one in found.devices] == [(OXIMETER, 1_000, 5_000)]
    running = [(one.hub_id, one.version, one.outcome) for one in found.plans if one.runs]
    assert running == [(HUB, active.version, "applied")]
    assert found.limits is not None
    assert found.limits.rules == (RULE,)


async def test_whoever_is_not_known_has_none(office: Office) -> None:
    with pytest.raises(RefusedError, match="no such patient"):
        await office.operator.request(PATIENT_FILE, FileRequest(patient_id=PERSON), PatientFile)
