"""A technician at another computer: logs in over TLS, works on the fleet, and is named in the record of deeds."""

import asyncio
import json
import os
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from tests.support.cloud import COMMAND, bedside_cloud
from tests.support.household import RunningHousehold, household

from bedside_sim.household import HUB_ID

__all__ = ["household"]

pytestmark = [pytest.mark.journey, pytest.mark.asyncio(loop_scope="module")]


@asynccontextmanager
async def tls_proxy(port: int, folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """What an installation puts before the gateway: its address, and the certificate that signed it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(folder / "ca.pem")

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(reader, behind[1]), pipe(behind[0], writer), return_exceptions=True)

    server = await asyncio.start_server(on_client, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}", folder / "ca.pem"


class Laptop:
    """A computer without a state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "work").mkdir()

    async def run(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        kept = {name: value for name, value in os.environ.items() if name != "BEDSIDE_CLOUD_STATE"}

        def go() -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                [*COMMAND, *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                cwd=self.folder / "work",
                env={**kept, "XDG_CONFIG_HOME": str(self.folder / "config"), "COLUMNS": "200"},
            )

        return await asyncio.to_thread(go)

    async def done(self, *arguments: str, stdin: str = "") -> str:
        result = await self.run(*arguments, stdin=stdin)
        assert result.returncode == 0, result.stderr
        return result.stdout

    async def refused(self, *arguments: str, stdin: str = "") -> str:
        result = await self.run(*arguments, stdin=stdin)
        assert (result.returncode, "Traceback" in result.stderr) == (1, False), result.stderr
        return result.stderr


async def test_a_technician_works_from_elsewhere_and_is_named(household: RunningHousehold, tmp_path: Path) -> None:
    laptop = Laptop(tmp_path)
    gateway = urlsplit(household.url).port
    assert gateway is not None
    async with tls_proxy(gateway, tmp_path) as (server, ca):
        assert "There is no cloud" in await laptop.refused("fleet", "hub", "list")
        log_in = ("login", "--server", server, "--password-stdin")
        password = household.password("tech") + "\n"
        assert "cannot be reached" in await laptop.refused(*log_in, "--name", "tech", stdin=password), "nobody vouches"
        assert "wrong" in await laptop.refused(*log_in, "--name", "tech", "--ca", str(ca), stdin="guess\n")
        nurse = (*log_in, "--name", "nurse", "--ca", str(ca))
        assert "not a technician" in await laptop.refused(*nurse, stdin=household.password("nurse") + "\n")
        assert "Nobody is logged in" in await laptop.refused("whoami")

        assert "tech is logged in" in await laptop.done(*log_in, "--name", "tech", "--ca", str(ca), stdin=password)
        assert server in await laptop.done("whoami")
        assert HUB_ID in await laptop.done("fleet", "hub", "list")
        ticket = json.loads(await laptop.done("fleet", "claim", "new", "--hub-id", "hub-far", "--json"))
        here = await asyncio.to_thread(bedside_cloud, "endpoints", "--json", state=household.cloud_state)
        assert ticket["est_url"] == json.loads(here.stdout)["est_url"]
        labels = ("fleet", "claim", "new", "--hub-id", "box", "--count", "3", "--pdf", "labels.pdf")
        assert "3 labels" in await laptop.done(*labels)
        await laptop.done("fleet", "hub", "rename", HUB_ID, "by the window")
        assert "by the window" in await laptop.done("fleet", "hub", "show", HUB_ID)
        await laptop.done("fleet", "hub", "suspend", HUB_ID)
        await laptop.done("fleet", "hub", "resume", HUB_ID)
        assert "The hub has done it." in await laptop.done(
            "fleet", "command", "give", HUB_ID, "report_status", "--wait", "60"
        )
        assert "no hub nobody" in await laptop.refused("fleet", "command", "give", "nobody", "restart")
        assert "own machine alone" in await laptop.refused("patient", "list")

        deeds = await asyncio.to_thread(bedside_cloud, "audit", "deeds", "--json", state=household.cloud_state)
        by_tech = {
            (one["deed"], one["subject"]) for one in json.loads(deeds.stdout)["deeds"] if one["actor"] == "person:tech"
        }
        assert by_tech >= {
            ("claim_made", "hub-far"),
            ("hub_renamed", HUB_ID),
            ("hub_suspended", HUB_ID),
            ("hub_active", HUB_ID),
            ("command_report_status", HUB_ID),
        }
        assert "Logged out" in await laptop.done("logout")
        assert "There is no cloud" in await laptop.refused("fleet", "hub", "list")
