"""Commands to a running `bedside-sim devices`, one JSON line each way."""

import asyncio
import json
from typing import Any

from bedside_sim.errors import DemoError


async def control(port: int, do: str, **arguments: object) -> dict[str, Any]:
    """The answer to one command; DemoError if the simulator is not there or refuses."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as cause:
        raise DemoError("The simulated devices do not answer.", str(cause)) from cause
    try:
        writer.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        await writer.drain()
        answer: dict[str, Any] = json.loads(await reader.readline() or b'{"ok": false, "error": "no answer"}')
    finally:
        writer.close()
        await writer.wait_closed()
    if not answer.pop("ok"):
        raise DemoError(f"The simulated devices refused {do!r}.", str(answer.get("error", "")))
    return answer
