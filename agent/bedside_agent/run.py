"""The agent's composition: the one place that names concrete classes and joins them."""

import asyncio
import logging
import os
import random
import signal
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from bedside_agent import heap
from bedside_agent.alarms.keeper import AlarmKeeper
from bedside_agent.alarms.notices import AlertBook
from bedside_agent.alarms.plan import Authority
from bedside_agent.buffer.store import GENERATION, Store
from bedside_agent.clock import SystemClock
from bedside_agent.collect.station import Station
from bedside_agent.collect.watch import Watch
from bedside_agent.errors import DamagedStoreError, IdentityError, StoreError
from bedside_agent.health import REPORT, Report, answering
from bedside_agent.homepage.alarm_test import AlarmTest
from bedside_agent.homepage.all_right import AllRight
from bedside_agent.homepage.call_wish import PATIENT_CALLS, CallWish
from bedside_agent.homepage.home import Home
from bedside_agent.homepage.pairing import Pairing, kept_code
from bedside_agent.intake import Intake, event_at
from bedside_agent.notify import Notifier
from bedside_agent.opening import (
    BONDS,
    IDENTITY,
    REQUESTS,
    agent_version,
    opened_radio,
    opened_store,
    time_keeper,
)
from bedside_agent.operations import DeviceOperations
from bedside_agent.progress import Progress, patience_ms
from bedside_agent.radio.mending import Mending, System
from bedside_agent.radio.radios import Radios
from bedside_agent.reboots import Reboots
from bedside_agent.remote import Remote
from bedside_agent.serial.lines import open_line
from bedside_agent.settings import Settings, load, page_address
from bedside_agent.signals.choice import quiet_hours, signals
from bedside_agent.signals.signaller import CANNOT_ALERT, SOUND, Signaller, Situation
from bedside_agent.signals.signalling import Alarming
from bedside_agent.timekeeping.timekeeper import TimeKeeper
from bedside_agent.uplink.backoff import Backoff
from bedside_agent.uplink.commands import Commands
from bedside_agent.uplink.identity import Identity
from bedside_agent.uplink.inbox import Handlers
from bedside_agent.uplink.link import Broker, Link
from bedside_agent.uplink.renewal import Place, Renewal
from bedside_agent.uplink.route import Route
from bedside_agent.uplink.sender import Limits, Sender
from bedside_agent.wifi.mdns import PageName
from bedside_profiles.readings import ClockQuality
from bedside_profiles.rules.cadence import CadenceRule
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alert import AlertNotice
from bedside_profiles.wire.command import Outcome
from bedside_profiles.wire.events import EventField
from bedside_profiles.wire.fields import to_map
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.signed import SignedDocument
from bedside_profiles.wire.status import HubState, Status
from bedside_profiles.wire.topics import DownLane

TICK_SECONDS = 1.0
RETAIN_SECONDS = 600.0
PROBE_SECONDS = 5.0
STORE_FAILING = "store_failing"
"""The condition of the alarm that what the hub measures would be lost with the power."""
CERTIFICATE_ENDS = "certificate_ends"
"""The condition of the alarm that the hub will be, or is, cut off because its certificate is not renewed."""

log = logging.getLogger(__name__)


async def run_agent(state: Path, memory: Path, settings: Settings, stop: asyncio.Event, notifier: Notifier) -> None:
    """Run until `stop` is set, then stop cleanly: devices first, then the link, the buffer last.

    What the disk below `state` refuses at the start is kept below `memory`.

    IdentityError or StoreError when it cannot start. Later only a fault of the program, or a buffer whose writer died,
    comes out of here: losing the network, the radio or a device does not.
    """
    kernel = SystemClock()
    authority = Authority(settings.hub_id, Identity(state / IDENTITY).root_der())
    async with opened_store(state, memory, settings, kernel) as store, opened_radio(settings, state / BONDS) as central:
        times = await time_keeper(kernel, store)
        agent = Agent(state, settings, times, store, authority, central, System(memory.parent / REQUESTS), stop.set)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, agent.pause_sound)
        async with answering(state, memory, {REPORT: agent.answer, **agent.operations.table()}):
            await agent.run(stop, notifier)


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


class Agent:
    """The joined parts."""

    def __init__(
        self,
        state: Path,
        settings: Settings,
        times: TimeKeeper,
        store: Store,
        authority: Authority,
        central: Radios,
        system: System,
        stop: Callable[[], None],
    ) -> None:
        jitter = random.SystemRandom()
        self._settings = settings
        self._identity = Identity(state / IDENTITY)
        self._times = times
        self._store = store
        self._progress = Progress(patience_ms(settings.status_seconds), times.now().monotonic_ms)
        self._last_receipt_ms: int | None = None
        self._keeper = AlarmKeeper(
            store, times, authority, silence_ms=settings.silence_seconds * 1000, remind=self._remind
        )
        self._alerts = AlertBook(store)
        self._wish = CallWish(self._keeper, store, lambda: self._note("patient_calls"))
        self._alarm_test = AlarmTest(self._keeper, times, self._note)
        self._signaller = Signaller(
            signals(settings.sound_command, settings.lamp, settings.language),
            times,
            self._situation,
            self._on_signal,
            self._local_minute,
            quiet=quiet_hours(settings.quiet_hours),
            language=settings.language,
        )
        self._intake = Intake(store, self._keeper, self._signaller.got_it)
        watch = Watch(self._intake, self._intake.note)
        self._sender = Sender(
            store,
            times,
            settings.hub_id,
            Limits(
                settings.batch_bytes,
                settings.window_bytes,
                settings.receipt_timeout_seconds * 1000,
                settings.most_bytes_per_second,
            ),
        )
        store.committed = self._sender.wake
        self._link = Link(
            Broker(Route(settings.broker_host, settings.broker_port), self._tls_context),
            settings.hub_id,
            self._sender,
            Handlers(self._on_receipt, self._on_plan, self._on_command, self._on_alert, self._on_refused),
            self.status,
            times,
            jitter,
            status_seconds=settings.status_seconds,
            backoff=Backoff(settings.reconnect_spread_seconds, 3.0 * settings.reconnect_spread_seconds),
        )
        self._renewal = Renewal(
            Place(settings.hub_id, settings.est_url, Route(settings.broker_host, settings.broker_port)),
            self._identity,
            times,
            jitter,
            self._tls_floor_ms,
            lambda: self._link.health.failures,
            self._on_renewed,
            self._on_renewal_failing,
        )
        self._renewal_trouble: str | None = None
        remote = Remote(state, self._renewal, stop)
        actions = {"report_status": self._report_status, **remote.actions()}
        self._commands = Commands(store, times, authority, actions, self._on_followed)
        self._station = Station(
            settings.device,
            central=central,
            open_port=open_line,
            sink=watch,
            clock=times,
            report=watch.note,
            jitter=jitter,
            local_time=self._local_time,
            connection_slots=settings.connection_slots,
        )
        self.operations = DeviceOperations(
            self._station, watch, central, lambda: load(state).device, self._intake.quarantining
        )
        self._home = Home(
            self._keeper,
            self._alerts,
            store,
            times,
            lambda: self._link.health,
            lambda: self._last_receipt_ms,
            self._wish,
            AllRight(self._note),
            self._alarm_test,
            Pairing(lambda: kept_code(state), time.monotonic),
            self._note,
        )
        self._page_name = PageName(lambda: self._home.port)
        self._home.named(lambda: self._page_name.name)
        self._mending = Mending(central.adapters, system, Reboots(store, times), self._on_radio)

    async def run(self, stop: asyncio.Event, notifier: Notifier) -> None:
        """Run all parts until `stop` is set."""
        self._note("agent_started")
        log.info("agent.started", extra={"hub": self._settings.hub_id, "devices": len(self._settings.device)})
        async with asyncio.TaskGroup() as tasks:
            background: list[Coroutine[Any, Any, None]] = [
                self._store.watch(),
                self._link.run(),
                self._renewal.run(),
                self._home.serve(page_address(self._settings.homepage), self._settings.language),
                *([self._page_name.run()] if page_address(self._settings.homepage) else ()),
                self._tick(),
                self._retain(),
                self._signaller.run(),
                self._mending.run(),
                heap.keep_small(),
            ]
            others = [tasks.create_task(one) for one in background]
            station = tasks.create_task(self._station.run())
            if notifier.watchdog_seconds is not None:
                others += [tasks.create_task(one) for one in (self._ask_buffer(), self._feed(notifier))]
            notifier.ready()
            heap.settle()
            await stop.wait()
            log.info("agent.stopping")
            notifier.stopping()
            station.cancel()
            await asyncio.wait({station})
            for task in others:
                task.cancel()

    def status(self, state: HubState, session: str) -> Status:
        """What the hub says of itself to the cloud; asked for at every attempt to connect, and regularly after."""
        now = self._times.now()
        self._progress.moved("uplink", now.monotonic_ms)
        plan = self._keeper.plan
        return Status(
            schema=SCHEMA_VERSION,
            hub_id=self._settings.hub_id,
            state=state,
            session=session,
            at_ms=now.utc_ms,
            clock_quality=now.quality,
            agent_version=agent_version(),
            boot_id=now.boot_id,
            plan_id=plan.plan_id if plan else None,
            plan_version=plan.version if plan else None,
            waiting=sum(self._store.waiting().values()),
            devices=self._station.statuses(),
            faults=self._keeper.faults(),
            monotonic_ms=now.monotonic_ms,
        )

    def report(self) -> Report:
        """What `bedside-agent status` shows. No patient, no value."""
        link, plan, failing = self._link.health, self._keeper.plan, self._store.failing
        generation = self._store.state.get(GENERATION)
        return {
            "running": True,
            "hub_id": self._settings.hub_id,
            "agent_version": agent_version(),
            "broker": f"{self._settings.broker_host}:{self._settings.broker_port}",
            "connected_since_ms": link.connected_since_ms,
            "connection_failures": link.failures,
            "last_error": link.last_error,
            "certificate_ends_ms": self._certificate_ends_ms(),
            "renewal_error": self._renewal_trouble,
            "clock": self._times.now().quality.value,
            "waiting": {lane.value: count for lane, count in self._store.waiting().items()},
            "under_way": self._sender.under_way(),
            "last_receipt_ms": self._last_receipt_ms,
            "cloud_generation": generation.decode() if generation else None,
            "store_id": self._store.store_id,
            "store_error": failing.what if failing else self._store.trouble,
            "plan": {"plan_id": plan.plan_id, "version": plan.version, "active": plan.active} if plan else None,
            "alarms": list(self._keeper.active()),
            "faults": list(self._keeper.faults()),
            "signals_broken": dict(self._signaller.broken),
            "page": self._home.url,
            "pid": os.getpid(),
            "alerts": [to_map(notice) for notice in self._alerts.notices],
            "devices": [to_map(device) for device in self._station.statuses()],
        }

    async def answer(self, _question: Mapping[str, Any]) -> AsyncGenerator[Report, None]:
        """The report, for who asks over the socket."""
        yield self.report()

    def _tls_context(self) -> ssl.SSLContext:
        return self._identity.tls_context(self._tls_floor_ms())

    def _certificate_ends_ms(self) -> int | None:
        try:
            return self._identity.validity_ms()[1]
        except IdentityError:
            # How the hub is must be told also, and above all, when its files are damaged.
            return None

    def _tls_floor_ms(self) -> int | None:
        return None if self._times.kernel_knows_time() else self._times.floor_ms

    def _on_renewed(self) -> None:
        self._note("certificate_renewed")
        self._link.reconnect()

    def _on_renewal_failing(self, reason: str | None) -> None:
        self._keeper.fault(CERTIFICATE_ENDS, None if reason is None else Priority.LOW)
        if reason is not None and self._renewal_trouble is None:
            self._note("renewal_failing", EventField("reason", reason[:1000]))
        self._renewal_trouble = reason

    def _on_receipt(self, receipt: Receipt) -> None:
        if receipt.cloud_ms is not None and receipt.asked_monotonic_ms is not None:
            self._times.hear_cloud(receipt.asked_monotonic_ms, receipt.cloud_ms)
            self._sender.wake()
        else:
            self._last_receipt_ms = self._times.now().utc_ms
        if self._sender.receive(receipt):
            log.warning("cloud.generation_changed")
            self._note("cloud_generation_changed")
            # Its answer names everything that the restored database holds.
            self._link.report_status()

    async def _on_plan(self, document: SignedDocument) -> None:
        reply = await self._keeper.offer(document)
        if reply.reason:
            kind = "plan_refused" if reply.outcome is Outcome.REFUSED else "plan_incomplete"
            self._note(kind, EventField("reason", reply.reason))
        self._link.reply(reply)

    async def _report_status(self) -> bytes:
        self._link.report_status()
        return b""

    def _on_followed(self, kind: str, reason: str) -> None:
        self._note("command_followed", EventField("kind", kind), EventField("refused_for", reason))

    async def _on_command(self, document: SignedDocument) -> None:
        self._link.reply(await self._commands.follow(document))

    def _on_alert(self, notice: AlertNotice) -> None:
        self._alerts.take(notice)
        self._wish.hear(notice)
        self._alarm_test.hear(notice)

    def _on_refused(self, lane: DownLane, reason: str) -> None:
        self._note("message_refused", EventField("lane", lane.value), EventField("reason", reason[:1000]))

    def _note(self, kind: str, *fields: EventField) -> None:
        self._store.append_event(event_at(self._times.now(), kind, fields=fields))

    def pause_sound(self) -> None:
        """Somebody at home has heard what stands now."""
        log.info("signals.paused")
        self._note("sound_paused")
        self._signaller.pause()

    def _situation(self) -> Situation:
        plan = self._keeper.plan
        return Situation(
            [
                Alarming(stands.episode, said.condition, said.kind, said.priority, said.level, said.metric, said.test)
                for stands in self._keeper.standing()
                if (said := stands.said).condition not in (CANNOT_ALERT, PATIENT_CALLS)
            ],
            [rule.metric for rule in self._keeper.due()],
            self._keeper.repeats(),
            self._alerts.notices,
            plan.emergency_number if plan else "",
            plan.call_back_number if plan else "",
        )

    def _local_minute(self) -> int | None:
        local = self._local_time()
        return None if local is None else 60 * local.hour + local.minute

    def _local_time(self) -> datetime | None:
        """In the hub's time zone, without naming it: devices know none."""
        now = self._times.now()
        if now.quality is not ClockQuality.SYNCED:
            return None
        return datetime.fromtimestamp(now.utc_ms / 1000)  # noqa: DTZ006 - the hub's own zone is the patient's

    def _on_signal(self, name: str, reason: str | None) -> None:
        if name == SOUND:
            self._keeper.fault(CANNOT_ALERT, None if reason is None else Priority.MEDIUM)
        kind = "signal_works" if reason is None else "signal_broken"
        self._note(kind, EventField("signal", name), EventField("reason", (reason or "")[:1000]))
        log.warning("signals." + kind, extra={"signal": name, "reason": reason or ""})

    def _on_radio(self, kind: str, details: Mapping[str, str]) -> None:
        self._note(kind, *(EventField(name, value[:1000]) for name, value in details.items()))

    def _remind(self, rule: CadenceRule) -> None:
        self._note("measurement_due", EventField("condition", rule.condition))

    async def _tick(self) -> None:
        while True:
            self._keeper.fault(STORE_FAILING, Priority.MEDIUM if self._store.trouble else None)
            await asyncio.sleep(TICK_SECONDS)
            self._times.tick()
            self._alarm_test.look()
            self._keeper.tick()
            self._progress.moved("rules", self._times.now().monotonic_ms)

    async def _ask_buffer(self) -> None:
        while True:
            await self._store.answer()
            self._progress.moved("buffer", self._times.now().monotonic_ms)
            await asyncio.sleep(PROBE_SECONDS)

    async def _feed(self, notifier: Notifier) -> None:
        """Tell the service manager that all is well, only while every part moves; else it starts the agent again."""
        assert notifier.watchdog_seconds is not None  # noqa: S101 - only started for a manager that watches
        while True:
            stuck = self._progress.stuck(self._times.now().monotonic_ms)
            if stuck:
                log.error("agent.stuck", extra={"parts": ", ".join(stuck)})
                notifier.stuck(f"stuck: {', '.join(stuck)}")
            else:
                link = "connected" if self._link.health.connected_since_ms else "not connected"
                notifier.alive(f"{link}, {sum(self._store.waiting().values())} items wait")
            await asyncio.sleep(notifier.watchdog_seconds / 3)

    async def _retain(self) -> None:
        while True:
            try:
                gone = await self._store.retain()
                if gone:
                    log.info("buffer.retained", extra={"deleted": gone})
            except DamagedStoreError:
                raise
            except StoreError as error:
                # What could not be deleted now can be deleted later; nothing depends on it.
                log.warning("buffer.retain_failed", extra={"reason": error.what})
            await asyncio.sleep(RETAIN_SECONDS)
