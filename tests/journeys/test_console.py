"""The console in real browsers: what a nurse, a physician, a technician and a stranger see."""

import os
import re
import signal
from collections.abc import AsyncIterator
from typing import Literal

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from tests.support.browser import DESK, NARROW, PATIENCE_MS, PHONE, Visit, browser
from tests.support.household import RunningHousehold, household

__all__ = ["browser", "household"]

pytestmark = [pytest.mark.journey, pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

OXIMETER = "demo-oximeter"
LOW = 70
"""Beyond the plan's extreme limit: it alarms at once."""

SENTENCE = re.compile(r"Oxygen saturation fell to 70\s%, below the limit of 90\s%")

expect.set_options(timeout=PATIENCE_MS)


@pytest_asyncio.fixture(loop_scope="module")
async def calm(household: RunningHousehold) -> AsyncIterator[RunningHousehold]:
    """The household with its devices silent, so that only the test speaks, and with no alert left over."""
    await household.control("pause")
    async with nurse(household) as client:

        async def all_well() -> bool:
            await household.control("emit", device=OXIMETER, values={"spo2": 97, "pulse_rate": 70})
            alerts = (await client.get("/api/v1/alerts")).json()["alerts"]
            for alert in alerts:
                if alert["acknowledged_at_ms"] is None:
                    await client.post(f"/api/v1/alerts/{alert['alert_id']}/acknowledge")
            return not any(alert["active"] for alert in alerts)

        await household.until(all_well, "the end of every alert")
    yield household
    await household.control("resume")


def nurse(household: RunningHousehold) -> httpx.AsyncClient:
    """A client of the API, logged in when its first request is sent."""

    async def log_in(request: httpx.Request) -> None:
        if "authorization" not in request.headers:
            async with httpx.AsyncClient(base_url=household.url) as client:
                body = {"name": "nurse", "password": household.password("nurse")}
                token = (await client.post("/api/v1/login", json=body)).json()["access_token"]
            request.headers["authorization"] = f"Bearer {token}"

    return httpx.AsyncClient(base_url=household.url, event_hooks={"request": [log_in]})


async def say(household: RunningHousehold, spo2: float, pulse_rate: float = 70) -> None:
    """Have the oximeter say these values."""
    said = await household.control("emit", device=OXIMETER, values={"spo2": spo2, "pulse_rate": pulse_rate})
    assert said["emitted"]


async def test_an_alert_comes_and_is_taken_without_reloading(calm: RunningHousehold, browser: Browser) -> None:
    async with Visit(calm, browser) as nurse, Visit(calm, browser) as physician:
        for visit, name in ((nurse, "nurse"), (physician, "physician")):
            await visit.log_in(name)
            await visit.live()
            await visit.mark()
        await expect(nurse.page.get_by_role("heading", name="Demo Patient")).to_be_visible()
        await expect(nurse.page.get_by_text("No alerts · 1 patient in your care")).to_be_visible()
        for value in ("96", "94"):
            await say(calm, float(value))
            await expect(nurse.figure("spo2")).to_have_text(value)

        await say(calm, LOW)
        for visit in (nurse, physician):
            alert = visit.page.locator(".alert.high:not(.taken)")
            await expect(alert).to_contain_text(SENTENCE)
            await expect(alert).to_contain_text("found by")
            await expect(alert.locator("svg.trend line.limit")).to_have_count(1)
            await expect(alert.locator("svg.trend .limit-text")).to_have_text(re.compile(r"limit 90\s%"))
            await expect(alert.get_by_role("button", name="Acknowledge")).to_be_enabled()
            await expect(visit.page).to_have_title("(1) Patients – Bedside")
            await expect(visit.page.get_by_text("1 unacknowledged alert")).to_be_visible()
            await expect(visit.page.locator("#announcer")).to_contain_text(SENTENCE)

        await nurse.page.keyboard.press("a")
        await expect(nurse.page.locator(".card:focus")).to_have_count(1)
        await expect(nurse.page.locator(".alert.taken")).to_have_count(0)
        await nurse.page.keyboard.press("a")
        for visit in (nurse, physician):
            taken = visit.page.locator(".alert.taken")
            await expect(taken).to_contain_text(re.compile(r"Acknowledged by nurse at \d\d:\d\d:\d\d UTC"))
            await expect(taken.get_by_role("button")).to_have_count(0)
            await expect(visit.page).to_have_title("Patients – Bedside")
            await expect(visit.page.get_by_text("No unacknowledged alerts, 1 still active")).to_be_visible()
            assert await visit.was_not_reloaded()


async def test_the_alarm_is_tested_from_the_bedroom_to_the_console_and_back(
    calm: RunningHousehold, browser: Browser
) -> None:
    async with Visit(calm, browser) as visit, Visit(calm, browser, PHONE) as bedroom:
        await visit.log_in("nurse")
        await visit.live()
        await bedroom.page.goto(calm.page_url)
        await bedroom.page.get_by_role("button", name="Test the alarm").click()
        await expect(bedroom.page.get_by_text("This is a test.")).to_be_visible()
        test = visit.page.locator(".alert.test")
        await expect(test).to_contain_text("TEST, no alarm")
        await expect(visit.page.get_by_text("No alerts · 1 test of the alarm")).to_be_visible()
        await expect(visit.page).to_have_title("Patients – Bedside")
        await expect(visit.page.locator(".card.high")).to_have_count(0)
        await test.get_by_role("button", name="Acknowledge").click()
        await expect(bedroom.page.get_by_text("The test worked. Your care team saw it at")).to_be_visible()
        await expect(test).to_have_count(0)


async def test_an_alert_is_taken_with_the_button(calm: RunningHousehold, browser: Browser) -> None:
    async with Visit(calm, browser, PHONE) as visit:
        await visit.log_in("nurse")
        await visit.live()
        await say(calm, LOW)
        await visit.page.get_by_role("button", name="Acknowledge").click()
        await expect(visit.page.locator(".alert.taken")).to_contain_text("Acknowledged by nurse")


async def test_without_script_the_form_does_it(calm: RunningHousehold, browser: Browser) -> None:
    await say(calm, LOW)
    async with nurse(calm) as client:

        async def raised() -> bool:
            return any(alert["active"] for alert in (await client.get("/api/v1/alerts")).json()["alerts"])

        await calm.until(raised, "the alert")
    async with Visit(calm, browser, scripts=False) as visit:
        await visit.log_in("nurse")
        await expect(visit.page.get_by_text("Not live, as of")).to_be_visible()
        await expect(visit.page.locator(".alert")).to_contain_text(SENTENCE)
        await visit.page.get_by_role("button", name="Acknowledge").click()
        await expect(visit.page.locator(".alert.taken")).to_contain_text("Acknowledged by nurse")


async def test_everything_can_be_done_by_keyboard(calm: RunningHousehold, browser: Browser) -> None:
    async with Visit(calm, browser) as visit:
        page, keys = visit.page, visit.page.keyboard
        await page.goto("/login")
        await expect(page.get_by_label("Name")).to_be_focused()
        await keys.type("nurse")
        await keys.press("Tab")
        await keys.type(calm.password("nurse"))
        await keys.press("Enter")
        await visit.live()
        await keys.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await keys.press("?")
        await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        await keys.press("Escape")
        await expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
        await keys.press("j")
        card = page.locator(".card").first
        await expect(card).to_be_focused()
        # Asked of the card that is there: the page may draw it anew at any moment, with its focus.
        await expect(card).to_have_css("outline-style", "solid")
        await keys.press("Enter")
        await expect(page.get_by_role("heading", name="Demo Patient", level=1)).to_be_visible()
        await page.get_by_role("group", name="Trends of the last 4h").focus()
        await keys.press("ArrowLeft")
        await expect(page.locator(".trends .readout").first).to_have_text(re.compile(r"\d+ .* at \d\d:\d\d:\d\d UTC"))


async def test_every_trend_of_a_patient_has_the_same_times(calm: RunningHousehold, browser: Browser) -> None:
    pressure = {"systolic_pressure": 121, "diastolic_pressure": 79, "mean_pressure": 93}
    assert (await calm.control("emit", device="demo-cuff", values=pressure, spot=True))["emitted"]
    async with Visit(calm, browser) as visit:
        await visit.log_in("physician")
        await visit.live()
        await expect(visit.page.locator(".value.wide")).to_contain_text(re.compile(r"121/79\s\(93\)\smmHg"))
        await visit.page.get_by_role("link", name="Demo Patient").click()
        await visit.page.get_by_role("link", name="15 min").click()
        trends = visit.page.locator(".trends .trend")
        await expect(trends).to_have_count(4)
        places = await trends.evaluate_all(
            """all => all.map(one => {
                const edge = one.querySelector(".grid").getBoundingClientRect();
                return [one.dataset.from, one.dataset.until, edge.left, edge.right].join();
            })"""
        )
        assert len(set(places)) == 1
        titles = await visit.page.locator(".trends figcaption").all_inner_texts()
        assert [title.split(" ")[0] for title in titles] == ["SpO₂", "Pulse", "Heart", "Blood"], "and no battery"
        await expect(visit.page.get_by_role("table").first).to_contain_text("Oxygen saturation low")


async def test_a_page_that_is_not_live_says_so_in_red(calm: RunningHousehold, browser: Browser) -> None:
    async with Visit(calm, browser) as visit:
        await visit.log_in("nurse")
        await visit.live()
        await visit.mark()
        bar = visit.page.get_by_role("alert").filter(has_text="Not live")
        await expect(bar).to_be_hidden()
        await calm.kill("gateway")
        await expect(bar).to_be_visible()
        await expect(bar).to_contain_text(re.compile(r"Nothing has come since \d\d:\d\d:\d\d UTC"))
        assert await bar.evaluate("element => getComputedStyle(element).backgroundColor") == "rgb(157, 15, 25)"
        await expect(bar).to_be_hidden()
        await expect(visit.page.locator(".live.on")).to_have_text("Live")
        await say(calm, 95)
        await expect(visit.figure("spo2")).to_have_text("95")

        # A gateway that hangs, or a network that swallows everything, breaks no connection.
        gateway = calm.row("gateway")["pid"]
        os.kill(gateway, signal.SIGSTOP)
        try:
            await expect(bar).to_be_visible()
        finally:
            os.kill(gateway, signal.SIGCONT)
        await expect(bar).to_be_hidden()
        assert await visit.was_not_reloaded()
        # What the browser itself says of a server that went away.
        visit.complaints = [one for one in visit.complaints if "net::ERR_" not in one]


async def test_a_wrong_password_is_said(household: RunningHousehold, browser: Browser) -> None:
    async with Visit(household, browser) as visit:
        await visit.fill_in("nurse", "not the password")
        await expect(visit.page.get_by_role("alert")).to_have_text("That name and password do not fit together.")
        await expect(visit.page.get_by_label("Name")).to_have_value("nurse")
        await expect(visit.page.get_by_label("Password")).to_be_focused()
        await expect(visit.page).to_have_title("Error: Log in – Bedside")
        visit.complaints = [one for one in visit.complaints if "401" not in one]


async def test_whoever_is_logged_out_is_led_to_the_log_in(household: RunningHousehold, browser: Browser) -> None:
    async with Visit(household, browser) as visit:
        await visit.page.goto(f"/patients/{household.patient_id}")
        await expect(visit.page.get_by_role("heading", name="Log in")).to_be_visible()
        await visit.log_in("nurse")
        await visit.page.get_by_role("button", name="Log out").click()
        await expect(visit.page.get_by_role("heading", name="Log in")).to_be_visible()
        await visit.page.goto("/")
        await expect(visit.page.get_by_role("heading", name="Log in")).to_be_visible()


async def test_a_technician_sees_hubs_and_devices_and_no_patient(household: RunningHousehold, browser: Browser) -> None:
    await household.tell_cloud("release", "demo-strap")
    try:
        async with Visit(household, browser) as visit:
            await visit.log_in("tech")
            hubs = visit.page.get_by_role("region", name="Hubs")
            await expect(hubs).to_contain_text("hub-demo")
            await expect(hubs).to_contain_text("online")

            async def listed() -> bool:
                await visit.page.reload()
                return "demo-strap" in await visit.page.get_by_role("main").inner_text()

            await household.until(listed, "the device without a patient")
            assert "Demo Patient" not in await visit.page.content()
            assert await visit.page.locator("[data-metric]").count() == 0
            await visit.page.goto(f"/patients/{household.patient_id}")
            await expect(visit.page.get_by_role("heading", name="You cannot see this")).to_be_visible()
            visit.complaints = [one for one in visit.complaints if "403" not in one]
    finally:
        await household.tell_cloud("assign", "demo-strap", household.patient_id)


async def test_a_stranger_sees_nothing_of_the_patient(calm: RunningHousehold, browser: Browser) -> None:
    calm.known.passwords["stranger"] = "a password of one who is in no care team"
    await calm.tell_cloud(
        *("person", "add", "stranger", "--role", "nurse", "--password-stdin"), stdin=calm.password("stranger") + "\n"
    )
    async with Visit(calm, browser) as stranger, Visit(calm, browser) as colleague:
        await stranger.log_in("stranger")
        await stranger.live()
        await expect(stranger.page.get_by_text("No patients are in your care")).to_be_visible()
        # What came over the event stream, not what the page made of it.
        await stranger.page.evaluate(
            """() => {
                window.heard = [];
                const source = new EventSource("/events");
                const hear = event => window.heard.push(event.data);
                for (const kind of ["reading", "alert"]) source.addEventListener(kind, hear);
                return new Promise(resolve => source.addEventListener("hello", resolve));
            }"""
        )
        await colleague.log_in("nurse")
        await colleague.live()
        await say(calm, LOW)
        await expect(colleague.page.locator(".alert.high")).to_contain_text(SENTENCE)
        assert await stranger.page.evaluate("window.heard") == []
        assert "Demo Patient" not in await stranger.page.content()
        answer = await stranger.page.goto(f"/patients/{calm.patient_id}")
        assert answer is not None
        assert answer.status == 403
        assert calm.patient_id not in await stranger.page.content()
        stranger.complaints = [one for one in stranger.complaints if "403" not in one]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_has_a_barrier(
    calm: RunningHousehold, browser: Browser, scheme: Literal["light", "dark"]
) -> None:
    async with Visit(calm, browser, DESK, scheme) as visit:
        found: dict[str, list[str]] = {}
        await visit.fill_in("nurse", "wrong")
        found["log-in with a problem"] = await visit.violations()
        await visit.log_in("nurse")
        await visit.live()
        found["calm"] = await visit.violations()
        await say(calm, LOW)
        await visit.page.locator(".alert.high").wait_for()
        found["alert"] = await visit.violations()
        await visit.page.keyboard.press("?")
        found["help"] = await visit.violations()
        await visit.page.keyboard.press("Escape")
        await visit.page.get_by_role("button", name="Acknowledge").click()
        await visit.page.locator(".alert.taken").wait_for()
        found["taken"] = await visit.violations()
        await visit.page.get_by_role("link", name="Demo Patient").click()
        await visit.live()
        found["patient"] = await visit.violations()
        await visit.page.evaluate("broken = true; showLive()")
        found["not live"] = await visit.violations()
        await visit.page.goto("/patients/nobody")
        found["forbidden"] = await visit.violations()
        await visit.page.context.clear_cookies()
        await visit.log_in("tech")
        found["hubs"] = await visit.violations()
        barriers = [f"{name}: {one}" for name, several in found.items() for one in several]
        assert not barriers, "\n".join(barriers)
        visit.complaints = [one for one in visit.complaints if "401" not in one and "403" not in one]


async def test_nothing_scrolls_sideways_on_a_narrow_screen(calm: RunningHousehold, browser: Browser) -> None:
    async with Visit(calm, browser, NARROW) as visit:
        overflow = {}
        await visit.page.goto("/login")
        overflow["log-in"] = await visit.overflow()
        await visit.log_in("nurse")
        await visit.live()
        await say(calm, LOW)
        await visit.page.locator(".alert.high").wait_for()
        overflow["worklist"] = await visit.overflow()
        await visit.page.get_by_role("link", name="Demo Patient").click()
        await visit.page.locator(".trends").wait_for()
        overflow["patient"] = await visit.overflow()
        await visit.page.context.clear_cookies()
        await visit.log_in("tech")
        overflow["hubs"] = await visit.overflow()
        assert set(overflow.values()) == {0}, overflow


async def test_nothing_moves_under_the_pointer(calm: RunningHousehold, browser: Browser) -> None:
    await calm.ask_cloud("patient", "add", "Another Patient", "--birth-date", "1950-01-01", "--mrn", "OTHER-1")
    await calm.tell_cloud("patient", "episode", "OTHER-1", "planned")
    await calm.tell_cloud("patient", "team", "OTHER-1", "physician")
    async with Visit(calm, browser) as visit:
        await visit.log_in("physician")
        await visit.live()
        names = visit.page.locator(".card h2")
        await expect(names).to_have_text(["Another Patient", "Demo Patient"])
        await expect(visit.page.get_by_text("Monitoring is planned: nothing alarms.")).to_be_visible()
        # Somebody is at work on the page, however slow this machine is.
        await visit.page.evaluate(
            "const turn = () => window.dispatchEvent(new Event('wheel')); turn(); setInterval(turn, 200)"
        )
        await say(calm, LOW)
        await expect(visit.page.locator(".alert.high")).to_contain_text(SENTENCE)
        await expect(names).to_have_text(["Another Patient", "Demo Patient"])
        await visit.page.get_by_role("button", name="The order of risk has changed. Sort now").click()
        await expect(names).to_have_text(["Demo Patient", "Another Patient"])
        await expect(visit.page.get_by_role("button", name="Sort now")).to_be_hidden()
        # The pointer reads values out of the trend.
        await visit.page.locator(".alert svg.trend").hover(position={"x": 5, "y": 40})
        await expect(visit.page.locator(".alert .readout")).to_have_text(re.compile(r"no reading|\d+ % at \d\d:\d\d"))
        await expect(visit.page.locator(".alert .cursor")).to_have_count(1)


async def test_no_log_names_the_patient_or_holds_a_secret(household: RunningHousehold) -> None:
    secrets = ("Demo Patient", "Another Patient", "1948-05-17", *household.known.passwords.values())
    assert [file.name for file, text in household.logs().items() if any(secret in text for secret in secrets)] == []
