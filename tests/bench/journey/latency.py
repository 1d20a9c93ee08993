"""From a value at the radio to its alert in a real browser, and from the broker's receipt to the raised alert.

The world stands still but for one value at a time: far out of range, so that the hub's rule fires without delay, then
back in range until the alert is over. Radio, hub, cloud and browser are processes of their own on this machine and
share its clock. The published figure is the receipt-to-alert time of a remote monitoring system in the literature.
"""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from playwright.async_api import Page, async_playwright
from tests.bench.figures import Figure, percentile
from tests.support.truth import hub_status

from bedside_sim.control_client import control
from bedside_sim.demo_plan import RULES
from bedside_sim.household import Household
from bedside_sim.progress import Silent

PUBLISHED_RECEIPT_TO_ALERT_MS = 126.0
SHORT, LONG = 40, 400
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]

QUICK = tuple(replace(rule, onset_delay_ms=0, clear_delay_ms=0) for rule in RULES if rule.condition == "spo2_low")

LISTEN = """() => {
  window.heard = [];
  const source = new EventSource('/events');
  source.addEventListener('alert', (event) => {
    const alert = JSON.parse(event.data);
    window.heard.push({at_ms: performance.timeOrigin + performance.now(), ...alert});
  });
  return new Promise((resolve) => source.addEventListener('hello', () => resolve(true)));
}"""


async def measure(*, long: bool) -> list[Figure]:
    """The percentiles of both ways."""
    with tempfile.TemporaryDirectory(prefix="bedside-bench-") as folder:
        household = Household(Path(folder), 1, QUICK, Silent())
        try:
            await household.start()
            radio_to_browser = await _alerts(household, LONG if long else SHORT)
            receipt_to_raised = _receipt_to_raised(household.endpoints["database_dsn"])
        finally:
            await household.stop()
    return [
        *_figures("radio_to_browser", radio_to_browser),
        *_figures("receipt_to_raised", receipt_to_raised),
    ]


async def _alerts(household: Household, number: int) -> list[float]:
    port = household.devices["control_port"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page()
        await _log_in(page, household)
        await _linked(household)
        await control(port, "pause")
        took = [await _one(page, port) for _ in range(number)]
        await browser.close()
    # The first ones also pay for connections and code that is loaded once.
    return took[3:]


async def _log_in(page: Page, household: Household) -> None:
    await page.goto(household.endpoints["gateway_url"] + "/login")
    await page.fill("#name", "nurse")
    await page.fill("#password", household.known.passwords["nurse"])
    await page.click("button.primary")
    await page.wait_for_url("**/")
    await page.evaluate(LISTEN)


async def _linked(household: Household) -> None:
    async with asyncio.timeout(60):
        while True:
            devices = {one["device_id"]: one["link"] for one in (await hub_status(household))["devices"]}
            if devices.get("demo-oximeter") == "connected":
                return
            await asyncio.sleep(0.2)


async def _one(page: Page, port: int) -> float:
    """Milliseconds from the moment at which the value was handed to the radio until the browser had its alert."""
    await page.evaluate("() => { window.heard.length = 0 }")
    emitted = await control(port, "emit", device="demo-oximeter", values={"spo2": 70, "pulse_rate": 80})
    if not emitted["emitted"]:
        raise RuntimeError("nobody listens to the oximeter")
    raised = await _heard(page, "true")
    await control(port, "emit", device="demo-oximeter", values={"spo2": 97, "pulse_rate": 80})
    await _heard(page, "false")
    return float(raised["at_ms"]) - float(emitted["utc_ms"])


async def _heard(page: Page, active: str) -> dict[str, Any]:
    handle = await page.wait_for_function(
        f"() => window.heard.find((alert) => alert.active === {active})", polling=5, timeout=20_000
    )
    return dict(await handle.json_value())


def _receipt_to_raised(dsn: str) -> list[float]:
    statement = (
        "SELECT extract(epoch FROM history.at - alerts.heard_at) * 1000 FROM alerting.alert_history AS history "
        "JOIN alerting.alerts USING (alert_id) WHERE history.version = 1 ORDER BY history.at OFFSET 3"
    )
    with psycopg.connect(dsn) as connection:
        return [float(row[0]) for row in connection.execute(statement)]


def _figures(name: str, values: list[float]) -> list[Figure]:
    figures = []
    for percent in (50, 95, 99):
        value = round(percentile(values, percent), 1)
        ratio = round(value / PUBLISHED_RECEIPT_TO_ALERT_MS, 2)
        figures.append(Figure(f"{name}_p{percent}_ms", value, "ms", "published receipt-to-alert, 126 ms", ratio))
    return figures
