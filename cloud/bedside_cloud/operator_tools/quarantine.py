"""`bedside-cloud quarantine`: measurements of which nobody can tell by rule whose they are, decided by a person.

No value is shown: whoever decides asks who measured when, and does not guess by how high it was.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from bedside_cloud.contracts.identity import Role
from bedside_cloud.contracts.identity_administration import PEOPLE, PeopleAnswer
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.readings import (
    QUARANTINE,
    QUARANTINE_CONFIRM,
    QUARANTINE_DISMISS,
    ConfirmRequest,
    Decided,
    DismissRequest,
    QuarantineAnswer,
    QuarantinedMeasurement,
    QuarantineReason,
    QuarantineRequest,
)
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.asking import ask, patient_id
from bedside_cloud.operator_tools.options import JsonOption, StateOption
from bedside_cloud.operator_tools.printing import as_json, say, table, to_utc, utc
from bedside_cloud.settings import DEFAULT_STATE

quarantine = typer.Typer(help="Measurements whose owner only a person can tell.", no_args_is_help=True)

DECIDING = frozenset({Role.NURSE, Role.PHYSICIAN, Role.TECH, Role.ADMIN})
SHORT_STORE = 8
"""So much of a store's name is shown: a hub with two stores that begin alike is asked for more."""

REASONS = {
    QuarantineReason.UNDATED_OR_TEST: "nothing dates it, or it was a test",
    QuarantineReason.HUB_RETIRED: "its hub was retired by then",
    QuarantineReason.DISOWNED: "the patient says that it was somebody else",
    QuarantineReason.USER_UNKNOWN: "its slot is nobody's",
    QuarantineReason.USER_MISSING: "shared device, no slot named",
}

MeasurementArgument = Annotated[str, typer.Argument(help="The measurement, as `quarantine list` names it.")]
ByOption = Annotated[str, typer.Option("--by", help="Log-in name or id of the person who decides.")]


@dataclass(frozen=True, slots=True)
class Reference:
    """How a measurement is named: hub, store (or its beginning), and the sequence of its first reading."""

    hub_id: str
    store_id: str
    first_seq: int

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """OperatorError when it is none."""
        found = re.fullmatch(r"([a-z0-9-]+)/([0-9a-f]{4,32})/([1-9][0-9]{0,17})", text)
        if found is None:
            raise OperatorError(
                f"{text} names no measurement.",
                "It is a hub, a store and a number: hub-7/0123abcd/17.",
                "See them: bedside-cloud quarantine list",
            )
        return cls(found[1], found[2], int(found[3]))


@quarantine.command("list")
def list_command(
    device_id: Annotated[str | None, typer.Option("--device", help="Of this device alone.")] = None,
    most: Annotated[int, typer.Option("--most", min=1, max=1000, help="The newest, at most so many.")] = 200,
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """What waits for a person's word: device, time, what was measured, the slot that was named, and why.

    Example: bedside-cloud quarantine list --device cuff-1
    """
    answer = ask(state, QUARANTINE, QuarantineRequest(device_id=device_id, most=most), QuarantineAnswer)
    if json:
        as_json(answer)
        return
    columns = ("measurement", "device", "heard or taken", "by its clock", "what", "slot", "why")
    table(columns, (_row(one) for one in answer.measurements), "Nothing is in quarantine.")
    if answer.more:
        say(f"Only the newest {most} are shown; see more with --most, or one device's with --device.")


@quarantine.command("confirm")
def confirm_command(
    measurement: MeasurementArgument,
    who: Annotated[str, typer.Argument(help="The patient's id or medical record number.")],
    by: ByOption,
    taken_at: Annotated[
        datetime | None, typer.Option("--taken-at", help="When it was taken (UTC), if the device could not say.")
    ] = None,
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """Say whose a measurement is. Rules then hear it as late data, by when it was taken.

    Example: bedside-cloud quarantine confirm hub-7/0123abcd/17 4711 --by nurse.one
    """
    named = Reference.parse(measurement)
    request = ConfirmRequest(
        hub_id=named.hub_id,
        store_id=named.store_id,
        first_seq=named.first_seq,
        patient_id=patient_id(state, who),
        person_id=_who_decides(state, by),
        taken_at_ms=None if taken_at is None else round(to_utc(taken_at).timestamp() * 1000),
    )
    _done(ask(state, QUARANTINE_CONFIRM, request, Decided), "{} readings are the patient's now.", json=json)


@quarantine.command("dismiss")
def dismiss_command(
    measurement: MeasurementArgument, by: ByOption, state: StateOption = DEFAULT_STATE, json: JsonOption = False
) -> None:
    """Say that a measurement is no patient's, also one that was confirmed. It is kept, and shown to nobody.

    Example: bedside-cloud quarantine dismiss hub-7/0123abcd/17 --by nurse.one
    """
    named = Reference.parse(measurement)
    request = DismissRequest(
        hub_id=named.hub_id,
        store_id=named.store_id,
        first_seq=named.first_seq,
        person_id=_who_decides(state, by),
    )
    _done(ask(state, QUARANTINE_DISMISS, request, Decided), "{} readings are dismissed.", json=json)


def _row(one: QuarantinedMeasurement) -> tuple[str, ...]:
    return (
        f"{one.hub_id}/{one.store_id[:SHORT_STORE]}/{one.first_seq}",
        one.device_id,
        utc(one.taken_at_ms),
        one.device_time or "–",
        ", ".join(metric.value for metric in one.metrics),
        "–" if one.user is None else str(one.user),
        REASONS[one.reason],
    )


def _who_decides(state: Path, text: str) -> str:
    for person in ask(state, PEOPLE, Empty(), PeopleAnswer).people:
        if text in (person.person_id, person.name):
            if person.role not in DECIDING:
                raise OperatorError(
                    f"{person.name} may not decide this.",
                    f"The role {person.role.value} decides on nobody's measurements.",
                    "Let a nurse, a physician, a tech or an admin decide.",
                )
            return person.person_id
    raise OperatorError(
        "There is no such person.", "Neither an id nor a name matches.", "See them: bedside-cloud person list"
    )


def _done(decided: Decided, sentence: str, *, json: bool) -> None:
    if json:
        as_json(decided)
    else:
        say(sentence.format(decided.readings))
