"""The hub's own network from end to end: D-Bus and HTTP are real, NetworkManager and the air are simulated."""

import asyncio
import contextlib
import http.client
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.support.bluez.bus import private_bus, require_dbus
from tests.support.clock import ManualClock
from tests.support.mosquitto import free_port
from tests.support.networks.manager import Air, Router, Saved, simulated_manager
from tests.support.readings import HUB

from bedside_agent.homepage.pairing import keep_code
from bedside_agent.wifi.bus import AbsentError, BusError
from bedside_agent.wifi.hotspot import Hotspot
from bedside_agent.wifi.label import label_of
from bedside_agent.wifi.network_manager import network_manager
from bedside_agent.wifi.setting_up import Choice, Network, Open, Settled, Trouble, Watching

PASSWORD, WRONG = "tres tristes tigres", "dos tristes tigres"
CODE = "abcd-efgh-jkmn-2345"
WAIT_SECONDS = 20.0
NOBODY = "Iface\tDestination\tGateway\n"
ROUTED = NOBODY + "eth0\t00000000\t0101A8C0\n"


class Home:
    """A hub, and a telephone on its own network."""

    def __init__(self, state: Path, air: Air) -> None:
        self.air = air
        self.state = state
        self.routes = state / "route"
        self.routes.write_text(NOBODY)
        self.clock = ManualClock()
        self.port = free_port()
        keep_code(state, CODE)
        self.hotspot = Hotspot(
            lambda: label_of(state, HUB),
            self.clock,
            "en",
            5,
            address=("127.0.0.1", self.port),
            routes=self.routes,
            look_seconds=0.05,
        )

    def own(self) -> Saved | None:
        """The hub's own network, while it is up."""
        return self.air.hotspot

    async def is_open(self) -> str:
        """Wait for the page on the hub's own network."""
        await until(lambda: isinstance(self.hotspot.state, Open))
        return (await self.ask("GET", "/"))[1]

    async def ask(
        self, method: str, path: str, *, host: str = "", site: str = "same-origin", **form: str
    ) -> tuple[int, str, str]:
        """Status, body and where the answer leads."""

        def asked() -> tuple[int, str, str]:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            headers = {"host": host or f"127.0.0.1:{self.port}", "sec-fetch-site": site}
            connection.request(method, path, urlencode(form), headers)
            answer = connection.getresponse()
            said = answer.status, answer.read().decode(), answer.headers.get("location", "")
            connection.close()
            return said

        return await asyncio.to_thread(asked)

    async def join(self, ssid: str, password: str) -> str:
        said = (await self.ask("POST", "/join?lang=en", ssid=ssid, password=password))[1]
        self.clock.advance(seconds=10)
        return said


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def home(state: Path, *routers: Router) -> AsyncIterator[Home]:
    require_dbus()
    with private_bus():
        async with simulated_manager(*routers) as air:
            made = Home(state, air)
            task = asyncio.create_task(made.hotspot.run())
            try:
                yield made
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


def all_bytes(folder: Path) -> bytes:
    return b"".join([path.read_bytes() for path in folder.rglob("*") if path.is_file()])


CASA = Router(b"Casa", PASSWORD)


async def test_a_telephone_gives_the_hub_its_network(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with home(tmp_path, CASA, Router(b"Caf\xc3\xa9 <b>", None, strength=30)) as hub:
        await asyncio.sleep(0.3)
        assert hub.own() is None, "not before its minutes are over"
        hub.clock.advance(seconds=301)
        page = await hub.is_open()
        opened = hub.own()
        assert opened is not None
        own = opened.profile
        assert own["802-11-wireless-security"]["psk"].value == CODE, "what stands on the label"
        assert bytes(own["802-11-wireless"]["ssid"].value).startswith(b"Bedside-")
        assert not opened.is_on_disk
        assert page.index('value="Casa"') < page.index('value="Café &lt;b&gt;"'), "strongest first, and text stays text"
        assert "<script" not in page

        said = await hub.join("Casa", WRONG)
        assert "now tries Casa" in said
        await until(lambda: isinstance(hub.hotspot.state, Open) and hub.hotspot.state.failure is not None)
        page = await hub.is_open()
        assert "The password for Casa is wrong." in page
        assert '<input type="radio" name="ssid" value="Casa" checked>' in page
        assert [one for one in hub.air.saved if one is not hub.own()] == [], "nothing of the attempt is kept"
        assert "no es correcta" in (await hub.ask("GET", "/?lang=es"))[1]

        await hub.join("Casa", PASSWORD)
        await until(lambda: hub.hotspot.state == Settled())
        (saved,) = hub.air.saved
        assert saved.is_on_disk
        assert saved.profile["802-11-wireless-security"]["psk"].value == PASSWORD
        assert hub.own() is None
        with pytest.raises(OSError, match="refused"):
            await hub.ask("GET", "/")
    assert hub.air.passwords == [WRONG, PASSWORD]
    logged = "\n".join(str(vars(record)) for record in caplog.records if record.name.startswith("bedside_agent"))
    kept = await asyncio.to_thread(all_bytes, tmp_path)
    for secret in (PASSWORD, WRONG, CODE):
        assert secret not in logged
    assert "wifi.settled" in logged
    assert b"tigres" not in kept


@pytest.mark.parametrize(
    ("router", "said"),
    [
        (Router(b"Casa", PASSWORD, gives_addresses=False), "Casa gave the monitor no address."),
        (Router(b"Other", PASSWORD), "The monitor cannot hear Casa."),
    ],
)
async def test_why_a_network_does_not_work_is_said(tmp_path: Path, router: Router, said: str) -> None:
    async with home(tmp_path, router) as hub:
        hub.clock.advance(seconds=301)
        await hub.is_open()
        await hub.ask("POST", "/join", other="Casa", password=PASSWORD)
        hub.clock.advance(seconds=10)
        await until(lambda: isinstance(hub.hotspot.state, Open) and hub.hotspot.state.failure is not None)
        page = await hub.is_open()
        assert said in page
        assert 'role="alert"' in page


async def test_what_cannot_be_a_password_closes_nothing(tmp_path: Path) -> None:
    async with home(tmp_path, CASA) as hub:
        hub.clock.advance(seconds=301)
        await hub.is_open()
        assert "at least 8 letters" in await hub.join("Casa", "short")
        assert "choose a network" in await hub.join("", PASSWORD)
        assert "choose a network" in (await hub.ask("POST", "/join", other="x" * 4000))[1]
        assert (await hub.ask("POST", "/join", site="cross-site", ssid="Casa", password=PASSWORD))[0] == 303
        await asyncio.sleep(0.3)
        assert isinstance(hub.hotspot.state, Open)
        assert hub.air.passwords == []


async def test_every_other_address_leads_to_the_page(tmp_path: Path) -> None:
    async with home(tmp_path, CASA) as hub:
        hub.clock.advance(seconds=301)
        await hub.is_open()
        for host, path in (("connectivitycheck.gstatic.com", "/generate_204"), ("captive.apple.com", "/"), ("", "/x")):
            status, _, where = await hub.ask("GET", path, host=host)
            assert (status, where) == (303, f"http://127.0.0.1:{hub.port}/?lang=en")


async def test_the_list_is_made_anew_on_request(tmp_path: Path) -> None:
    async with home(tmp_path, CASA) as hub:
        hub.clock.advance(seconds=301)
        await hub.is_open()
        hub.air.routers.append(Router(b"Nueva", PASSWORD))
        assert "half a minute" in (await hub.ask("POST", "/look"))[1]
        await until(lambda: isinstance(state := hub.hotspot.state, Open) and Network("Nueva", 70) in state.networks)
        assert 'value="Nueva"' in await hub.is_open()


async def test_a_hub_that_has_a_way_out_or_a_saved_network_opens_nothing(tmp_path: Path) -> None:
    async with home(tmp_path, CASA) as hub:
        hub.routes.write_text(ROUTED)
        await until(lambda: hub.hotspot.state == Settled())
        assert hub.air.saved == []
    async with home(tmp_path, CASA) as hub:
        async with network_manager() as manager:
            await manager.add(Choice("Casa", PASSWORD))
            assert await manager.saved() == ["Casa"]
        await until(lambda: hub.hotspot.state == Settled())
        assert hub.own() is None


async def test_a_cable_ends_the_hubs_own_network_and_so_does_the_agent(tmp_path: Path) -> None:
    async with home(tmp_path, CASA) as hub:
        hub.clock.advance(seconds=301)
        await hub.is_open()
        hub.routes.write_text(ROUTED)
        await until(lambda: hub.hotspot.state == Settled() and hub.own() is None)
    async with home(tmp_path, CASA) as hub:
        hub.clock.advance(seconds=301)
        await hub.is_open()
        async with network_manager() as manager:
            await manager.add(Choice("Casa", PASSWORD))
        await until(lambda: hub.hotspot.state == Settled() and hub.own() is None)
    async with home(tmp_path, CASA) as hub:
        hub.clock.advance(seconds=301)
        await hub.is_open()
    assert hub.air.saved == [], "an agent that stops leaves no network behind"


async def test_an_attempt_without_an_end_ends(tmp_path: Path) -> None:
    async with home(tmp_path, Router(b"Casa", PASSWORD, answers=False)) as hub, network_manager() as manager:
        assert await manager.join(Choice("Casa", PASSWORD), limit_seconds=0.5) is Trouble.OUT_OF_RANGE
        assert hub.air.saved == []


async def test_a_computer_without_networkmanager_is_left_alone() -> None:
    require_dbus()
    with private_bus():
        async with network_manager() as manager:
            with pytest.raises(AbsentError, match="NetworkManager does not run") as absent:
                await manager.facts()
    assert isinstance(absent.value, BusError)
    assert "systemctl enable --now NetworkManager" in absent.value.fix


async def test_a_network_manager_that_goes_is_begun_with_anew(tmp_path: Path) -> None:
    async with home(tmp_path, CASA) as hub:
        hub.clock.advance(seconds=301)
        await hub.is_open()
        opened = hub.own()
        assert opened is not None
        hub.air.forget(opened)
        await until(lambda: hub.own() is not None)
        assert not isinstance(hub.hotspot.state, Watching)
