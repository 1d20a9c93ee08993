"""`bedside-agent bundle` and `wipe`: what leaves a hub for a technician elsewhere, and what leaves it for good."""

import asyncio
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bedside_agent import settings, support_bundle
from bedside_agent.buffer.inspection import viewed
from bedside_agent.buffer.substitute import buffer_in_use, memory_for
from bedside_agent.clock import SystemClock
from bedside_agent.doctor_command import examined, running_report
from bedside_agent.errors import AgentError, SettingsError
from bedside_agent.opening import BUFFER, IDENTITY
from bedside_agent.service import STATE
from bedside_agent.terminal import Json, State, Verbose, show
from bedside_agent.uplink.farewell import Farewell
from bedside_agent.uplink.identity import Identity
from bedside_agent.wiping import wipe as wipe_files

UNSENT_KNOWN_BY = "bedside-agent buffer stats"


def bundle(
    output: Annotated[
        Path | None, typer.Option(help="Where to write it; by default here, named by hub and time.")
    ] = None,
    state: State = STATE,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Write an archive for support: findings, status, settings without secrets, logs. No data of the patient.

    bedside-agent bundle --output hub-7.tar.gz
    """
    at = round(time.time())
    with Console(stderr=True).status("collecting"):
        findings = [asdict(one) for one in examined(state)]
        report = running_report(state)
        files = support_bundle.members(
            _text(state / settings.FILE), report, findings, _counts(state), support_bundle.said_by
        )
    name = (report or {}).get("hub_id") or _hub_id(state) or "hub"
    path = output or Path(f"bedside-{name}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime(at))}.tar.gz")
    content = support_bundle.archive(files, at)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as cause:
        raise AgentError(
            f"{path} cannot be written ({cause.strerror})", fix="bedside-agent bundle --output ANOTHER.tar.gz"
        ) from cause
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    result = {"file": str(path), "bytes": len(content), "members": [name for name, _ in files]}
    show(result, as_json, f"{path}: {len(content) // 1024 + 1} KB, {len(files)} files, nothing of the patient.")


def wipe(
    confirm: Annotated[str, typer.Option("--confirm", prompt="The hub's id", help="The hub's id.")],
    lose: Annotated[bool, typer.Option("--lose", help="Also what the cloud has not stored yet.")] = False,
    state: State = STATE,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Destroy everything that this hub knows: keys, identity, settings, buffer. The agent must be stopped.

    bedside-agent wipe --confirm hub-7
    """
    hub_id = _hub_id(state)
    if hub_id is not None and confirm != hub_id:
        raise AgentError(f"this hub is {hub_id}, not {confirm}", fix="nothing was touched; give its own id")
    if running_report(state) is not None:
        raise AgentError("the agent runs", fix="systemctl disable --now bedside-agent, then the same command again")
    if not lose:
        _refuse_if_unsent(state)
    farewell = _farewell(state)
    destroyed = wipe_files(state, memory_for(state), state / BUFFER)
    with Console(stderr=True).status("telling the cloud"):
        told = farewell is not None and asyncio.run(farewell.say(SystemClock().now()))
    in_the_cloud = "It is told" if told else f"It was not reached: bedside-cloud fleet hub wipe {confirm} --wiped"
    show(
        {"hub_id": hub_id, "files": destroyed, "cloud_told": told},
        as_json,
        f"{destroyed} files are destroyed, their keys first. Bonds that BlueZ keeps: bluetoothctl devices, then remove."
        " The home's Wi-Fi, which NetworkManager keeps: bedside-agent wifi list, then forget."
        f" In the cloud: {in_the_cloud}.",
    )


def _farewell(state: Path) -> Farewell | None:
    """What says to the cloud that the hub is wiped; None for a hub that cannot say so, which is wiped all the same."""
    try:
        known = settings.load(state)
        return Farewell.prepared(known.hub_id, known.broker_host, known.broker_port, Identity(state / IDENTITY))
    except (AgentError, OSError):
        return None


def _refuse_if_unsent(state: Path) -> None:
    counts = _counts(state)
    if counts is None:
        if (state / BUFFER).exists():
            raise AgentError(
                "nobody can say whether the cloud has everything", cause="the buffer cannot be read", fix="add --lose"
            )
        return
    waiting = sum(lane["waiting"] for lane in counts["lanes"].values())
    if waiting:
        raise AgentError(
            f"{waiting} items are not in the cloud yet",
            fix=f"start the agent with internet until `{UNSENT_KNOWN_BY}` shows none, or add --lose",
        )


def _counts(state: Path) -> dict[str, Any] | None:
    try:
        with viewed(buffer_in_use(state / BUFFER, memory_for(state))) as view:
            return asdict(view.counts())
    except (AgentError, OSError):
        return None


def _hub_id(state: Path) -> str | None:
    try:
        return settings.load(state).hub_id
    except SettingsError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
