"""One question to a service: as the bus user `operator`, whose key lies in the state directory, or, on a computer
without one, through the gateway as whoever is logged in there."""

import asyncio
import logging
from pathlib import Path
from typing import TypeVar

from bedside_cloud.bus.actor import OPERATOR
from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import RefusedError, UnansweredError
from bedside_cloud.contracts.fleet_api import FLEET, PLACE, PlaceAnswer
from bedside_cloud.contracts.identity_administration import PEOPLE, PeopleAnswer
from bedside_cloud.contracts.message import Empty, Message
from bedside_cloud.contracts.registry_administration import PATIENTS_ALL, PatientRoll
from bedside_cloud.engines.certificates.authority import fingerprint
from bedside_cloud.engines.reachable import accepts_connections
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.session import Session, fetched, kept_session
from bedside_cloud.settings import DEFAULT_STATE
from bedside_cloud.supervisor.state import State

Answered = TypeVar("Answered", bound=Message)

STATE_FILE = "cloud.json"


def ask(directory: Path, subject: str, question: Message, answer: type[Answered]) -> Answered:
    """The answer; OperatorError when the cloud is not running, does not answer, or refuses."""
    session = remote(directory)
    if session is not None:
        return fetched(session, "POST", f"{FLEET}/{subject}", question, answer)
    state = State.open(directory.absolute())
    if not accepts_connections("127.0.0.1", state.place.ports.bus):
        raise OperatorError(
            "The cloud is not running.",
            f"Nobody listens on its bus (port {state.place.ports.bus}).",
            f"Start it: bedside-cloud up --state {directory}",
        )
    # The event loop warns of a harmless detail of how the bus library closes TLS connections.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    try:
        return asyncio.run(_ask(state, subject, question, answer))
    except RefusedError as refusal:
        raise OperatorError("It was refused.", refusal.reason, "") from refusal
    except (UnansweredError, TimeoutError) as silence:
        raise OperatorError(
            f"The service {subject.partition('.')[0]} does not answer.",
            "It is starting, or it keeps failing.",
            f"Look: bedside-cloud status --state {directory}; then try again.",
        ) from silence


def remote(directory: Path) -> Session | None:
    """The log-in that a command goes through: where no state folder was named, and none is here."""
    if directory != DEFAULT_STATE or (directory / STATE_FILE).exists():
        return None
    return kept_session()


def place_of(directory: Path) -> PlaceAnswer:
    """Where hubs find the cloud, and whom they may trust there."""
    session = remote(directory)
    if session is not None:
        return fetched(session, "GET", PLACE, None, PlaceAnswer)
    state = State.open(directory.absolute())
    ports = state.place.ports
    root = fingerprint(state.certificates.root())
    return PlaceAnswer(names=state.place.names, hub_port=ports.hubs, est_port=ports.est, ca_sha256=root)


async def _ask(state: State, subject: str, question: Message, answer: type[Answered]) -> Answered:
    async with asyncio.timeout(15), Bus.open(state.bus_settings(OPERATOR)) as bus:
        return await bus.request(subject, question, answer)


def patient_id(directory: Path, text: str) -> str:
    """The id of the patient that is named by id or by medical record number."""
    for patient in ask(directory, PATIENTS_ALL, Empty(), PatientRoll).patients:
        if text in (patient.patient_id, patient.mrn):
            return patient.patient_id
    raise OperatorError(
        "There is no such patient.",
        "Neither an id nor a record number matches.",
        "See them: bedside-cloud patient list",
    )


def person_id(directory: Path, text: str) -> str:
    """The id of the person that is named by id or by log-in name."""
    for person in ask(directory, PEOPLE, Empty(), PeopleAnswer).people:
        if text in (person.person_id, person.name):
            return person.person_id
    raise OperatorError(
        "There is no such person.", "Neither an id nor a name matches.", "See them: bedside-cloud person list"
    )
