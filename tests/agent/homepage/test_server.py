"""The patient's page in a real browser of a telephone's size, and what its server refuses."""

import asyncio
import http.client
import json
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser
from tests.agent.test_agent_process import NONIN, keep_plan, prepare
from tests.support.agent_process import PROGRAM, agent, until
from tests.support.browser import NARROW, PHONE, browser
from tests.support.mosquitto import free_port
from tests.support.ptys import serial_line, speak
from tests.support.readings import PATIENT

from bedside_agent.homepage.server import MOST_CONNECTIONS
from bedside_sim.pty import SerialLine

__all__ = ["browser"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def line(folder: Path) -> Iterator[SerialLine]:
    with serial_line(folder / "nonin") as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(folder: Path, line: SerialLine) -> AsyncIterator[str]:
    """A running hub's page; `espeak-ng` is a program that writes down what it is to say."""
    state, port = folder / "state", free_port()
    await asyncio.to_thread(prepare, state, free_port(), folder / "nonin")
    with (state / "hub.toml").open("r+") as settings:
        text = settings.read()
        settings.seek(0)
        settings.write(f'homepage = "127.0.0.1:{port}"\n{text}')
    await keep_plan(state)
    voice = folder / "bin" / "espeak-ng"
    voice.parent.mkdir()
    voice.write_text(f'#!/bin/sh\nfor last; do :; done\necho "$last" >> {folder / "said"}\n')
    voice.chmod(voice.stat().st_mode | stat.S_IXUSR)
    async with agent(state, PATH=f"{voice.parent}:{os.environ['PATH']}"):
        yield f"http://127.0.0.1:{port}/"


def bedside_agent(*arguments: str) -> str:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


async def text_of(browser: Browser, url: str, size: tuple[int, int] = PHONE, *, dark: bool = False) -> str:
    """What a person reads, after axe, the size of the letters and the width were looked at."""
    width, height = size
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
    )
    try:
        page = await context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        await page.goto(url)
        results = await Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        sizes = await page.evaluate(
            "[...document.querySelectorAll('p, button, a')].map(one => parseFloat(getComputedStyle(one).fontSize))"
        )
        assert min(sizes) >= 24
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing to scroll sideways"
        assert complaints == []
        return await page.inner_text("main")
    finally:
        await context.close()


async def test_a_telephone_reads_it_in_both_languages(browser: Browser, url: str, line: SerialLine) -> None:
    english = await text_of(browser, url)
    assert "We cannot see your readings now." in english
    assert "No reading yet" in english
    assert "If you feel worse, call 112." in english
    spanish = await text_of(browser, f"{url}?lang=es", NARROW, dark=True)
    assert "Ahora no podemos ver sus mediciones." in spanish
    assert await text_of(browser, f"{url}?lang=tlh") == english, "an unknown language is the home's"


async def test_it_says_what_happens_and_no_value(browser: Browser, url: str, line: SerialLine, folder: Path) -> None:
    await speak(line, 83, 3, pulse=127)
    await until(folder / "state", lambda report: bool(report["alarms"]))
    said = await text_of(browser, url)
    assert "Attention. Your oxygen level needs attention." in said
    assert "telling your care team" in said
    source = await asyncio.to_thread(asked, url, "GET", "/")
    for planted in ("83", "127", PATIENT, NONIN):
        assert planted not in source[1].replace("127.0.0.1", ""), planted


async def test_who_is_all_right_may_say_so_and_is_watched_all_the_same(
    browser: Browser, url: str, folder: Path
) -> None:
    page = await browser.new_page()
    await page.goto(url)
    await page.get_by_role("button", name="I am all right").click()
    await page.get_by_text("You said that you are all right.").wait_for()
    assert await page.get_by_role("button", name="I am all right").count() == 0
    assert "needs attention" in await page.inner_text("main")
    await until(folder / "state", lambda report: bool(report["alarms"]))
    assert (await asyncio.to_thread(asked, url, "POST", "/all-right"))[0] == 200, "there is nothing more to say"
    await page.close()


async def test_a_telephone_sees_values_once_it_is_paired(
    browser: Browser, url: str, folder: Path, line: SerialLine
) -> None:
    state = folder / "state"
    shown = await asyncio.to_thread(bedside_agent, "page", "pair", "--json", "--state", str(state))
    code = json.loads(shown)["code"]
    await speak(line, 96, 3, pulse=71)
    context = await browser.new_context(viewport={"width": PHONE[0], "height": PHONE[1]})
    page = await context.new_page()
    await page.goto(f"{url}?pair=wrong-code&lang=en")
    assert "does not open the readings" in await page.inner_text("main")
    await page.goto(url)
    assert "96 %" not in await page.inner_text("main")
    await page.goto(f"{url}?pair={code}")
    assert "pair" not in page.url, "the code does not stay in the list of visited pages"
    await page.get_by_text("Your oxygen level: 96 %").wait_for()
    await page.reload()
    assert "Your pulse: 71 a minute" in await page.inner_text("main")
    assert (await Axe().run(page)).violations_count == 0
    (cookie,) = await context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert code not in cookie["value"]
    await asyncio.to_thread(bedside_agent, "page", "pair", "--new", "--json", "--state", str(state))
    await page.reload()
    assert "96 %" not in await page.inner_text("main"), "another code unpairs every telephone"
    await context.close()


async def test_it_is_read_aloud_on_demand(browser: Browser, url: str, folder: Path) -> None:
    page = await browser.new_page()
    await page.goto(f"{url}?lang=es")
    assert await page.get_by_role("link", name="112").get_attribute("href") == "tel:112"
    await page.get_by_role("button", name="Leer en voz alta").click()
    await page.wait_for_url(f"{url}?lang=es")
    async with asyncio.timeout(10):
        while "llame al 112." not in ((folder / "said").read_text() if (folder / "said").exists() else ""):
            await asyncio.sleep(0.1)
    await page.close()


async def test_a_page_that_is_open_follows(browser: Browser, url: str) -> None:
    page = await browser.new_page()
    await page.goto(url)
    await page.evaluate("document.getElementById('said').innerHTML = '<p>old</p>'")
    await page.get_by_text("cannot see your readings").first.wait_for(timeout=15_000)
    await page.close()


def asked(url: str, method: str, path: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection(url.removeprefix("http://").rstrip("/"), timeout=5)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


async def test_what_is_not_the_page_is_not_there(url: str) -> None:
    for method, path, headers in (
        ("GET", "/etc/passwd", {}),
        ("GET", "/..%2f..%2fhub.toml", {}),
        ("POST", "/", {}),
        ("POST", "/speak", {"sec_fetch_site": "cross-site"}),
    ):
        status, body, _ = await asyncio.to_thread(asked, url, method, path, **headers)
        assert (status, body) == (404, ""), path
    _, _, headers = await asyncio.to_thread(asked, url, "GET", "/")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert "python" not in headers["server"].lower()


def threads_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("Threads:")[2].split()[0])


async def test_many_who_ask_or_only_hold_the_line_take_no_more_than_their_share(url: str, folder: Path) -> None:
    answers = await asyncio.gather(
        *(asyncio.to_thread(asked, url, "GET", "/") for _ in range(30)), return_exceptions=True
    )
    told = [one for one in answers if not isinstance(one, BaseException)]
    assert told
    assert {status for status, _, _ in told} <= {200, 503}
    assert all(isinstance(one, ConnectionError | http.client.HTTPException) for one in answers if one not in told)
    pid = (await until(folder / "state", lambda report: report["running"]))["pid"]
    before = threads_of(pid)
    port = int(url.rstrip("/").rpartition(":")[2])
    lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
    await asyncio.sleep(0.5)
    # The agent's own pool may have grown by some; 200 lines are held.
    assert threads_of(pid) <= before + MOST_CONNECTIONS + 8
    await until(folder / "state", lambda report: report["running"])
    for _, writer in lines:
        writer.close()
    async with asyncio.timeout(20):
        while True:
            try:
                if (await asyncio.to_thread(asked, url, "GET", "/"))[0] == 200:
                    break
            except (ConnectionError, http.client.HTTPException):
                await asyncio.sleep(0.1)
