"""Power cuts, replayed: strace records every change that a hub's day makes to the disk, and the hub starts after each.

A cut is tried after every single change, with everything arrived, with nothing that was not synced, with the last
write torn, with all after some moment lost, and with any 512-byte sectors of what was not synced lost. Short: some of
these cuts, chosen by a seed; LONG=1: all of them.
"""

import asyncio
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.hub.power_cut_run import BUFFER, MEMORY, PLAN, credential, digest
from tests.support.clock import NOON_MS
from tests.support.power_cut import Disk, Files, Loss, cuts
from tests.support.readings import reading
from tests.support.recorded_disk import SAYS, Change, Kind, can_record, record

from bedside_agent import settings
from bedside_agent.buffer.bundles import span
from bedside_agent.buffer.contents import STORE_STEP, Damaged, Group, Item
from bedside_agent.buffer.database import Database
from bedside_agent.buffer.ranges import intersect, subtract, union
from bedside_agent.errors import AgentError
from bedside_agent.uplink.identity import Identity
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.events import Event, Gap
from bedside_profiles.wire.topics import UpLane

SHORT = 3000
SEED = 20260102
EACH_GOES_ON = 7
"""After one cut of so many, the hub also goes on: it stores, stops and starts once more."""

PEER = "ThingsBoard IoT Gateway 3.8.3: synchronous=NORMAL, nothing is promised"

OWN = ("d" * 32, "e" * 32, "f" * 32)
"""Stores that the replay itself opened."""

OWN_KINDS = ("store_corrupt", "store_salvaged")

Lane = tuple[str, str]


@dataclass
class Promised:
    """What the hub had said before the cut. `begun` is what it may have written, `kept` what must be there."""

    contents: dict[tuple[str, str, int], str] = field(default_factory=dict)
    begun: dict[int, list[tuple[str, str, int]]] = field(default_factory=dict)
    kept: set[tuple[str, str, int]] = field(default_factory=set)
    settled: dict[Lane, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    devices: int = -1
    plan: int = 0
    plan_kept: int = 0
    memory_kept: int = 0
    enrolled: bool = False
    damaging: bool = False

    def hear(self, line: bytes) -> None:
        """Take one thing that was said."""
        said = json.loads(line)
        if "promise" in said:
            mine = [(said["store"], said["lane"], int(seq)) for seq in said["contents"]]
            self.begun[said["promise"]] = mine
            self.contents |= dict(zip(mine, said["contents"].values(), strict=True))
        elif "kept" in said:
            mine = self.begun[said["kept"]]
            self.kept |= set(mine)
            self.memory_kept += mine[0][1] == UpLane.ALARMS.value
        elif "settled" in said:
            store, lane, first, last = said["settled"]
            self.settled[store, lane] = union(self.settled.get((store, lane), ()), ((first, last),))
        for name in ("devices", "plan", "plan_kept", "enrolled", "damaging"):
            if name in said:
                setattr(self, name, said[name])


def recording(*which: str) -> list[Change]:
    """Record the hub's day; with `damaged`, that of a hub whose file is destroyed."""
    with tempfile.TemporaryDirectory(prefix="bedside-cut-") as folder:
        state, log = Path(folder) / "state", Path(folder) / "log"
        state.mkdir(mode=0o700)
        log.mkdir()
        command = [sys.executable, "-m", "tests.bench.hub.power_cut_run", str(state), str(log / SAYS), *which]
        return record(command, state, log)


def replay(changes: Sequence[Change], most: int | None) -> tuple[int, list[str]]:
    """Try the cuts (at most so many, chosen by a seed): how many, and a sentence for each that failed."""
    chance = random.Random(SEED)
    every = list(cuts(changes))
    chosen = every if most is None or most >= len(every) else sorted(chance.sample(range(len(every)), most))
    wanted: dict[int, list[Loss]] = {}
    for cut in chosen:
        place, loss = every[cut] if isinstance(cut, int) else cut
        wanted.setdefault(place, []).append(loss)
    disk, promised, failures, tried = Disk(), Promised(), list[str](), 0
    with tempfile.TemporaryDirectory(prefix="bedside-cut-", dir=_memory()) as folder, credential():
        for place, change in enumerate(changes):
            disk.take(change)
            if change.kind is Kind.SAID:
                promised.hear(change.data)
            for loss in wanted.get(place, ()):
                tried += 1
                files = disk.after_cut(loss, chance)
                problems = _start(files, promised, Path(folder), goes_on=tried % EACH_GOES_ON == 0)
                failures += [
                    f"after change {place} ({change.kind.value} {change.path}), lost: {loss.value}: {one}"
                    for one in problems
                ]
    return tried, failures


async def measure(*, long: bool) -> list[Figure]:
    """Cuts after which something promised was not there, of those tried."""
    if not can_record():
        raise RuntimeError("strace is not here or may not trace: apt-get install strace")
    tried, failures, changes = 0, list[str](), 0
    for which in ((), ("damaged",)):
        recorded = await asyncio.to_thread(recording, *which)
        some, wrong = await asyncio.to_thread(replay, recorded, None if long else SHORT // 2)
        tried, failures = tried + some, failures + wrong
        changes += sum(change.kind is not Kind.SAID for change in recorded)
    for failure in failures[:20]:
        print(failure, file=sys.stderr)
    return [
        Figure("failures", len(failures), "cuts", PEER),
        Figure("replays", tried, "cuts"),
        Figure("changes", changes, "system calls"),
    ]


def _start(files: Files, promised: Promised, folder: Path, *, goes_on: bool) -> list[str]:
    """Start the hub on what the cut left; what is wrong then."""
    state = folder / "state"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(mode=0o700)
    for path, content in files.items():
        (state / path).write_bytes(content)
    try:
        problems = _others(state, promised) + _look(state / BUFFER, promised, OWN[0])
        if goes_on and not problems:
            _go_on(state / BUFFER)
            problems = _look(state / BUFFER, promised, OWN[2])
    except AgentError as error:
        return [f"does not start: {error.what}"]
    return problems


def _others(state: Path, promised: Promised) -> list[str]:
    problems = []
    if promised.devices >= 0:
        found = len(settings.load(state).device)
        if found not in (promised.devices, promised.devices + 1):
            problems.append(f"the settings name {found} devices, not {promised.devices}")
    if promised.enrolled and not Identity(state).is_enrolled():
        problems.append("the identity is lost")
    return problems


def _look(path: Path, promised: Promised, store_id: str) -> list[str]:
    database = Database(path, store_id)
    try:
        problems = []
        if database.damage is not None and not promised.damaging:
            problems = [f"taken for damaged: {database.damage}"]
        # Plan and memory are there before anything else is saved.
        state_problems = _state_problems(database.state(), promised)
        while database.rescue.is_needed:
            database.rescue.step()
        found: dict[tuple[str, str, int], str] = {}
        covered: dict[Lane, tuple[tuple[int, int], ...]] = {}
        newest_alarm = 0
        for kept in database.kept():
            lane = kept.store_id, kept.lane.value
            covered[lane] = promised.settled.get(lane, ())
            if subtract(kept.settled, covered[lane]):
                problems.append(f"a receipt that never came covers {lane}")
            for item in database.fetch(kept.number, kept.lane, 1, STORE_STEP - 1, STORE_STEP):
                if isinstance(item, Gap):
                    covered[lane] = union(covered[lane], (span(item),))
                elif isinstance(item, Damaged):
                    problems.append(f"a damaged row {lane} {item.seq}")
                else:
                    problems += _unlike(found, (*lane, item.seq), item, promised)
                    if isinstance(item, Alarm):
                        newest_alarm = max(newest_alarm, item.at_ms - NOON_MS)
        lost = [
            one for one in promised.kept - found.keys() if not intersect(((one[2], one[2]),), covered.get(one[:2], ()))
        ]
        if lost:
            problems.append(f"{len(lost)} acknowledged items are lost, as {min(lost)}")
        problems += state_problems
        if (memory := _number(database.state().get(MEMORY))) != newest_alarm:
            problems.append(f"the alarms' memory is of alarm {memory}, the newest alarm is {newest_alarm}")
    finally:
        database.close()
    return problems


def _unlike(
    found: dict[tuple[str, str, int], str], key: tuple[str, str, int], item: Item, promised: Promised
) -> list[str]:
    if key in found:
        return [f"{key} stands twice"]
    found[key] = digest(item)
    # What the store itself reports is nothing that was promised.
    is_own = key[0] in OWN or (isinstance(item, Event) and item.kind in OWN_KINDS)
    return [] if is_own or promised.contents.get(key) == found[key] else [f"{key} has another content"]


def _state_problems(state: Mapping[str, bytes], promised: Promised) -> list[str]:
    memory, plan = _number(state.get(MEMORY)), _number(state.get(PLAN))
    problems = []
    if memory < promised.memory_kept:
        problems.append(f"the alarms' memory is of alarm {memory}, acknowledged was {promised.memory_kept}")
    if not promised.plan_kept <= plan <= promised.plan:
        problems.append(f"the plan is {plan}, acknowledged {promised.plan_kept}, begun {promised.plan}")
    return problems


def _go_on(path: Path) -> None:
    database = Database(path, OWN[1])
    database.commit(Group(readings=[reading(seq=1), reading(seq=2)]))
    database.commit(Group(events=[]))
    database.close()


def _number(value: bytes | None) -> int:
    return int(value.split()[0]) if value else 0


def _memory() -> str | None:
    """Where files cost no disk: the replays are many, and what they test is not this disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of our own is made in it
