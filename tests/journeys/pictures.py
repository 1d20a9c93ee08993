"""Takes the console's pictures: the two of the README, and with `--all FOLDER` every page to look at.

    .venv/bin/python -m tests.journeys.pictures
    .venv/bin/python -m tests.journeys.pictures --all /tmp/pictures

Three patients share the household's devices, which say what this script has them say; it takes about four minutes,
because a trend cannot be had faster than it happens.
"""

import argparse
import asyncio
import math
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser
from tests.support.browser import DESK, PHONE, Visit, started_browser
from tests.support.household import RunningHousehold, running_household

DOCS = Path(__file__).parents[2] / "docs"
LARGEST_BYTES = 200_000

BEFORE_SECONDS, AFTER_SECONDS = 170, 40
"""Of the patient before something happens, and after."""

MRN = "DEMO-1"
OTHERS = (
    ("Second Patient", "1939-11-02", "DEMO-2", "demo-nonin"),
    ("Third Patient", "1961-03-28", "DEMO-3", "demo-strap"),
)


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture; the whole page when `whole`."""

    name: str
    size: tuple[int, int]
    scheme: Literal["light", "dark"] = "light"
    whole: bool = False


async def provision(household: RunningHousehold) -> None:
    """Two more patients, each with a device of the household's and limits of their own."""
    for name, born, mrn, device in OTHERS:
        await household.ask_cloud("patient", "add", name, "--birth-date", born, "--mrn", mrn)
        for person in ("nurse", "physician"):
            await household.tell_cloud("patient", "team", mrn, person)
        for state in ("planned", "active"):
            await household.tell_cloud("patient", "episode", mrn, state)
        await household.tell_cloud("release", device)
        await household.tell_cloud("assign", device, mrn)
    await household.tell_cloud("person", "add", "lonely", "--role", "nurse", "--password-stdin", stdin="a" * 16 + "\n")
    household.known.passwords["lonely"] = "a" * 16


class Course:
    """What the three patients' devices say, second by second: the first one's saturation falls after a while."""

    def __init__(self, household: RunningHousehold) -> None:
        self._household = household
        self._dice = random.Random(7)
        self.fallen_for = 0

    async def run(self) -> None:
        """Say it until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for second in range(1_000_000):
            if second >= BEFORE_SECONDS:
                self.fallen_for += 1
            await self._say(second)
            due += 1
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _say(self, second: int) -> None:
        fallen = 1 - math.exp(-self.fallen_for / 9)
        breath = math.sin(second / 4)
        spo2 = 96.4 - 11.6 * fallen + 0.6 * breath + self._dice.gauss(0, 0.3)
        pulse = 74 + 24 * fallen + 2 * breath + self._dice.gauss(0, 1)
        said = [
            self._emit("demo-oximeter", spo2=round(spo2), pulse_rate=round(pulse)),
            self._emit("demo-nonin", spo2=round(94.5 + 0.7 * breath), pulse_rate=round(62 + 1.5 * breath)),
            self._emit("demo-strap", heart_rate=round(83 + 6 * math.sin(second / 40) + breath)),
        ]
        if second % 45 == 20:
            said.append(
                self._emit(
                    "demo-cuff",
                    systolic_pressure=round(131 + 14 * fallen + 2 * breath),
                    diastolic_pressure=round(78 + 6 * fallen + breath),
                    mean_pressure=round(96 + 9 * fallen),
                )
            )
        await asyncio.gather(*said)

    async def _emit(self, device: str, **values: float) -> None:
        await self._household.control("emit", device=device, values=values, spot=device == "demo-cuff")


async def take(visit: Visit, shot: Shot, folder: Path) -> None:
    """Write one picture and complain when it is too large for a repository."""
    # The mark of what has just come, and the pointer's traces, are no part of a picture.
    await visit.page.wait_for_function("document.getAnimations().every(one => one.playState === 'finished')")
    file = folder / f"{shot.name}.png"
    await visit.page.screenshot(path=file, full_page=shot.whole)
    size = file.stat().st_size
    sys.stdout.write(f"{file}  {size / 1000:.0f} kB\n")
    if folder == DOCS and size > LARGEST_BYTES:
        raise SystemExit(f"{file} is larger than {LARGEST_BYTES} bytes.")


async def every_page(household: RunningHousehold, browser: Browser, folder: Path, state: str) -> None:
    """The worklist and the patient's page, at both sizes, light and dark."""
    for size_name, size in (("desk", DESK), ("phone", PHONE)):
        for scheme in ("light", "dark"):
            suffix = f"{size_name}-{scheme}"
            async with Visit(household, browser, size, scheme) as visit:
                await visit.log_in("nurse")
                await visit.live()
                await take(visit, Shot(f"worklist-{state}-{suffix}", size, scheme, whole=size == PHONE), folder)
                await visit.page.get_by_role("link", name="Demo Patient").click()
                await visit.page.get_by_role("link", name="15 min").click()
                await visit.live()
                await take(visit, Shot(f"patient-{state}-{suffix}", size, scheme, whole=True), folder)


async def other_pages(household: RunningHousehold, browser: Browser, folder: Path) -> None:
    """What does not change with the patients: log-in, hubs, nobody in care, help, not live."""
    for size_name, size in (("desk", DESK), ("phone", PHONE)):
        for scheme in ("light", "dark"):
            suffix = f"{size_name}-{scheme}"
            async with Visit(household, browser, size, scheme) as visit:
                page = visit.page
                await visit.fill_in("nurse", "wrong")
                await take(visit, Shot(f"log-in-{suffix}", size, scheme), folder)
                await visit.log_in("lonely")
                await visit.live()
                await take(visit, Shot(f"nobody-{suffix}", size, scheme), folder)
                await page.goto("/patients/nobody")
                await take(visit, Shot(f"forbidden-{suffix}", size, scheme), folder)
                await page.context.clear_cookies()
                await visit.log_in("tech")
                await take(visit, Shot(f"hubs-{suffix}", size, scheme), folder)
                await page.context.clear_cookies()
                await visit.log_in("nurse")
                await visit.live()
                await page.keyboard.press("?")
                await take(visit, Shot(f"help-{suffix}", size, scheme), folder)
                await page.keyboard.press("Escape")
                await page.evaluate("broken = true; showLive()")
                await take(visit, Shot(f"not-live-{suffix}", size, scheme), folder)
                visit.complaints.clear()


async def readme(household: RunningHousehold, browser: Browser) -> None:
    """The two pictures of the README."""
    for name, size, pixels in (("console", (1280, 760), 1.0), ("console-phone", PHONE, 1.5)):
        async with Visit(household, browser, size, pixels=pixels) as visit:
            await visit.log_in("nurse")
            await visit.live()
            await take(visit, Shot(name, size), DOCS)


async def main(folder: Path | None) -> None:
    """Start a household, play, take the pictures, stop it."""
    with tempfile.TemporaryDirectory(prefix="bedside-pictures-") as state:
        async with running_household(Path(state)) as household, started_browser() as browser:
            await provision(household)
            await household.control("pause")
            course = Course(household)
            playing = asyncio.create_task(course.run())
            try:
                if folder is not None:
                    await asyncio.sleep(BEFORE_SECONDS / 2)
                    await every_page(household, browser, folder, "calm")
                    await other_pages(household, browser, folder)
                await household.until(
                    lambda: course.fallen_for > AFTER_SECONDS, "the fall", seconds=BEFORE_SECONDS + 2 * AFTER_SECONDS
                )
                await readme(household, browser)
                if folder is not None:
                    await every_page(household, browser, folder, "alert")
                    async with Visit(household, browser) as visit:
                        await visit.log_in("physician")
                        await visit.page.get_by_role("button", name="Acknowledge").first.click()
                        await visit.page.locator(".alert.taken").wait_for()
                    await every_page(household, browser, folder, "taken")
            finally:
                playing.cancel()
                await asyncio.wait((playing,))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Take the console's pictures.")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="also take every page, to look at")
    wanted = parser.parse_args().all
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(wanted))
