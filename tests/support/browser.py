"""Real browsers for the console: Debian's chromium, steered by Playwright; none is ever downloaded."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, async_playwright
from tests.support.household import RunningHousehold

CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
"""Nothing but the page under test: no updates, no services of the browser's maker."""

DESK, PHONE, NARROW = (1280, 1024), (390, 844), (320, 640)
"""A ward's old screen, a telephone, and the narrowest that anybody must be able to use."""

PATIENCE_MS = 15_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One chromium for a module; a test that needs somebody else opens another `Visit`, which shares nothing."""
    if CHROMIUM is None:
        reason = "chromium is not installed: the console is not tried in a browser (see tests/system-packages)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    async with started_browser() as running:
        yield running


@asynccontextmanager
async def started_browser() -> AsyncIterator[Browser]:
    """A headless chromium while the block runs."""
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield running
        finally:
            await running.close()


@dataclass  # Without slots: Playwright puts its own attribute on whoever listens to it.
class Visit:
    """One person at one screen: cookies of their own. Leaving it fails when the browser complained of anything."""

    household: RunningHousehold
    browser: Browser
    size: tuple[int, int] = DESK
    scheme: Literal["light", "dark"] = "light"
    scripts: bool = True
    pixels: float = 1.0
    page: Page = field(init=False)
    complaints: list[str] = field(default_factory=list)
    _context: BrowserContext = field(init=False)

    async def __aenter__(self) -> "Visit":
        width, height = self.size
        self._context = await self.browser.new_context(
            base_url=self.household.url,
            viewport={"width": width, "height": height},
            color_scheme=self.scheme,
            java_script_enabled=self.scripts,
            device_scale_factor=self.pixels,
        )
        self._context.set_default_timeout(PATIENCE_MS)
        self.page = await self._context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return self

    def _heard(self, message: ConsoleMessage) -> None:
        # Violations of the content security policy come here too.
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location.get('url')})")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._context.close()
        if error is None:
            assert not self.complaints, f"the browser complained: {self.complaints}"

    async def fill_in(self, name: str, password: str) -> None:
        """Send the log-in form."""
        await self.page.goto("/login")
        await self.page.get_by_label("Name").fill(name)
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_role("button", name="Log in").click()

    async def log_in(self, name: str) -> None:
        """As one of the household's people; the console's first page is open afterwards."""
        await self.fill_in(name, self.household.password(name))
        await self.page.get_by_role("button", name="Log out").wait_for()

    async def live(self) -> None:
        """Wait until the page says that it is live."""
        await self.page.locator(".live.on").wait_for()

    async def mark(self) -> None:
        """Leave a mark that a reload would wipe off."""
        await self.page.evaluate("window.stillTheSamePage = true")

    async def was_not_reloaded(self) -> bool:
        """Whether the mark is still there."""
        return bool(await self.page.evaluate("window.stillTheSamePage === true"))

    def figure(self, metric: str) -> Locator:
        """The number of a metric on the first card."""
        return self.page.locator(f'[data-metric="{metric}"]').first

    async def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(await self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))

    async def violations(self) -> list[str]:
        """What axe-core finds against WCAG 2.2 A and AA and its own good practice, each with the elements."""
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        found = (await Axe().run(self.page, options=options)).response["violations"]
        return [f"{one['id']}: {one['help']}: {[node['html'] for node in one['nodes']]}" for one in found]
