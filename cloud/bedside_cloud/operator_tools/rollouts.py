"""`bedside-cloud fleet rollout`: hubs are brought to a version by stages."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.releases import (
    ROLLOUT_SET,
    ROLLOUT_SHOW,
    ROLLOUT_START,
    ROLLOUTS,
    Rollout,
    RolloutChange,
    RolloutList,
    RolloutName,
    RolloutRequest,
    RolloutSheet,
    RolloutState,
    Standing,
)
from bedside_cloud.operator_tools.asking import ask
from bedside_cloud.operator_tools.options import JsonOption, StateOption
from bedside_cloud.operator_tools.printing import as_json, say, table, utc
from bedside_cloud.operator_tools.typed import seconds_of
from bedside_cloud.settings import DEFAULT_STATE

rollout = typer.Typer(help="Bringing hubs to a version, by stages.", no_args_is_help=True)

NumberArgument = Annotated[str | None, typer.Argument(help="The rollout's number; without it the newest.")]

WORDS = {
    Standing.WAITS: "its stage has not come",
    Standing.GIVEN: "was told, has not answered",
    Standing.WORKS: "works",
    Standing.FAILED: "failed",
    Standing.SILENT: "did not answer in time",
    Standing.TOOK: "took it",
}


@rollout.command("start")
def start(
    name: Annotated[str, typer.Argument(help="The version, or a bundle's SHA-256.")],
    stages: Annotated[str, typer.Option("--stages", help="Rising shares of the fleet, percent.")] = "5,25,100",
    soak: Annotated[str, typer.Option("--soak", help="Watched after each stage for so long: 10m, 2h, 3d.")] = "1h",
    within: Annotated[str, typer.Option("--within", help="A hub answers in this time or does not count.")] = "1d",
    most_failing: Annotated[
        int, typer.Option("--most-failing", min=0, max=100, help="More percent than this end it.")
    ] = 5,
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """Bring every hub in service to a version, the first few of them first. One that fails goes back by itself.

    Example: bedside-cloud fleet rollout start 1.2.0 --stages 5,25,100 --soak 1h
    """
    try:
        shares = tuple([int(one) for one in stages.split(",")])
    except ValueError as wrong:
        raise typer.BadParameter("Write shares in percent: 5,25,100.", param_hint="--stages") from wrong
    request = RolloutRequest(
        version_or_sha256=name,
        stages=shares,
        soak_seconds=seconds_of(soak, "--soak"),
        within_seconds=seconds_of(within, "--within"),
        most_failing_percent=most_failing,
    )
    begun = ask(state, ROLLOUT_START, request, Rollout)
    if json:
        as_json(begun)
        return
    say(f"Version {begun.version} goes to {begun.hubs} of the hubs, in {len(begun.stages)} stages.")
    say("Follow it: bedside-cloud fleet rollout show")


@rollout.command("list")
def listed(state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Every rollout.

    Example: bedside-cloud fleet rollout list
    """
    answer = ask(state, ROLLOUTS, Empty(), RolloutList)
    if json:
        as_json(answer)
        return
    table(
        ("started", "version", "state", "stage", "hubs", "number"),
        (
            (utc(one.started_at_ms), one.version, one.state.value, _stage(one), str(one.hubs), one.rollout_id)
            for one in answer.rollouts
        ),
        "No rollout yet. Start one: bedside-cloud fleet rollout start VERSION",
    )


@rollout.command("show")
def show(number: NumberArgument = None, state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """One rollout: how far it is, and each hub.

    Example: bedside-cloud fleet rollout show
    """
    sheet = ask(state, ROLLOUT_SHOW, RolloutName(rollout_id=number), RolloutSheet)
    if json:
        as_json(sheet)
        return
    one = sheet.rollout
    say(f"Version {one.version} is {one.state.value}, stage {_stage(one)}.")
    if one.reason:
        say(f"{one.reason}. They run their version of before. Next: bedside-cloud fleet command give HUB pull_logs")
    counted = Counter(hub.standing for hub in sheet.hubs)
    say(", ".join(f"{counted[how]} {WORDS[how]}" for how in Standing if counted[how]) + ".")
    rows = [
        (
            hub.hub_id,
            str(hub.stage + 1),
            f"{WORDS[hub.standing]}: {hub.reason}" if hub.reason else WORDS[hub.standing],
            hub.agent_version or "–",
        )
        for hub in sheet.hubs
    ]
    table(("hub", "stage", "state", "runs"), rows, "")


@rollout.command("pause")
def pause(number: NumberArgument = None, state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Tell no further hub until `resume`. Hubs that were told go on.

    Example: bedside-cloud fleet rollout pause
    """
    _set(number, RolloutState.PAUSED, state=state, json=json)


@rollout.command("resume")
def resume(number: NumberArgument = None, state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Go on with a paused rollout.

    Example: bedside-cloud fleet rollout resume
    """
    _set(number, RolloutState.RUNNING, state=state, json=json)


@rollout.command("stop")
def stop(number: NumberArgument = None, state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """End a rollout for good. Hubs that have the version keep it.

    Example: bedside-cloud fleet rollout stop
    """
    _set(number, RolloutState.STOPPED, state=state, json=json)


def _set(number: str | None, wanted: RolloutState, *, state: Path, json: bool) -> None:
    answer = ask(state, ROLLOUT_SET, RolloutChange(rollout_id=number, state=wanted), Rollout)
    if json:
        as_json(answer)
    else:
        say(f"The rollout of {answer.version} is {answer.state.value}.")


def _stage(one: Rollout) -> str:
    return f"{one.stage + 1} of {len(one.stages)} ({one.stages[one.stage]} %)"
