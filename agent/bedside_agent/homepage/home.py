"""The page's facts from the agent's parts, and its voice."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from bedside_agent.alarms.keeper import ALARM_TEST, AlarmKeeper
from bedside_agent.alarms.notices import AlertBook
from bedside_agent.buffer.store import Store
from bedside_agent.clock import Clock
from bedside_agent.homepage.address import ports, url
from bedside_agent.homepage.alarm_test import AlarmTest
from bedside_agent.homepage.all_right import AllRight
from bedside_agent.homepage.call_wish import PATIENT_CALLS, CallWish
from bedside_agent.homepage.page import Facts, Page, page, words
from bedside_agent.homepage.pairing import Pairing
from bedside_agent.homepage.values import first_seq, lines
from bedside_agent.signals import programs, sentences
from bedside_agent.signals.signal import SignalError
from bedside_agent.signals.signaller import CANNOT_ALERT
from bedside_agent.signals.speech import speakers
from bedside_profiles.readings import ClockQuality, Modality
from bedside_profiles.rules.priority import ORDER
from bedside_profiles.wire.alarm import AlarmKind
from bedside_profiles.wire.events import NOT_MINE, not_mine_fields

RETRY_SECONDS = 60.0

log = logging.getLogger(__name__)


class Linked(Protocol):
    """What the page asks of the link: since when it is connected (UTC ms), None while it is not."""

    @property
    def connected_since_ms(self) -> int | None: ...


class Home:
    """`link` and `last_receipt_ms` are asked anew each time; `noted` keeps an event of a kind with its fields."""

    def __init__(
        self,
        keeper: AlarmKeeper,
        alerts: AlertBook,
        store: Store,
        clock: Clock,
        link: Callable[[], Linked],
        last_receipt_ms: Callable[[], int | None],
        wish: CallWish,
        all_right: AllRight,
        alarm_test: AlarmTest,
        pairing: Pairing,
        noted: Callable[..., None],
    ) -> None:
        self._port: int | None = None
        self._name: Callable[[], str | None] = lambda: None
        self._keeper = keeper
        self._alerts = alerts
        self._store = store
        self._clock = clock
        self._link = link
        self._last_receipt_ms = last_receipt_ms
        self._wish = wish
        self._all_right = all_right
        self._alarm_test = alarm_test
        self._pairing = pairing
        self._noted = noted
        self._speaking = asyncio.Lock()

    @property
    def port(self) -> int | None:
        """Where the page is shown; None while it is not."""
        return self._port

    @property
    def url(self) -> str | None:
        """The page's address in the home's network; None while it has none that can be typed."""
        name = self._name()
        return url(name, self._port) if name and self._port else None

    def named(self, name: Callable[[], str | None]) -> None:
        """Who knows the page's name in the home's network."""
        self._name = name

    async def serve(self, address: tuple[str, int] | None, language: str) -> None:
        """Show the page there, where there is to be one; an address that cannot be used now is tried again."""
        if address is None:
            return
        # A web server is memory that a hub without a page does not need.
        from bedside_agent.homepage.server import serving

        tells = {"/call": self.call, "/all-right": self.say_all_right, "/test": self.test}
        host, wanted = address
        while True:
            for port in ports(wanted):
                asked = (self.show, self.speak, tells, self._pairing, self.disown)
                try:
                    with serving((host, port), language, *asked) as self._port:
                        log.info("homepage.shown", extra={"port": self._port})
                        await asyncio.Event().wait()
                except OSError as error:
                    log.warning("homepage.waits", extra={"port": port, "reason": str(error)})
                finally:
                    self._port = None
            await asyncio.sleep(RETRY_SECONDS)

    async def show(self, language: str, *, is_paired: bool = False) -> Page:
        """The page now, with values for a paired telephone."""
        say, speak = words(language), sentences.translator(language)
        shown = page(self._facts(), say, speak, _local)
        plan = self._keeper.plan
        if not is_paired or plan is None or not plan.active:
            return shown
        return replace(shown, values=lines(self._keeper.newest_of, say, speak, _local))

    async def speak(self, language: str) -> bool:
        """Begin to read the page aloud; False where nothing can. What is being read is not read twice."""
        command = next((one for one in speakers(language) if programs.found(one)), None)
        if command is None:
            return False
        if not self._speaking.locked():
            self._reading = asyncio.create_task(self._read(command, (await self.show(language)).aloud))
        return True

    async def call(self) -> bool:
        """The patient wants to be called; False where no care team is."""
        plan = self._keeper.plan
        if plan is None or not plan.active:
            return False
        self._wish.make()
        return True

    async def say_all_right(self) -> bool:
        """The patient answers the alarms that sound; False where none does, or they are answered."""
        return self._all_right.say(self._episodes())

    async def test(self) -> bool:
        """The patient tries the alarm; False where there is no care team, or an alarm stands already."""
        return self._alarm_test.begin() or self._alarm_test.runs

    async def disown(self, seq: int) -> bool:
        """The patient says that somebody else made that measurement; False where it is none that is shown."""
        newest = self._keeper.newest_of
        members = [one for one in newest.values() if one.modality is Modality.SPOT and first_seq(one) == seq]
        if not members:
            return False
        for one in members:
            del newest[one.metric]
        self._noted(NOT_MINE, *not_mine_fields(self._store.store_id, seq))
        return True

    def _episodes(self) -> list[str]:
        return [one.episode for one in self._keeper.standing() if one.said.kind is AlarmKind.PHYSIOLOGICAL]

    async def _read(self, command: tuple[str, ...], said: tuple[str, ...]) -> None:
        async with self._speaking:
            for sentence in said:
                try:
                    await programs.run((*command, sentence))
                except SignalError:
                    return

    def _facts(self) -> Facts:
        plan, standing = self._keeper.plan, self._keeper.standing()
        active = plan is not None and plan.active
        about_patient = [one.said for one in standing if one.said.kind is AlarmKind.PHYSIOLOGICAL]
        about_patient.sort(key=lambda said: ORDER.index(said.priority), reverse=True)
        return Facts(
            now_ms=self._clock.now().utc_ms,
            has_plan=active,
            emergency_number=plan.emergency_number if plan is not None else "",
            call_back_number=plan.call_back_number if plan is not None else "",
            connected=self._link().connected_since_ms is not None,
            last_receipt_ms=self._last_receipt_ms(),
            store_trouble=self._store.trouble is not None,
            waiting=sum(self._store.waiting().values()),
            last=self._keeper.newest,
            alarms=[said.metric for said in about_patient],
            technical=[
                one.said.condition
                for one in standing
                if one.said.kind is AlarmKind.TECHNICAL and one.said.condition not in (PATIENT_CALLS, ALARM_TEST)
            ],
            due=[rule.metric for rule in self._keeper.due()],
            again=self._keeper.repeats(),
            notices=[one for one in self._alerts.notices if one.condition not in (PATIENT_CALLS, ALARM_TEST)],
            asked_for_call=self._wish.stands,
            may_ask=self._wish.may_be_made,
            address=self.url or "",
            said_all_right=self._all_right.is_said_of(self._episodes()),
            cover=plan.cover if plan is not None else (),
            knows_time=self._clock.now().quality is ClockQuality.SYNCED,
            alarm_test=self._alarm_test.stage,
            alarm_test_ms=self._alarm_test.at_ms,
            can_sound=CANNOT_ALERT not in self._keeper.faults(),
            call_notices=[one for one in self._alerts.notices if one.condition == PATIENT_CALLS],
        )


def _local(at_ms: int) -> datetime:
    """In the home's time zone."""
    return datetime.fromtimestamp(at_ms / 1000)  # noqa: DTZ006 - the hub's own zone is the patient's
