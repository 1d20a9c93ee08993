"""`bedside-cloud patient show`, `plan list` and `plan show`: a patient's file, with its dates."""

import json as json_format
from pathlib import Path

from bedside_cloud.contracts.patient_file import PATIENT_FILE, FileRequest, IssuedPlan, PatientFile
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.asking import ask, patient_id
from bedside_cloud.operator_tools.options import JsonOption, PatientArgument, StateOption
from bedside_cloud.operator_tools.printing import as_json, say, table, utc
from bedside_cloud.settings import DEFAULT_STATE
from bedside_profiles.cover import cover_text

OF_RULES = {"rules", "rates", "cadences", "technical"}


def patient_show(who: PatientArgument, state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Everything that serves and served a patient: episodes, hubs, devices and plans, with their dates.

    Example: bedside-cloud patient show 4711
    """
    file = _file(state, who)
    if json:
        as_json(file)
        return
    patient = file.patient
    say(f"{patient.name}, born {patient.birth_date}, record {patient.mrn}, id {patient.patient_id}")
    for title, columns, rows, nothing in (
        (
            "Episodes of care",
            ("state", "planned", "started", "ended"),
            [
                (one.state.value, utc(one.planned_at_ms), utc(one.started_at_ms), utc(one.ended_at_ms))
                for one in file.episodes
            ],
            "None yet: bedside-cloud patient episode",
        ),
        (
            "Hubs",
            ("hub", "from", "until"),
            [(one.hub_id, utc(one.from_ms), _until(one.until_ms)) for one in file.hubs],
            "None yet: bedside-cloud patient hub",
        ),
        (
            "Devices",
            ("device", "slot", "from", "until"),
            [
                (one.device_id, "–" if one.user is None else str(one.user), utc(one.from_ms), _until(one.until_ms))
                for one in file.devices
            ],
            "None yet: bedside-cloud assign",
        ),
    ):
        say(f"\n{title}")
        table(columns, rows, nothing)
    if (limits := file.limits) is not None:
        say("\nWhat the patient is told")
        say(f"emergency number {limits.emergency_number or '–'}, call back {limits.call_back_number or '–'}")
        say(f"somebody looks: {cover_text(limits.cover) or 'not said; give plan set --cover'}")
    say("\nPlans")
    _plan_table(file.plans[:5])
    if len(file.plans) > 5:
        say(f"… {len(file.plans) - 5} earlier: bedside-cloud plan list {who}")


def plan_list(who: PatientArgument, state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Every plan that was sent to a patient's hubs, when, and whether the hub runs it.

    Example: bedside-cloud plan list 4711
    """
    file = _file(state, who)
    if json:
        as_json(file)
    else:
        _plan_table(file.plans)


def plan_show(who: PatientArgument, state: StateOption = DEFAULT_STATE) -> None:
    """Print the rules in force as JSON, to edit and give to `plan set --rules`.

    Example: bedside-cloud plan show 4711 > rules.json
    """
    limits = _file(state, who).limits
    if limits is None:
        raise OperatorError(
            "This patient has no rules yet.",
            "Nothing alarms for them.",
            f"Set some: bedside-cloud plan set {who} --template adult",
        )
    say(json_format.dumps(limits.model_dump(mode="json", include=OF_RULES), indent=2))


def _plan_table(plans: tuple[IssuedPlan, ...]) -> None:
    rows = [
        (
            str(one.version),
            one.hub_id,
            "in force" if one.active else "not in force",
            str(one.rules),
            utc(one.issued_at_ms),
            f"{one.outcome} {utc(one.answered_at_ms)}" if one.outcome else "not answered yet",
            "yes" if one.runs else "–",
            one.reason or "–",
        )
        for one in plans
    ]
    columns = ("version", "hub", "says", "limits", "issued", "hub's answer", "hub runs it", "why")
    table(columns, rows, "None yet: a plan is issued when the patient has limits, a hub and an episode.")


def _file(state: Path, who: str) -> PatientFile:
    return ask(state, PATIENT_FILE, FileRequest(patient_id=patient_id(state, who)), PatientFile)


def _until(milliseconds: int | None) -> str:
    return "now" if milliseconds is None else utc(milliseconds)
