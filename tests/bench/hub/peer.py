"""Our store and the closest gateway's on one load, without a link: lost at SIGKILL, bytes a reading, speed, memory.

The peer is the published package of ThingsBoard IoT Gateway, fetched for this run alone; its own storage classes run
unchanged with their own defaults. Its gateway process is not there: its memory is that of its storage alone.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.hub.kill9 import RATES, found_in, until_killed
from tests.bench.hub.peer_writing import peers_rows

PACKAGE = "thingsboard-gateway>=3.8,<3.9"
OURS, PEERS = "ours", ("sqlite", "memory")
SHORT_KILLS, LONG_KILLS = 2, 25
SHORT_SECONDS, LONG_SECONDS = 20, 600
RATE = 10


@dataclass(frozen=True, slots=True)
class Loss:
    """Of what was acknowledged before a kill."""

    lost: int
    acknowledged: int


@dataclass(frozen=True, slots=True)
class Ran:
    """What a child that ended by itself said."""

    readings: int
    seconds: float
    bytes: int
    rss_mb: float


async def measure(*, long: bool) -> list[Figure]:
    """Ours against each of the peer's storages; ours alone, and a sentence, when the package cannot be had."""
    # Beside this file and not in /tmp, which may be memory: nothing is written to a disk there.
    with tempfile.TemporaryDirectory(prefix="bedside-bench-", dir=Path(__file__).parent) as folder:
        home = Path(folder)
        version = await _fetched(home / "package")
        if version is None:
            print("The peer's package cannot be had here: only our own figures follow.", file=sys.stderr)
        stores = (OURS, *(PEERS if version else ()))
        kills = LONG_KILLS if long else SHORT_KILLS
        losses = {store: await _losses(store, home, kills) for store in stores}
        seconds = LONG_SECONDS if long else SHORT_SECONDS
        # Beside one another: they mostly wait.
        ran = await asyncio.gather(*(_run(store, home, RATE, seconds) for store in stores))
        steady = dict(zip(stores, ran, strict=True))
        fast = {store: await _run(store, home, 0, 0) for store in stores}
    figures = []
    for store in stores:
        name, against = ("ours" if store == OURS else f"peer_{store}"), None if store == OURS else f"{version}, {store}"
        for rate, loss in losses[store].items():
            figures.append(Figure(f"{name}_lost_at_{rate}_per_s", loss.lost, f"of {loss.acknowledged}", against))
        values = [
            ("bytes_per_reading", "bytes", [one.bytes / one.readings for one in (steady[store], steady[OURS])]),
            ("readings_per_s", "readings/s", [one.readings / one.seconds for one in (fast[store], fast[OURS])]),
            ("rss_mb", "MB", [one.rss_mb for one in (steady[store], steady[OURS])]),
        ]
        for figure, unit, (value, ours) in values:
            ratio = round(ours / value, 3) if store != OURS and value else None
            figures.append(Figure(f"{name}_{figure}", round(value, 1), unit, against and f"ours / {against}", ratio))
    return figures


async def _fetched(target: Path) -> str | None:
    """Fetch the package; its name and version, None when it cannot be had."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    child = await asyncio.create_subprocess_exec(*pip, "--target", str(target), PACKAGE, stdout=DEVNULL, stderr=DEVNULL)
    if await child.wait():
        return None
    return await asyncio.to_thread(_version, target)


def _version(package: Path) -> str | None:
    found = [path.name.removesuffix(".dist-info") for path in package.glob("thingsboard_gateway-*.dist-info")]
    return found[0].replace("thingsboard_gateway-", "ThingsBoard IoT Gateway ") if found else None


async def _losses(store: str, home: Path, kills: int) -> dict[int, Loss]:
    found = {}
    for rate in RATES:
        acknowledged = lost = 0
        for number in range(kills):
            chance = random.Random(rate * 1000 + number)
            with tempfile.TemporaryDirectory(dir=home) as folder:
                one = await (_kill_ours if store == OURS else _kill_peer)(store, Path(folder), rate, chance)
            acknowledged, lost = acknowledged + one.acknowledged, lost + one.lost
        found[rate] = Loss(lost, acknowledged)
    return found


async def _kill_ours(_: str, folder: Path, rate: int, chance: random.Random) -> Loss:
    heard = await until_killed(folder / "buffer.db", rate, chance)
    there, _twice = found_in(folder / "buffer.db")
    lost = sum(len(set(range(1, last + 1)) - there.get(key, set())) for key, last in heard.items())
    return Loss(lost, sum(heard.values()))


async def _kill_peer(store: str, folder: Path, rate: int, chance: random.Random) -> Loss:
    child = await _started(store, folder, folder.parent, rate, 0)
    assert child.stdout is not None
    lines = [await child.stdout.readline()]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(chance.uniform(0.0, 0.6 if rate > 1 else 1.2)):
            while line := await child.stdout.readline():
                lines.append(line)
    child.send_signal(signal.SIGKILL)
    lines += (await child.stdout.read()).splitlines(keepends=True)
    await child.wait()
    last = max(int(line) for line in lines if line.endswith(b"\n"))
    there = peers_rows(folder) if store == "sqlite" else set[int]()
    return Loss(len(set(range(1, last + 1)) - there), last)


async def _run(store: str, home: Path, rate: float, seconds: float) -> Ran:
    with tempfile.TemporaryDirectory(dir=home) as folder:
        child = await _started(store, Path(folder), home, rate, seconds)
        output, _ = await child.communicate()
    _, readings, taken, written, rss = output.decode().splitlines()[-1].split()
    return Ran(int(readings), float(taken), int(written), int(rss) / 1024)


async def _started(store: str, folder: Path, home: Path, rate: float, seconds: float) -> asyncio.subprocess.Process:
    words = ("-m", "tests.bench.hub.peer_writing", store, str(folder), str(rate), str(seconds))
    paths = (str(home / "package"), os.environ.get("PYTHONPATH", ""))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in paths if one)}
    return await asyncio.create_subprocess_exec(sys.executable, *words, stdout=PIPE, env=environment)
