"""A technician's own computer, and the TLS proxy that an installation puts before the gateway."""

import asyncio
import os
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trustme
from tests.support.cloud import COMMAND


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
        """`bedside-cloud` to its end."""
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
        """What it prints; it must succeed."""
        result = await self.run(*arguments, stdin=stdin)
        assert result.returncode == 0, result.stderr
        return result.stdout

    async def refused(self, *arguments: str, stdin: str = "") -> str:
        """What it says on standard error; it must end in sentences."""
        result = await self.run(*arguments, stdin=stdin)
        assert (result.returncode, "Traceback" in result.stderr) == (1, False), result.stderr
        return result.stderr
