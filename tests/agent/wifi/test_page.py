"""The page on the hub's own network: its words in both languages, and how a telephone's browser shows it."""

import ast
import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from string import Formatter

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser
from tests.support.browser import NARROW, PHONE, browser

from bedside_agent.signals.sentences import languages
from bedside_agent.wifi import choosing
from bedside_agent.wifi import page as texts
from bedside_agent.wifi.page import words
from bedside_agent.wifi.portal import serving
from bedside_agent.wifi.setting_up import Answering, Choice, Failure, Network, Open, Opening, State, Trouble

__all__ = ["browser"]

TEXTS = [
    ast.literal_eval(found)
    for module in (texts, choosing)
    for found in re.findall(r'\b_\(\s*("(?:[^"\\]|\\.)*")\s*\)', inspect.getsource(module))
]
NETWORKS = (Network("Casa", 80), Network("A network with quite a long name", 60), Network("Free", 20, False))
FORM = Open(NETWORKS, Failure("Casa", Trouble.WRONG_PASSWORD))


@pytest.mark.parametrize("language", [one for one in languages() if one != "en"])
@pytest.mark.parametrize("text", TEXTS)
def test_every_text_is_translated_with_its_blanks(language: str, text: str) -> None:
    translated = words(language)(text)
    assert translated != text
    blanks = [sorted(name for _, name, _, _ in Formatter().parse(one) if name) for one in (text, translated)]
    assert blanks[0] == blanks[1]


def test_the_texts_are_found() -> None:
    assert len(TEXTS) == 20


@contextmanager
def shown(state: State) -> Iterator[tuple[str, list[Choice]]]:
    choices: list[Choice] = []

    def choose(choice: Choice) -> State:
        choices.append(choice)
        return Answering(choice, 0)

    with serving(("127.0.0.1", 0), "en", lambda: state, choose, Opening) as port:
        yield f"http://127.0.0.1:{port}/", choices


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize(("size", "dark"), [(PHONE, False), (NARROW, True)])
async def test_a_telephone_without_scripts_fills_it_in(
    browser: Browser, language: str, size: tuple[int, int], dark: bool
) -> None:
    with shown(FORM) as (url, choices):
        context = await browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
        )
        page = await context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        await page.goto(f"{url}?lang={language}")
        results = await Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        sizes = await page.evaluate(
            "[...document.querySelectorAll('p, button, a, label, input.text, legend, h1')]"
            ".map(one => parseFloat(getComputedStyle(one).fontSize))"
        )
        assert min(sizes) >= 24
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing to scroll sideways"
        assert await page.locator("script").count() == 0
        say = words(language)
        # By what a screen reader calls them.
        assert await page.get_by_role("alert").inner_text() == say(texts.TROUBLES[Trouble.WRONG_PASSWORD]).format(
            network="Casa"
        )
        await page.get_by_role("radio", name="A network with quite a long name").check()
        await page.get_by_role("textbox", name=say(texts.PASSWORD)).fill("tres tristes tigres")
        await page.get_by_role("button", name=say(texts.CONNECT)).click()
        await page.get_by_role("status").wait_for()
        assert say(texts.GOES_AWAY) in await page.inner_text("main")
        assert "tigres" not in await page.content()
        assert "tigres" not in page.url
        assert (await Axe().run(page)).violations_count == 0
        assert complaints == []
        await context.close()
    assert choices == [Choice("A network with quite a long name", "tres tristes tigres")]
