"""`bedside-cloud person | patient | plan | assign | release`: who is cared for, by whom, with what, in which limits."""

import json as json_format
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from bedside_cloud.contracts.identity import Role
from bedside_cloud.contracts.identity_administration import (
    PEOPLE,
    PERSON_ADD,
    PERSON_DISABLE,
    PERSON_ENABLE,
    PERSON_LOG_OUT,
    NamedPerson,
    PeopleAnswer,
    PersonAnswer,
    PersonRequest,
)
from bedside_cloud.contracts.message import Empty, Message
from bedside_cloud.contracts.registry import EpisodeState
from bedside_cloud.contracts.registry_administration import (
    DEVICE_ASSIGN,
    DEVICE_RELEASE,
    EPISODE_SET,
    HUB_PLACE,
    LIMITS_SET,
    PATIENT_ADD,
    PATIENTS_ALL,
    TEAM_ADD,
    AssignRequest,
    Done,
    EpisodeRequest,
    LimitsRequest,
    PatientAnswer,
    PatientRequest,
    PatientRoll,
    PlaceRequest,
    ReleaseRequest,
    TeamRequest,
)
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.asking import ask, patient_id, person_id
from bedside_cloud.operator_tools.limits import TEMPLATES
from bedside_cloud.operator_tools.options import JsonOption, PatientArgument, StateOption
from bedside_cloud.operator_tools.patient_file import patient_show, plan_list, plan_show
from bedside_cloud.operator_tools.printing import as_json, say, table, to_utc
from bedside_cloud.settings import DEFAULT_STATE
from bedside_profiles.cover import CoverHours, parse_cover
from bedside_profiles.rules.cadence import CadenceRule
from bedside_profiles.rules.rates import RateRule
from bedside_profiles.rules.technical import TechnicalRule
from bedside_profiles.rules.thresholds import ThresholdRule

PersonNameArgument = Annotated[str, typer.Argument(help="The name that they log in with.")]

person = typer.Typer(help="People who log in.", no_args_is_help=True)
patient = typer.Typer(help="Patients and their episodes of care.", no_args_is_help=True)
plan = typer.Typer(help="Limits that hubs and cloud watch.", no_args_is_help=True)

patient.command("show")(patient_show)
plan.command("list")(plan_list)
plan.command("show")(plan_show)


@person.command("add")
def person_add(
    name: Annotated[str, typer.Argument(help="What the person logs in with.")],
    role: Annotated[Role, typer.Option("--role")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking.")
    ] = False,
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """Add a person, or give a known one this role and password.

    Example: bedside-cloud person add nurse.one --role nurse
    """
    if password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    answer = ask(state, PERSON_ADD, PersonRequest(name=name, role=role, password=password), PersonAnswer)
    if json:
        as_json(answer)
    else:
        how = "added" if answer.created else "changed; their log-ins have ended"
        say(f"{answer.name} ({answer.role.value}) {how}.")
        if answer.disabled:
            say(f"They are still disabled: bedside-cloud person enable {answer.name}")
        _warn_if_not_everywhere(answer)


@person.command("list")
def person_list(state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Everybody who can log in.

    Example: bedside-cloud person list
    """
    people = ask(state, PEOPLE, Empty(), PeopleAnswer)
    if json:
        as_json(people)
    else:
        rows = [(one.name, one.role.value, "disabled" if one.disabled else "–", one.person_id) for one in people.people]
        table(("name", "role", "log-in", "id"), rows, "Nobody.")


@person.command("log-out")
def person_log_out(name: PersonNameArgument, state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """End all log-ins of a person at once, in the console and on other computers.

    Example: bedside-cloud person log-out nurse.one
    """
    _ended(ask(state, PERSON_LOG_OUT, NamedPerson(name=name), PersonAnswer), "{} is logged out.", json=json)


@person.command("disable")
def person_disable(name: PersonNameArgument, state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Let a person in no more; all their log-ins end at once.

    Example: bedside-cloud person disable nurse.one
    """
    _ended(ask(state, PERSON_DISABLE, NamedPerson(name=name), PersonAnswer), "{} is disabled.", json=json)


@person.command("enable")
def person_enable(name: PersonNameArgument, state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Let a person log in again.

    Example: bedside-cloud person enable nurse.one
    """
    _ended(ask(state, PERSON_ENABLE, NamedPerson(name=name), PersonAnswer), "{} may log in again.", json=json)


def _ended(answer: PersonAnswer, sentence: str, *, json: bool) -> None:
    if json:
        as_json(answer)
        return
    say(sentence.format(answer.name))
    _warn_if_not_everywhere(answer)


def _warn_if_not_everywhere(answer: PersonAnswer) -> None:
    if not answer.everywhere:
        say("Not every gateway has confirmed it. One that was cut off does so seconds after it is back.")


@patient.command("add")
def patient_add(
    name: Annotated[str, typer.Argument(help="The patient's full name.")],
    birth_date: Annotated[str, typer.Option("--birth-date", help="As 1950-12-31.")],
    mrn: Annotated[str, typer.Option("--mrn", help="The hospital's medical record number.")],
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """Add a patient, or correct the one with this record number.

    Example: bedside-cloud patient add "Full Name" --birth-date 1950-12-31 --mrn 4711
    """
    answer = ask(state, PATIENT_ADD, PatientRequest(name=name, birth_date=birth_date, mrn=mrn), PatientAnswer)
    if json:
        as_json(answer)
    else:
        say(f"Patient {answer.patient_id} {'added' if answer.created else 'corrected'}.")


@patient.command("list")
def patient_list(state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Every patient with their hub and devices.

    Example: bedside-cloud patient list
    """
    roll = ask(state, PATIENTS_ALL, Empty(), PatientRoll)
    if json:
        as_json(roll)
        return
    rows = (
        (
            one.mrn,
            one.name,
            one.birth_date,
            one.episode_state.value if one.episode_state else "–",
            one.hub_id or "–",
            ", ".join(one.device_ids) or "–",
            one.patient_id,
        )
        for one in roll.patients
    )
    table(("record", "name", "born", "episode", "hub", "devices", "id"), rows, "No patient yet.")


@patient.command("episode")
def patient_episode(
    who: PatientArgument, to: Annotated[EpisodeState, typer.Argument()], state: StateOption = DEFAULT_STATE
) -> None:
    """Plan, start (active), pause or end the patient's episode of care.

    Example: bedside-cloud patient episode 4711 active
    """
    request = EpisodeRequest(patient_id=patient_id(state, who), state=to)
    _do(state, EPISODE_SET, request, f"The episode is {to.value}.")


@patient.command("hub")
def patient_hub(
    who: PatientArgument, hub_id: Annotated[str, typer.Argument(help="The hub.")], state: StateOption = DEFAULT_STATE
) -> None:
    """Let a hub serve this patient, and nobody else.

    Example: bedside-cloud patient hub 4711 hub-7
    """
    request = PlaceRequest(hub_id=hub_id, patient_id=patient_id(state, who))
    _do(state, HUB_PLACE, request, f"{hub_id} serves the patient.")


@patient.command("team")
def patient_team(
    who: PatientArgument,
    member: Annotated[str, typer.Argument(help="The person's log-in name or id.")],
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Let a person see this patient.

    Example: bedside-cloud patient team 4711 nurse.one
    """
    request = TeamRequest(patient_id=patient_id(state, who), person_id=person_id(state, member))
    _do(state, TEAM_ADD, request, f"{member} is in the care team.")


def assign(
    device_id: Annotated[str, typer.Argument(help="The device.")],
    who: PatientArgument,
    since: Annotated[
        datetime | None, typer.Option("--from", help="Since when (UTC); readings since then are the patient's.")
    ] = None,
    user: Annotated[
        int | None,
        typer.Option("--user", min=0, help="The patient's slot, as the device numbers those who share it."),
    ] = None,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """From now on, or from a given time, the device measures this patient.

    Two people may share a device, each with a slot. Without --user only the device's lowest slot is the patient's.

    Example: bedside-cloud assign cuff-1 4711 --user 2
    """
    from_ms = None if since is None else round(to_utc(since).timestamp() * 1000)
    request = AssignRequest(device_id=device_id, patient_id=patient_id(state, who), from_ms=from_ms, user=user)
    slot = "" if user is None else f" in slot {user}"
    _do(state, DEVICE_ASSIGN, request, f"{device_id} measures the patient{slot}.")


def release(
    device_id: Annotated[str, typer.Argument(help="The device.")],
    who: Annotated[
        str | None, typer.Option("--patient", help="Of those who share the device, the one who uses it no more.")
    ] = None,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """From now on the device measures nobody, or this patient no more.

    Example: bedside-cloud release cuff-1 --patient 4711
    """
    request = ReleaseRequest(device_id=device_id, patient_id=None if who is None else patient_id(state, who))
    _do(state, DEVICE_RELEASE, request, f"{device_id} measures {'nobody' if who is None else 'the patient no more'}.")


@plan.command("set")
def plan_set(
    who: PatientArgument,
    rules: Annotated[Path | None, typer.Option("--rules", help="A JSON file with all rules.", exists=True)] = None,
    template: Annotated[
        str | None, typer.Option("--template", help=f"A set of rules by name: {', '.join(TEMPLATES)}.")
    ] = None,
    emergency_number: Annotated[str, typer.Option("--emergency-number")] = "",
    call_back_number: Annotated[str, typer.Option("--call-back-number")] = "",
    cover: Annotated[
        str, typer.Option("--cover", help="When somebody looks: always, or as mon-fri 08:00-18:00, sat 09:00-12:00.")
    ] = "",
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Set the limits of a patient; the hub is sent a new plan.

    A file is a list of thresholds, or an object with the lists rules, rates, cadences and technical.

    Example: bedside-cloud plan set 4711 --template adult --emergency-number 112
    """
    if (rules is None) == (template is None):
        raise typer.BadParameter("Give either --rules or --template.")
    chosen = _read_rules(rules) if rules else RuleFile(rules=_template(template or ""))
    request = LimitsRequest(
        patient_id=patient_id(state, who),
        rules=chosen.rules,
        rates=chosen.rates,
        cadences=chosen.cadences,
        technical=chosen.technical,
        emergency_number=emergency_number,
        call_back_number=call_back_number,
        cover=_cover(cover),
    )
    _do(state, LIMITS_SET, request, f"{chosen.count} rules are in force.")


@plan.command("template")
def plan_template(name: Annotated[str, typer.Argument(help=", ".join(TEMPLATES))]) -> None:
    """Print a set of rules as JSON, to edit and give to `plan set --rules`.

    Example: bedside-cloud plan template adult > rules.json
    """
    dumped = TypeAdapter(tuple[ThresholdRule, ...]).dump_python(_template(name), mode="json")
    say(json_format.dumps(dumped, indent=2))


def _cover(text: str) -> tuple[CoverHours, ...]:
    try:
        return parse_cover(text) if text else ()
    except ValueError as error:
        raise typer.BadParameter(f"--cover: {error}") from error


def _template(name: str) -> tuple[ThresholdRule, ...]:
    if name not in TEMPLATES:
        raise typer.BadParameter(f"The templates are: {', '.join(TEMPLATES)}.")
    return TEMPLATES[name]


class RuleFile(Message):
    """The rules of a file, by kind. A file that is only a list holds thresholds."""

    rules: tuple[ThresholdRule, ...] = ()
    rates: tuple[RateRule, ...] = ()
    cadences: tuple[CadenceRule, ...] = ()
    technical: tuple[TechnicalRule, ...] = ()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.rules) + len(self.rates) + len(self.cadences) + len(self.technical)


def _read_rules(path: Path) -> RuleFile:
    content = path.read_bytes()
    try:
        if content.lstrip().startswith(b"["):
            return RuleFile(rules=TypeAdapter(tuple[ThresholdRule, ...]).validate_json(content))
        return RuleFile.model_validate_json(content)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise OperatorError(
            f"{path} is not a list of rules.",
            f"{where}: {first['msg']}.",
            "Begin with: bedside-cloud plan template adult",
        ) from wrong


def _do(state: Path, subject: str, request: Message, sentence: str) -> None:
    done = ask(state, subject, request, Done)
    say(sentence if done.changed else f"{sentence} It was so already.")
