"""What a technician does while cloud and hub run: from elsewhere, on the hub from afar, and with the services' keys."""

import asyncio
import io
import json
import ssl
import subprocess
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import nats
import nats.errors
import psycopg
import pytest
from tests.support.cloud import bedside_cloud
from tests.support.household import RunningHousehold, household
from tests.support.laptop import Laptop, tls_proxy
from tests.support.truth import differences, drained, emitted, stored

from bedside_agent.opening import IDENTITY
from bedside_agent.uplink.identity import Identity
from bedside_cloud.contracts.service_map import SERVICES
from bedside_cloud.engines.certificates.release_key import release_signer
from bedside_cloud.operator_tools import bundles
from bedside_cloud.supervisor.state import State
from bedside_sim.household import HUB_ID

__all__ = ["household"]

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.journey, pytest.mark.asyncio(loop_scope="module")]


async def told(household: RunningHousehold, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(bedside_cloud, "fleet", "command", *arguments, state=household.cloud_state)


def certificate(household: RunningHousehold) -> bytes:
    return Identity(household.hub_state / IDENTITY).certificate.read_bytes()


async def test_a_status_is_reported(household: RunningHousehold) -> None:
    result = await told(household, "give", HUB_ID, "report_status")
    assert (result.returncode, result.stdout) == (0, "The hub has done it.\n"), result.stderr


async def test_a_bundle_comes_back_and_holds_nothing_of_the_patient(
    household: RunningHousehold, tmp_path: Path
) -> None:
    output = tmp_path / "hub.tar.gz"
    result = await told(household, "give", HUB_ID, "collect_bundle", "--output", str(output), "--wait", "120")
    assert result.returncode == 0, result.stderr + result.stdout
    assert output.stat().st_mode & 0o777 == 0o600
    with tarfile.open(fileobj=io.BytesIO(output.read_bytes())) as tar:
        files = {Path(one.name).name: file.read() for one in tar if (file := tar.extractfile(one)) is not None}
    assert {"doctor.json", "status.json", "hub.toml", "buffer.json"} <= set(files)
    everything = b"".join(files.values())
    assert household.patient_id.encode() not in everything
    again = await told(household, "give", HUB_ID, "collect_bundle", "--output", str(output))
    assert again.returncode == 1
    assert "is there already" in again.stderr


async def test_a_key_is_rotated_while_readings_go_on(household: RunningHousehold) -> None:
    before = certificate(household)
    result = await told(household, "give", HUB_ID, "rotate_key", "--wait", "60", "--json")
    assert result.returncode == 0, result.stderr + result.stdout
    said: dict[str, Any] = json.loads(result.stdout)
    assert said["state"] == "applied"
    assert certificate(household) != before
    status = await told(household, "give", HUB_ID, "report_status")
    assert status.returncode == 0, "and the hub is let in with the new one"


async def test_an_agent_that_nobody_would_start_again_refuses_a_restart(household: RunningHousehold) -> None:
    result = await told(household, "give", HUB_ID, "restart")
    assert result.returncode == 1
    assert "not started by systemd" in result.stdout


async def test_the_list_tells_what_became_of_each(household: RunningHousehold) -> None:
    result = await told(household, "list", HUB_ID, "--json")
    commands = json.loads(result.stdout)["commands"]
    assert [(one["kind"], one["state"]) for one in commands][::-1] == [
        ("report_status", "applied"),
        ("collect_bundle", "applied"),
        ("rotate_key", "applied"),
        ("report_status", "applied"),
        ("restart", "refused"),
    ]
    shown = (await told(household, "list")).stdout
    assert "rotate_key" in shown
    wrong = await told(household, "give", "hub-nobody-knows", "restart")
    assert "no hub hub-nobody-knows" in wrong.stderr


async def test_a_version_is_signed_offered_and_goes_no_further_than_the_first_hub_that_fails(
    household: RunningHousehold, tmp_path: Path
) -> None:
    """The hub of this test was not installed by systemd: it refuses, and says so in the rollout."""

    async def fleet(*arguments: str) -> str:
        result = await asyncio.to_thread(bedside_cloud, "fleet", *arguments, state=household.cloud_state)
        assert result.returncode == 0, result.stderr + result.stdout
        return result.stdout

    wheel, bundle, key = tmp_path / "bedside-9.9.0-py3-none-any.whl", tmp_path / "bedside-9.9.0.tar", tmp_path / "r.key"
    wheel.write_bytes(bytes(range(256)) * 1200)
    secret = ("--passphrase", "a passphrase")
    await fleet("version", "key", "--output", str(key), *secret)
    await fleet("version", "pack", "--wheel", str(wheel), "--output", str(bundle), "--systemd", str(ROOT / "systemd"))
    await fleet("version", "sign", str(bundle), "--key", str(key), *secret)
    assert "Version 9.9.0 is there" in await fleet("version", "add", str(bundle))
    (known,) = json.loads(await fleet("version", "list", "--json"))["releases"]

    trust = ssl.create_default_context(cadata=Identity(household.hub_state / IDENTITY).root.read_text())
    async with httpx.AsyncClient(base_url=household.endpoints["est_url"], verify=trust) as client:
        whole = await client.get(f"/updates/{known['sha256']}")
        rest = await client.get(f"/updates/{known['sha256']}", headers={"range": "bytes=200000-"})
        nothing = await client.get(f"/updates/{'0' * 64}")
        beyond = await client.get(f"/updates/{known['sha256']}", headers={"range": "bytes=9999999-"})
    assert [one.status_code for one in (whole, rest, nothing, beyond)] == [200, 206, 404, 416]
    assert whole.content == bundle.read_bytes()
    assert rest.content == whole.content[200_000:]

    begun = await fleet("rollout", "start", "9.9.0", "--stages", "10,100", "--soak", "10m")
    assert "Version 9.9.0 goes to 1 of the hubs, in 2 stages." in begun
    async with asyncio.timeout(30):
        while json.loads(await fleet("rollout", "show", "--json"))["rollout"]["state"] != "halted":
            await asyncio.sleep(0.5)
    shown = " ".join((await fleet("rollout", "show")).split())
    assert "Of 1 that tried, 1 failed" in shown
    assert "not installed by systemd/install" in shown
    assert "halted" in await fleet("rollout", "list")
    await fleet("version", "remove", "9.9.0")


def signed_bundle(folder: Path) -> Path:
    """A version that is larger than what the gateway takes in one request."""
    wheel, bundle = folder / "bedside-9.9.1-py3-none-any.whl", folder / "bedside-9.9.1.tar"
    wheel.write_bytes(bytes(range(256)) * 1200)
    bundles.new_key(folder / "release.key", b"a passphrase")
    bundles.pack(wheel, ROOT / "systemd", None, bundle)
    bundles.sign(bundle, release_signer(folder / "release.key", b"a passphrase"), may_be_older=False)
    return bundle


async def test_a_technician_works_from_elsewhere_and_is_named(household: RunningHousehold, tmp_path: Path) -> None:
    laptop = Laptop(tmp_path)
    gateway = urlsplit(household.url).port
    assert gateway is not None
    async with tls_proxy(gateway, tmp_path) as (server, ca):
        assert "There is no cloud" in await laptop.refused("fleet", "hub", "list")
        log_in = ("login", "--server", server, "--password-stdin")
        password = household.password("tech") + "\n"
        assert "cannot be reached" in await laptop.refused(*log_in, "--name", "tech", stdin=password), "nobody vouches"
        assert "wrong" in await laptop.refused(*log_in, "--name", "tech", "--ca", str(ca), stdin="guess\n")
        nurse = (*log_in, "--name", "nurse", "--ca", str(ca))
        assert "not a technician" in await laptop.refused(*nurse, stdin=household.password("nurse") + "\n")
        assert "Nobody is logged in" in await laptop.refused("whoami")

        assert "tech is logged in" in await laptop.done(*log_in, "--name", "tech", "--ca", str(ca), stdin=password)
        assert server in await laptop.done("whoami")
        assert HUB_ID in await laptop.done("fleet", "hub", "list")
        ticket = json.loads(await laptop.done("fleet", "claim", "new", "--hub-id", "hub-far", "--json"))
        here = await asyncio.to_thread(bedside_cloud, "endpoints", "--json", state=household.cloud_state)
        assert ticket["est_url"] == json.loads(here.stdout)["est_url"]
        labels = ("fleet", "claim", "new", "--hub-id", "box", "--count", "3", "--pdf", "labels.pdf")
        assert "3 labels" in await laptop.done(*labels)
        await laptop.done("fleet", "hub", "rename", HUB_ID, "by the window")
        assert "by the window" in await laptop.done("fleet", "hub", "show", HUB_ID)
        await laptop.done("fleet", "hub", "suspend", HUB_ID)
        await laptop.done("fleet", "hub", "resume", HUB_ID)
        assert "The hub has done it." in await laptop.done(
            "fleet", "command", "give", HUB_ID, "report_status", "--wait", "60"
        )
        assert "no hub nobody" in await laptop.refused("fleet", "command", "give", "nobody", "restart")
        assert "own machine alone" in await laptop.refused("patient", "list")
        bundle = signed_bundle(tmp_path)
        assert "Version 9.9.1 is there" in await laptop.done("fleet", "version", "add", str(bundle))
        await laptop.done("fleet", "version", "remove", "9.9.1")

        deeds = await asyncio.to_thread(bedside_cloud, "audit", "deeds", "--json", state=household.cloud_state)
        by_tech = {
            (one["deed"], one["subject"]) for one in json.loads(deeds.stdout)["deeds"] if one["actor"] == "person:tech"
        }
        assert by_tech >= {
            ("claim_made", "hub-far"),
            ("hub_renamed", HUB_ID),
            ("hub_suspended", HUB_ID),
            ("hub_active", HUB_ID),
            ("command_report_status", HUB_ID),
        }
        session = tmp_path / "config" / "bedside" / "session.json"
        copied = session.read_text()
        assert "Logged out" in await laptop.done("logout")
        session.write_text(copied)
        assert "does not hold any more" in await laptop.refused("fleet", "hub", "list"), "a copy is good for nothing"
        assert "Logged out" in await laptop.done("logout")
        await laptop.done(*log_in, "--name", "tech", "--ca", str(ca), stdin=password)
        assert HUB_ID in await laptop.done("fleet", "hub", "list")
        taken = await asyncio.to_thread(bedside_cloud, "person", "log-out", "tech", state=household.cloud_state)
        assert taken.stdout == "tech is logged out.\n", taken.stderr
        assert "does not hold any more" in await laptop.refused("fleet", "hub", "list")
        forgotten = await laptop.done("logout")
        assert "Logged out" in forgotten
        assert "There is no cloud" in await laptop.refused("fleet", "hub", "list")


async def is_let_in(state: State, user: str, seed: str, folder: Path) -> bool:
    """Whether the broker takes that key."""
    file = folder / f"{user}.seed"
    file.write_text(seed)
    settings = state.bus_settings(user)
    context = ssl.create_default_context(cafile=str(settings.ca_file))
    try:
        client = await nats.connect(settings.url, nkeys_seed=str(file), tls=context, allow_reconnect=False)
    except (nats.errors.Error, OSError):
        return False
    is_in = client.is_connected
    await client.close()
    return is_in


def connects(state: State, service: str, password: str) -> bool:
    """Whether the database takes that password."""
    try:
        with psycopg.connect(state.postgres.dsn(service, password)):
            return True
    except psycopg.OperationalError:
        return False


async def test_new_keys_cost_no_message_and_the_earlier_ones_are_refused(
    household: RunningHousehold, tmp_path: Path
) -> None:
    async def said_low() -> bool:
        values = {"spo2": 70, "pulse_rate": 70}
        return bool((await household.control("emit", device="demo-oximeter", values=values))["emitted"])

    await household.until(lambda: "plan.applied" in household.started("hub").said(), "the plan at the hub")
    before = State.open(household.cloud_state)
    earlier = {name: seed for name, seed in before.broker_secrets.seeds.items() if name != "operator"}
    pids = {row["name"]: row["pid"] for row in household.status()["processes"]}
    await household.until(said_low, "the oximeter's link")
    result = await asyncio.to_thread(bedside_cloud, "credentials", "rotate", "--json", state=household.cloud_state)
    assert result.returncode == 0, result.stderr + household.started("cloud").said()
    assert json.loads(result.stdout)["rotated_at_ms"] > 0

    now = State.open(household.cloud_state)
    rows = {row["name"]: row for row in household.status()["processes"]}
    assert {name for name, pid in pids.items() if rows[name]["pid"] == pid} == {"postgres"}
    assert {row["restarts"] for row in rows.values()} == {0}, "nothing died"
    for name, seed in earlier.items():
        assert not await is_let_in(now, name, seed, tmp_path), name
    assert await is_let_in(now, "ingest", now.broker_secrets.seeds["ingest"], tmp_path)
    for service in [entry.name for entry in SERVICES if entry.schema is not None]:
        assert not connects(now, service, before.database_passwords[service]), service
        assert connects(now, service, now.database_passwords[service]), service

    await household.control("pause")
    await drained(household)
    assert differences(emitted(household.journal), stored(household.endpoints["database_dsn"])) == []
    with psycopg.connect(household.endpoints["database_dsn"]) as connection:
        async with asyncio.timeout(30):
            while connection.execute("SELECT condition FROM alerting.alerts").fetchall() != [("spo2_low",)]:
                connection.rollback()
                await asyncio.sleep(0.2)
    await household.control("resume")
