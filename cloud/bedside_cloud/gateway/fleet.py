"""Fleet questions over HTTP, for technicians: each is passed on with the name of who asks."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts import hub_commands as commands
from bedside_cloud.contracts import identity_administration as people
from bedside_cloud.contracts import registry, registry_administration, releases
from bedside_cloud.contracts.fleet_api import FLEET, PLACE, PlaceAnswer
from bedside_cloud.contracts.message import Empty, Message
from bedside_cloud.gateway.api import LOGIN_PROBLEMS, PROBLEMS, Problem, technical
from bedside_cloud.gateway.parts import PartsHere, parts_of, viewer_of
from bedside_cloud.gateway.viewers import Viewer


@dataclass(frozen=True, slots=True)
class Question:
    """A subject, what is asked there, and what is answered. `meaning` is its line in the API's description."""

    subject: str
    asked: type[Message]
    answered: type[Message]
    meaning: str


NUL = r"\u0000"
"""As JSON writes it. PostgreSQL refuses it in a text."""

QUESTIONS = (
    Question(registry.HUBS, Empty, registry.HubList, "Every hub: its link, its plan, its use."),
    Question(people.HUB_ACCESS, Empty, people.HubAccessList, "How each hub is let in."),
    Question(people.HUB_ACCESS_SET, people.HubAccessRequest, people.HubAccessAnswer, "Let a hub in, or keep it out."),
    Question(
        registry_administration.HUB_RENAME,
        registry_administration.RenameRequest,
        registry_administration.Done,
        "Give a hub a name for people.",
    ),
    Question(
        registry_administration.HUB_RETIRE,
        registry_administration.RetireRequest,
        registry_administration.Retired,
        "Take a hub out of service, or put another in its place.",
    ),
    Question(
        registry_administration.DEVICES,
        Empty,
        registry_administration.DeviceRoll,
        "Every device, and whose hub saw it.",
    ),
    Question(people.INCIDENTS, Empty, people.IncidentList, "What was copied, stolen or tried twice."),
    Question(
        people.INCIDENT_SETTLE, people.IncidentRequest, people.IncidentList, "Say that an incident is cleared up."
    ),
    Question(people.CLAIM_CREATE, people.ClaimRequest, people.ClaimAnswer, "Let one hub enrol once."),
    Question(commands.COMMAND_GIVE, commands.GiveRequest, commands.Given, "Have a hub do something."),
    Question(commands.COMMANDS, commands.CommandsRequest, commands.CommandList, "What became of commands."),
    Question(commands.COMMAND_CONTENT, commands.ContentRequest, commands.Content, "What a hub has sent."),
    Question(releases.RELEASE_ADD, releases.ReleaseRequest, releases.Release, "Name a signed version of the agent."),
    Question(releases.RELEASE_PART, releases.PartRequest, releases.Release, "The next bytes of its bundle."),
    Question(releases.RELEASES, Empty, releases.ReleaseList, "Every version that is there."),
    Question(releases.RELEASE_REMOVE, releases.ReleaseName, releases.Release, "Forget a version."),
    Question(releases.ROLLOUT_START, releases.RolloutRequest, releases.Rollout, "Bring hubs to a version, by stages."),
    Question(releases.ROLLOUTS, Empty, releases.RolloutList, "Every rollout."),
    Question(releases.ROLLOUT_SHOW, releases.RolloutName, releases.RolloutSheet, "One rollout, hub by hub."),
    Question(releases.ROLLOUT_SET, releases.RolloutChange, releases.Rollout, "Pause, resume or stop a rollout."),
)

router = APIRouter(tags=["fleet"])

FLEET_PROBLEMS: dict[int | str, dict[str, object]] = {
    **PROBLEMS,
    400: LOGIN_PROBLEMS[400],
    403: {"model": Problem, "description": "For technicians alone."},
    404: {"model": Problem, "description": "There is no such hub, incident or command."},
    409: {"model": Problem, "description": "It cannot be done, and the answer says why."},
    413: {"description": "The request is too large.", "content": {"text/plain": {}}},
}


async def technician_of(request: Request) -> Viewer:
    """Who asks; ForbiddenError unless it is a technician. Before the body is looked at."""
    viewer = await viewer_of(request)
    technical(viewer)
    return viewer


TechnicianHere = Annotated[Viewer, Depends(technician_of)]


@router.get(PLACE, responses={code: FLEET_PROBLEMS[code] for code in (401, 403, 503)})
async def place(request: Request, _viewer: TechnicianHere) -> PlaceAnswer:
    """Where hubs find this cloud, and the fingerprint of its root certificate."""
    return parts_of(request).place


def _asking(one: Question) -> Callable[..., Awaitable[Message]]:
    async def ask(parts: PartsHere, viewer: TechnicianHere, question: Message) -> Message:
        if NUL in question.model_dump_json():
            raise RefusedError(409, "A text holds a NUL, which no record can keep.")
        try:
            return await parts.bus.request(one.subject, question, one.answered, actor=viewer.name)
        except RefusedError as refusal:
            # What has the right form and still cannot be done is no malformed request.
            raise RefusedError(409 if refusal.code == 400 else refusal.code, refusal.reason) from refusal

    # FastAPI reads the body's type from here; each question has its own.
    ask.__annotations__ |= {"question": one.asked, "return": one.answered}
    ask.__doc__ = one.meaning
    return ask


for _one in QUESTIONS:
    router.add_api_route(
        f"{FLEET}/{_one.subject}",
        _asking(_one),
        methods=["POST"],
        name=_one.subject,
        operation_id=_one.subject.replace(".", "_"),
        responses=FLEET_PROBLEMS,
    )
