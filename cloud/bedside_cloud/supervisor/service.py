"""One service as a process: `python -m bedside_cloud.supervisor.service SERVICE INSTANCE STATE`.

The supervisor starts services this way rather than by the command line, which would cost each of them the import of
what draws tables.
"""

import asyncio
import contextlib
import importlib
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from bedside_cloud.errors import OperatorError
from bedside_cloud.settings import ServiceSettings
from bedside_cloud.supervisor.state import State
from bedside_cloud.telemetry.logs import set_up_logs

STUBBORN_SECONDS = 2.0
"""How long a service may take to end before all its tasks are told again, one by one."""

Main = Callable[[ServiceSettings], Awaitable[None]]


def run_service(service: str, instance: str, directory: Path, *, verbose: bool = False) -> None:
    """Run until SIGTERM or SIGINT. The service's `main` is cancelled then and puts its things away."""
    settings = State.open(directory).service_settings(service, instance)
    set_up_logs(instance, verbose=verbose)
    main: Main = importlib.import_module(f"bedside_cloud.{service}.run").main
    asyncio.run(_until_told(main(settings)))


async def _until_told(work: Awaitable[None]) -> None:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    told = False

    def stop() -> None:
        nonlocal told
        told = True
        task.cancel()
        loop.call_later(STUBBORN_SECONDS, insist)

    def insist() -> None:
        # asyncio.wait_for of Python 3.11 loses a cancellation that comes together with what it waits for, as when
        # broker and services are stopped at once: a part of the service would then go on for ever.
        for one in asyncio.all_tasks() - {waiting}:
            one.cancel()
        loop.call_later(STUBBORN_SECONDS, insist)

    waiting = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    if not told:
        raise OperatorError("The service ended by itself.", "Its work is endless, so this is a fault.", "See its log.")


def main() -> None:
    """Entry of `python -m`: three arguments, errors as sentences in the log."""
    service, instance, directory = sys.argv[1:]
    try:
        run_service(service, instance, Path(directory))
    except OperatorError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
