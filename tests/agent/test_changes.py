"""A change of settings or of the software never touches the buffer: what waited before is delivered after it, once."""

import asyncio
import dataclasses
import hashlib
import json
import shutil
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.agent.test_agent_process import CA, NONIN, keep_plan
from tests.support.agent_process import PROGRAM, WAIT_SECONDS, agent, until
from tests.support.mosquitto import Mosquitto, free_port, require_mosquitto
from tests.support.ptys import serial_line, speak
from tests.support.readings import HUB
from tests.support.storing_cloud import StoringCloud, at_broker

from bedside_agent.buffer.inspection import viewed
from bedside_agent.buffer.queries import migrations
from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.opening import BUFFER
from bedside_agent.settings import Settings
from bedside_profiles.bounds import Between
from bedside_profiles.wire.topics import UpLane
from bedside_sim.pty import SerialLine

FROZEN = Path(__file__).parent / "buffer" / "frozen"
LANES = (UpLane.ALARMS, UpLane.READINGS, UpLane.EVENTS)

TEXTS: dict[str, tuple[Sequence[str], Sequence[object]]] = {
    "broker_host": (("broker.invalid", "127.0.0.1"), ("", 7)),
    "est_url": (("https://est.invalid:8443",), ("http://est.invalid", 7)),
    "homepage": (("127.0.0.1:0", "[::1]:0"), ("localhost", "127.0.0.1:x")),
    "radio": (("bumble:tcp-client:127.0.0.1:1",), ("magic", "bumble:")),
    "sound_command": (("false", "no-such-program --loud"), ("", "'unclosed")),
    "lamp": (("led:no-such-lamp", "gpio:/dev/gpiochip9:7"), ("torch",)),
    "language": (("es",), ("tlh",)),
    "quiet_hours": (("none", "00:00-23:59"), ("night",)),
}
"""Of each setting that is no number: values to change it to, and values that are refused."""

EXEMPT = {"hub_id", "device"}
"""`hub_id` is no setting to change: it names another hub, whose certificate and lanes are not this one's. Devices are
tried in `DEVICES`."""

OTHER_LINE = DeviceEntry("nonin-2", "serial.nonin_df2", port="/dev/no-such-line")
OVER_RADIO = DeviceEntry("oximeter-1", "bluetooth.pulse_oximeter", address="C0:11:22:33:44:55")

NEXT_VERSION = (
    """
from bedside_agent.buffer import migrating
known = migrating.migrations()
new = (known[-1][0] + 1, "CREATE TABLE of_the_next_version (number INTEGER PRIMARY KEY) STRICT;")
migrating.migrations = lambda: (*known, new)
"""
    + PROGRAM
)

Identity = tuple[UpLane, str, int]
"""Lane, store, sequence."""


class Hub:
    """A state directory whose settings are written anew before each start."""

    def __init__(self, directory: Path, line: SerialLine) -> None:
        self.state = directory / "state"
        self.line = line
        self.plain: dict[str, object] = {
            "hub_id": HUB,
            "broker_host": "localhost",
            "broker_port": free_port(),
            "radio": "bluez",
            "sound_command": "dd of=/dev/null status=none",
        }
        self.device = DeviceEntry(NONIN, "serial.nonin_df2", port=str(directory / "nonin"))
        CA.write(self.state / "identity", CA.leaf(HUB))
        self.write()

    def write(self, devices: Sequence[DeviceEntry] | None = None, **changes: object) -> None:
        """The plain settings with these changes."""
        lines = [f"{name} = {json.dumps(value)}" for name, value in (self.plain | changes).items()]
        for device in (self.device,) if devices is None else devices:
            lines.append("[[device]]")
            values = dataclasses.asdict(device).items()
            lines += [f"{name} = {json.dumps(value)}" for name, value in values if value is not None]
        (self.state / "hub.toml").write_text("\n".join(lines) + "\n")

    async def work(self, spo2: int = 97, *, program: str = PROGRAM, kill: bool = False) -> None:
        """Start, measure if the oximeter is among the devices, and stop."""
        async with agent(self.state, program) as process:
            report = await until(self.state, lambda report: True)
            if any(device["device_id"] == NONIN for device in report["devices"]):
                waiting = report["waiting"]["readings"]
                await speak(self.line, spo2, 2)
                await until(self.state, lambda report: report["waiting"]["readings"] >= waiting + 4)
            process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), WAIT_SECONDS) == (-signal.SIGKILL if kill else 0)

    async def refuse(self, *, program: str = PROGRAM) -> str:
        """A start that ends with a sentence, and changes no byte of anything; what it said."""
        before = self.hashes()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, "run", "--state", str(self.state)),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)
        assert process.returncode == 1
        assert b"Traceback" not in said
        assert self.hashes() == before
        return said.decode()

    def hashes(self) -> dict[str, str]:
        """Every file of the hub, but for SQLite's index of its log, which is made anew, and the empty lock."""
        files = (one for one in sorted(self.state.rglob("*")) if one.is_file())
        return {
            str(one.relative_to(self.state)): hashlib.sha256(one.read_bytes()).hexdigest()
            for one in files
            if not one.name.endswith(("-shm", ".lock"))
        }

    def kept(self) -> dict[Identity, tuple[object, ...]]:
        """All that the buffer holds, each item with its content."""
        with viewed(self.state / BUFFER) as view:
            found = [(lane, record) for lane in LANES for record in view.records(lane, None)]
        contents: dict[Identity, tuple[object, ...]] = {}
        for lane, one in found:
            contents[lane, str(one["store_id"]), int(str(one["first_seq"]))] = (
                one["what"],
                one["value"],
                one["at_utc"],
            )
        assert len(contents) == len(found), "no sequence twice"
        return contents

    async def deliver(self, directory: Path, *, program: str = PROGRAM) -> StoringCloud:
        """With a broker at last: the cloud that got everything that waited."""
        require_mosquitto()
        broker = Mosquitto(directory / "broker", CA)
        broker.start()
        cloud = StoringCloud(HUB, tells_time=True)
        self.write(broker_port=broker.port)
        try:
            async with at_broker(cloud, broker.port, CA, directory / "cloud"), agent(self.state, program) as process:
                await until(self.state, lambda report: bool(report["connected_since_ms"]))
                await until(self.state, lambda report: not any(report["waiting"].values()))
                process.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(process.wait(), WAIT_SECONDS) == 0
        finally:
            broker.stop()
        return cloud


def received(cloud: StoringCloud) -> Counter[tuple[Identity, object, object]]:
    """Identity, what and value of all that came, and how often."""
    found: Counter[tuple[Identity, object, object]] = Counter()
    for batch in cloud.batches:
        lane, store_id = batch.header.lane, batch.header.store_id
        assert batch.gaps == ()
        found.update(((lane, store_id, one.seq), one.metric.value, one.value) for one in batch.readings)
        found.update(((lane, store_id, one.seq), one.condition, None) for one in batch.alarms)
        found.update(((lane, store_id, one.seq), one.kind, None) for one in batch.events)
    return found


def once(kept: dict[Identity, tuple[object, ...]]) -> Counter[tuple[Identity, object, object]]:
    """Each of these, once."""
    return Counter((identity, what, value) for identity, (what, value, _) in kept.items())


def allowed() -> Iterator[tuple[str, object]]:
    """Every setting with every value that it is to be changed to; a setting that nobody thought of fails here."""
    for one in dataclasses.fields(Settings):
        bounds = one.metadata.get("bounds")
        if isinstance(bounds, Between):
            yield one.name, int(bounds.lowest)
            yield one.name, int(bounds.highest)
        elif one.name not in EXEMPT:
            yield from ((one.name, value) for value in TEXTS[one.name][0])


def refused() -> Iterator[tuple[str, object]]:
    """Every setting with values that it cannot have."""
    for one in dataclasses.fields(Settings):
        bounds = one.metadata.get("bounds")
        if isinstance(bounds, Between):
            yield from ((one.name, value) for value in (int(bounds.lowest) - 1, int(bounds.highest) + 1, "many", 0.5))
        elif one.name not in EXEMPT:
            yield from ((one.name, value) for value in TEXTS[one.name][1])


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with serial_line(tmp_path / "nonin") as line:
        yield Hub(tmp_path, line)


@pytest.mark.mosquitto
async def test_whatever_setting_changes_what_waited_is_delivered_once(tmp_path: Path, hub: Hub) -> None:
    await keep_plan(hub.state)
    await hub.work(80)
    before = hub.kept()
    lanes = Counter(lane for lane, _, _ in before)
    assert all(lanes[lane] for lane in LANES), "readings, an alarm and events wait"
    changes = list(allowed())
    lowest, highest = dict(reversed(changes)), dict(changes)
    devices: list[tuple[DeviceEntry, ...]] = [
        (),
        (OTHER_LINE, hub.device),
        (hub.device, OTHER_LINE, OVER_RADIO),
        (OVER_RADIO, hub.device),
        (dataclasses.replace(hub.device, device_id="renamed"),),
    ]
    steps: list[dict[str, Any]] = [{name: value} for name, value in changes]
    steps += [{"devices": one} for one in devices]
    steps += [{**lowest, "devices": devices[2]}, {**highest, "devices": devices[3]}]
    for step in steps:
        hub.write(**step)
        await hub.work()
        after = hub.kept()
        assert before.items() <= after.items(), step
        before = after
    cloud = await hub.deliver(tmp_path)
    assert received(cloud) == once(hub.kept())
    assert once(before).items() <= received(cloud).items()
    assert cloud.statuses[0].plan_version == 1, "the plan is there as well"


async def test_a_setting_that_is_refused_is_named_and_nothing_is_touched(hub: Hub) -> None:
    await keep_plan(hub.state)
    await hub.work(80)
    wrong: dict[str, list[object]] = {}
    for name, value in refused():
        wrong.setdefault(name, []).append(value)
    for place in range(max(map(len, wrong.values()))):
        step: dict[str, Any] = {name: values[place] for name, values in wrong.items() if place < len(values)}
        hub.write(**step)
        said = await hub.refuse()
        assert [name for name in step if name not in said] == []
    for devices in ((hub.device, hub.device), (dataclasses.replace(hub.device, profile="none.such"),)):
        hub.write(devices)
        assert NONIN in await hub.refuse()
    (hub.state / "hub.toml").write_text("hub_id = ")
    assert "hub.toml" in await hub.refuse()


@pytest.mark.mosquitto
async def test_what_waits_in_a_buffer_of_the_first_schema_is_delivered_once(tmp_path: Path, hub: Hub) -> None:
    shutil.copy(FROZEN / "schema_0001.db", hub.state / BUFFER)
    with sqlite3.connect(hub.state / BUFFER) as old:
        (schema,) = old.execute("PRAGMA user_version").fetchone()
        stored = {lane: old.execute(f"SELECT count(*) FROM {lane.value}").fetchone()[0] for lane in LANES}  # noqa: S608
        settled = old.execute("SELECT sum(last_seq - first_seq + 1) FROM settled").fetchone()[0]
    old.close()
    assert schema == 1
    cloud = await hub.deliver(tmp_path)
    assert set(received(cloud).values()) == {1}
    of_old = [identity for identity, _, _ in received(cloud) if identity[1] in {"a" * 32, "b" * 32}]
    assert len(of_old) == sum(stored.values()) - settled
    kept = once(hub.kept())
    assert received(cloud).items() <= kept.items()
    assert len(kept) - len(received(cloud)) == settled, "what a receipt covered before is not sent again"


@pytest.mark.mosquitto
@pytest.mark.parametrize("killed", [False, True])
async def test_a_buffer_of_the_next_version_is_refused_and_left_to_it(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    """An upgrade that was taken back: the older agent touches nothing, and the newer one finds everything."""
    await keep_plan(hub.state)
    await hub.work(80)
    await hub.work(96, program=NEXT_VERSION, kill=killed)
    newest = migrations()[-1][0]
    with monkeypatch.context() as patched:
        patched.setattr("bedside_agent.buffer.migrating.migrations", lambda: (*migrations(), (newest + 1, "")))
        before = hub.kept()
    said = await hub.refuse()
    assert f"the buffer has schema {newest + 1}, this agent knows schemas up to {newest}" in said
    assert "install the newer bedside-agent again" in said
    cloud = await hub.deliver(tmp_path, program=NEXT_VERSION)
    assert set(received(cloud).values()) == {1}
    assert once(before).items() <= received(cloud).items()
