"""A hub's alarms as a time line: what is said at which second, and what is heard of it, over the real store.

Between two steps the keeper ticks as the agent does. A case is run as it stands, and again on a hub that does not know
the time, on one whose clock is set right by a year in the middle, with restarts, and with kills on the way: none of
it may change what is heard, nor when.
"""

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.support import certificates
from tests.support.clock import NOON_MS, ManualClock
from tests.support.readings import HUB, OXIMETER, plan, reading

from bedside_agent.alarms.keeper import AlarmKeeper
from bedside_agent.alarms.plan import Authority
from bedside_agent.buffer.store import Store
from bedside_profiles.readings import ClockQuality, Metric, Modality, Quality, RangeFlag
from bedside_profiles.rules.cadence import CadenceRule
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.careplan import CarePlan
from bedside_profiles.wire.command import Outcome

CA = certificates.Authority()
REGISTRY = CA.signer()
YEAR_MS = 365 * 86_400_000
SILENCE_MS = 600_000


class Bench:
    """A store and a keeper on a clock that the test owns; seconds count from its start, whatever the clocks say."""

    def __init__(self, directory: Path, clock: ManualClock) -> None:
        self.clock = clock
        self.seconds = 0.0
        self.heard: list[tuple[float, str]] = []
        self.alarms: list[Alarm] = []
        self._directory = directory
        self._boots = 1
        self._deaths = 0
        self.store: Store
        self.keeper: AlarmKeeper

    async def open(self) -> None:
        self._directory.mkdir(exist_ok=True, parents=True)
        self.store = await Store.open(self._directory / "buffer.db", self.clock, commit_window_ms=1)
        append = self.store.append_alarm

        def written_down(draft: Alarm, state: Mapping[str, bytes | None] = {}) -> tuple[Alarm, asyncio.Future[None]]:
            alarm, committed = append(draft, state)
            self.alarms.append(alarm)
            self.heard.append((self.seconds, spelled(alarm)))
            return alarm, committed

        self.store.append_alarm = written_down  # type: ignore[method-assign]  # whatever is kept is heard
        self.keeper = AlarmKeeper(
            self.store,
            self.clock,
            Authority(HUB, CA.root.der),
            silence_ms=SILENCE_MS,
            remind=lambda rule: self.heard.append((self.seconds, f"{rule.condition} reminded")),
        )

    async def restart(self) -> None:
        """The agent stops and starts again, at once."""
        await self.store.close()
        await self.open()

    async def kill(self) -> None:
        """The agent is gone without a word: what goes on is what was on the disk a commit later."""
        await self.store.put_state({"alive": str(self.seconds).encode()})
        self._deaths += 1
        killed, self._directory = self._directory, self._directory.parent / f"after-{self._deaths}"
        shutil.copytree(killed, self._directory, ignore=shutil.ignore_patterns("*.lock"))
        await self.store.close()
        await self.open()

    async def reboot(self, off_seconds: float, *, synced: bool) -> None:
        """Power gone for so long."""
        await self.store.close()
        self._boots += 1
        quality = ClockQuality.SYNCED if synced else ClockQuality.UNSYNCED
        self.clock.reboot(f"{self._boots:08x}-0000-4000-8000-000000000000", off_seconds=off_seconds, quality=quality)
        self.seconds += off_seconds
        await self.open()

    async def put_in_force(self, care_plan: CarePlan) -> None:
        reply = await self.keeper.offer(REGISTRY.sign(care_plan))
        assert reply.outcome is Outcome.APPLIED

    def pass_until(self, seconds: float) -> None:
        """Ticks every second, in long waits every thousandth of the wait."""
        step = max(1.0, (seconds - self.seconds) / 1000)
        while self.seconds < seconds:
            passed = min(step, seconds - self.seconds)
            self.clock.advance(seconds=passed)
            self.seconds = round(self.seconds + passed, 3)
            self.keeper.tick()


@dataclass(frozen=True)
class Say:
    """The device gives a reading; `value` may be a range flag. `ago` seconds old when it comes."""

    at: float
    value: float | RangeFlag
    metric: Metric = Metric.SPO2
    device: str = OXIMETER
    spot: bool = False
    quality: tuple[Quality, ...] = ()
    ago: float = 0

    async def happen(self, bench: Bench) -> None:
        now = bench.clock.now()
        flag = self.value if isinstance(self.value, RangeFlag) else None
        ago_ms = round(self.ago * 1000)
        one = reading(
            None if isinstance(self.value, RangeFlag) else self.value,
            at=replace(now, utc_ms=max(0, now.utc_ms - ago_ms)),
            range_flag=flag,
            metric=self.metric,
            device_id=self.device,
            modality=Modality.SPOT if self.spot else Modality.CONTINUOUS,
            quality=self.quality,
        )
        readings, _ = bench.store.append_readings([one])
        bench.keeper.observe(readings, now)


@dataclass(frozen=True)
class Do:
    """Something else happens."""

    at: float
    what: Callable[[Bench], object]

    async def happen(self, bench: Bench) -> None:
        self.what(bench)


@dataclass(frozen=True)
class Until:
    """Nothing happens, until then."""

    at: float

    async def happen(self, bench: Bench) -> None:
        del bench


@dataclass(frozen=True)
class Restart:
    """The agent is started again."""

    at: float

    async def happen(self, bench: Bench) -> None:
        await bench.restart()


@dataclass(frozen=True)
class Reboot:
    """The hub has no power from `at` on, for `off` seconds; then its clock is `synced` or not."""

    at: float
    off: float
    synced: bool = True

    async def happen(self, bench: Bench) -> None:
        await bench.reboot(self.off, synced=self.synced)


@dataclass(frozen=True)
class Follow:
    """Another plan comes."""

    at: float
    plan: CarePlan

    async def happen(self, bench: Bench) -> None:
        await bench.put_in_force(self.plan)


Step = Say | Do | Until | Restart | Reboot | Follow


@dataclass(frozen=True)
class Case:
    """What happens, and what is heard of it: second, condition and state, with the priority where it is raised."""

    name: str
    steps: Sequence[Step]
    heard: Sequence[tuple[float, str]] = field(default_factory=tuple)

    def __str__(self) -> str:
        return self.name


def spelled(alarm: Alarm) -> str:
    """An alarm as a case writes it."""
    words = [alarm.condition, alarm.state.value]
    if alarm.state.value != "cleared":
        words.append(alarm.priority.value)
    if alarm.retrospective:
        words.append("retrospective")
    return " ".join(words)


def steady(value: float | RangeFlag, since: float, until: float, every: float = 1, **changes: object) -> list[Step]:
    """The same reading again and again; `until` itself is left out."""
    count = round((until - since) / every)
    return [Say(since + place * every, value, **changes) for place in range(count)]  # type: ignore[arg-type]


CLOCKS = ("right", "1970", "a_year_ahead", "a_year_behind")
VARIANTS = (*CLOCKS, "restarts", "kills")


async def play(
    directory: Path, case: Case, care_plan: CarePlan | None = None, variant: str = "right"
) -> tuple[list[tuple[float, str]], Bench]:
    """What is heard of a case in one of its variants."""
    wrong = {"1970": 0, "a_year_ahead": NOON_MS + YEAR_MS, "a_year_behind": NOON_MS - YEAR_MS}
    clock = ManualClock()
    if variant in wrong:
        clock = ManualClock(wrong[variant], ClockQuality.UNSYNCED)
    bench = Bench(directory / "hub", clock)
    await bench.open()
    await bench.put_in_force(care_plan or plan())
    for place, step in enumerate(case.steps):
        bench.pass_until(step.at)
        if variant.startswith("a_year") and place == len(case.steps) // 2:
            clock.set_wall(NOON_MS + round(bench.seconds * 1000), ClockQuality.SYNCED)
        if variant in ("restarts", "kills") and place % (1 + len(case.steps) // 8) == 0:
            await (bench.restart() if variant == "restarts" else bench.kill())
        await step.happen(bench)
    await bench.store.close()
    return bench.heard, bench


def reminder(rule: CadenceRule) -> str:
    """A reminder as a case writes it."""
    return f"{rule.condition} reminded"
