"""The page's name in the home, with Debian's own avahi-daemon on networks of this test's own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.avahi import avahi, interface, network, require_avahi, resolved
from tests.support.bluez.bus import VARIABLE, private_bus, require_dbus

from bedside_agent.homepage.address import url
from bedside_agent.wifi.mdns import PageName, own_addresses

FIRST, SECOND = "10.77.0.1", "10.77.0.2"
WAIT_SECONDS = 30.0


@asynccontextmanager
async def running(page: PageName) -> AsyncIterator[None]:
    task = asyncio.create_task(page.run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.05)


async def test_two_hubs_of_one_home_have_a_name_each(tmp_path: Path) -> None:
    require_dbus()
    require_avahi()
    with network(FIRST, SECOND) as (here, there), private_bus(), avahi(here, tmp_path / "here", "raspberrypi"):
        first = PageName(lambda: 80, addresses=lambda: ((interface(here), FIRST),), look_seconds=0.5)
        async with running(first):
            await until(lambda: first.name is not None)
            with private_bus(), avahi(there, tmp_path / "there", "raspberrypi-2"):
                second = PageName(lambda: 8080, addresses=lambda: ((interface(there), SECOND),), look_seconds=0.5)
                assert await resolved("bedside.local") == FIRST, "another computer of the home asks over the network"
                async with running(second):
                    await until(lambda: second.name is not None)
                    assert (first.name, second.name) == ("bedside.local", "bedside-2.local")
                    assert await resolved("bedside-2.local") == SECOND
                    assert await resolved("bedside.local") == FIRST
                assert second.name is None, "a hub that stops has no name"


async def test_the_name_follows_the_address_and_the_page(tmp_path: Path) -> None:
    require_dbus()
    require_avahi()
    with network(FIRST, SECOND) as (here, there), private_bus(), avahi(here, tmp_path / "here", "raspberrypi"):
        address, port = [FIRST], [80]
        number = interface(here)

        def addresses() -> tuple[tuple[int, str], ...]:
            return ((number, address[0]),)

        page = PageName(lambda: port[0] or None, addresses=addresses, look_seconds=0.2)
        async with running(page):
            await until(lambda: page.name is not None)
            address[0] = "10.77.0.9"
            await until(lambda: page.addresses == addresses())
            with private_bus(), avahi(there, tmp_path / "there", "telephone"):
                assert await resolved("bedside.local") == "10.77.0.9"
            port[0] = 0
            await until(lambda: page.name is None)


async def test_a_fault_in_it_ends_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def addresses() -> tuple[tuple[int, str], ...]:
        raise ValueError("something that nobody thought of")

    require_dbus()
    require_avahi()
    with network(FIRST) as (here,), private_bus(), avahi(here, tmp_path / "here", "raspberrypi"):
        page = PageName(lambda: 80, addresses=addresses)
        async with running(page):
            await until(lambda: "mdns.broken" in caplog.messages)
            assert page.name is None
    (record,) = [one for one in caplog.records if one.message == "mdns.broken"]
    assert vars(record)["reason"] == "ValueError"


async def test_a_computer_without_a_bus_has_no_name_and_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, "unix:path=/nowhere/at/all")
    page = PageName(lambda: 80)
    async with running(page):
        await until(lambda: bool(caplog.records))
        assert page.name is None
    (record,) = caplog.records
    assert (record.message, vars(record)["reason"]) == ("mdns.waits", "the system bus does not answer")


def test_an_address_is_written_as_people_type_it() -> None:
    assert url("bedside.local", 80) == "http://bedside.local/"
    assert url("bedside-2.local", 8080) == "http://bedside-2.local:8080/"
    assert [address for _, address in own_addresses() if address.startswith("127.")] == []
