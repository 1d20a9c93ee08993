"""A technician's path, timed: printed label → `init` → `device add` → `assign` → the first reading in the database.

Every step is the command of the documentation, with its own start of Python; the label's code is read from the rendered
page as a telephone reads it. Cloud, hub, and the device on the virtual radio are processes of their own. Hands, and a
device's own measuring, are not in it. The yardstick is the minute that each step may take.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pypdfium2
import zxingcpp
from tests.bench.figures import Figure

from bedside_sim.demo_plan import RULES
from bedside_sim.household import MRN, Household
from bedside_sim.processes import ask, command, tell
from bedside_sim.progress import Silent

STEP_SECONDS = 60.0
GATE = "the minute that a step may take"
HUB, DEVICE = "ward-001", "oximeter-1"
DOTS_PER_POINT = 300 / 72
READINGS = "SELECT count(*) FROM ingest.readings WHERE patient_id IS NOT NULL AND device_id = %s"
SHORT, LONG = 1, 5


async def measure(*, long: bool) -> list[Figure]:
    """The slowest of each step, and of the whole path."""
    walks = [await _walk() for _ in range(LONG if long else SHORT)]
    figures = []
    for name in walks[0]:
        slowest = max(walk[name] for walk in walks)
        figures.append(Figure(f"{name}_s", round(slowest, 2), "s", GATE, round(slowest / STEP_SECONDS, 3)))
    whole = max(sum(walk.values()) for walk in walks)
    return [*figures, Figure("label_to_first_reading_s", round(whole, 2), "s")]


async def _walk() -> dict[str, float]:
    took: dict[str, float] = {}

    async def timed(name: str, step: Callable[[], Awaitable[object]]) -> None:
        began = time.perf_counter()
        await step()
        took[name] = time.perf_counter() - began

    with tempfile.TemporaryDirectory(prefix="bedside-bench-") as folder:
        household = Household(Path(folder), 1, RULES, Silent())
        try:
            await household.start_cloud()
            await household.provision()
            await household.start_devices()
            sheet = Path(folder) / "labels.pdf"
            new = ("fleet", "claim", "new", "--hub-id", HUB, "--pdf", str(sheet))
            await timed("label", lambda: household.tell_cloud(*new))
            claim = _read(sheet)
            radio = f"bumble:tcp-client:127.0.0.1:{household.devices['hci_port']}"
            agent, state = command("bedside-agent"), ("--state", str(household.hub_state))
            await timed("init", lambda: tell(agent, "init", "--claim", claim, "--radio", radio, *state))
            await household.start_hub()
            await tell(command("bedside-cloud"), "patient", "hub", MRN, HUB, "--state", str(household.cloud_state))
            (oximeter,) = [one for one in household.devices["devices"] if one["profile"].endswith("pulse_oximeter")]
            where = ("--address", oximeter["address"], "--json")
            await timed("device_add", lambda: ask(agent, "device", "add", DEVICE, *where, *state))
            await timed("assign", lambda: household.tell_cloud("assign", DEVICE, MRN))
            await timed("first_reading", lambda: _stored(str(household.endpoints["database_dsn"])))
        finally:
            await household.stop()
    return took


def _read(sheet: Path) -> str:
    """The larger of the label's two codes, as a telephone reads it."""
    page = pypdfium2.PdfDocument(sheet)[0].render(scale=DOTS_PER_POINT).to_pil()
    formats = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    (text,) = [one.text for one in zxingcpp.read_barcodes(page, formats=formats) if one.text.startswith("bedside:1?")]
    return str(text)


async def _stored(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        async with asyncio.timeout(STEP_SECONDS):
            while True:
                row = await (await connection.execute(READINGS, (DEVICE,))).fetchone()
                if row is not None and row[0]:
                    return
                await asyncio.sleep(0.05)
