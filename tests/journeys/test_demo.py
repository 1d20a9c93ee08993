"""The demonstration as its user runs it: to the first alert, Ctrl-C, and again on the same state."""

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path

import httpx
import psycopg
import pytest

from bedside_sim.processes import command

pytestmark = pytest.mark.journey

PATIENCE_SECONDS = 150


def processes_of(state: Path) -> list[str]:
    """Command lines of everything that runs on this state."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(state) in line and folder.name != str(os.getpid()):
            found.append(line)
    return found


async def demo(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(command("bedside-sim"), "demo", "--headless", *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


async def said_until(process: asyncio.subprocess.Process, wanted: str) -> str:
    """What it printed up to the line with `wanted`."""
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while wanted not in said:
            line = await process.stdout.readline()
            assert line, f"it ended without {wanted!r}:\n{said}"
            said += line.decode()
    return said


async def test_first_alert_then_ctrl_c_then_the_same_state_again(tmp_path: Path) -> None:
    state, endpoints = tmp_path / "state", tmp_path / "endpoints.json"
    process = await demo("--state", str(state), "--endpoints", str(endpoints), "--seed", "3")
    said = await said_until(process, "Ctrl-C stops everything")
    assert "First alert in the console: Oxygen saturation" in said
    found = json.loads(endpoints.read_text())
    assert endpoints.stat().st_mode & 0o777 == 0o600, "it holds passwords"
    assert {"gateway_url", "broker_host", "broker_port", "ca_file", "database_dsn", "hub_ids", "logins"} <= set(found)
    assert (await asyncio.to_thread(Path(found["ca_file"]).read_text)).startswith("-----BEGIN CERTIFICATE")
    for login in found["logins"]:
        assert login["password"] in said
        async with httpx.AsyncClient(base_url=found["gateway_url"]) as client:
            answer = await client.post("/api/v1/login", json={"name": login["name"], "password": login["password"]})
        assert answer.status_code == 200
    with psycopg.connect(found["database_dsn"]) as connection:
        row = connection.execute("SELECT count(*) FROM ingest.readings").fetchone()
    assert row is not None
    assert row[0] > 10

    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 60) == 0
    assert processes_of(state) == []

    again = await demo("--state", str(state), "--until", "first-alert", "--timeout", str(PATIENCE_SECONDS))
    said = await said_until(again, "First alert in the console")
    assert "Enrolling" not in said, "the hub is enrolled already"
    assert await asyncio.wait_for(again.wait(), 60) == 0
    assert processes_of(state) == []


async def test_a_time_limit_that_is_too_short_is_an_error_that_says_where_it_stopped(tmp_path: Path) -> None:
    process = await demo("--state", str(tmp_path / "state"), "--timeout", "1")
    assert process.stdout is not None
    said = (await asyncio.wait_for(process.stdout.read(), 60)).decode()
    assert await process.wait() == 1
    assert "Not done within 1 s" in said
    assert "Traceback" not in said
    assert processes_of(tmp_path) == []
