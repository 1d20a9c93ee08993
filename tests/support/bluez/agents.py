"""Who BlueZ asks while it pairs: AgentManager1, and the agent of a program as Bumble's delegate."""

from typing import Any

from bumble.pairing import PairingConfig, PairingDelegate
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusObjectPath, DBusStr
from dbus_fast.service import ServiceInterface, dbus_method
from tests.support.bluez.gatt import CALLER
from tests.support.bluez.refusals import refusal

MANAGER_PATH = "/org/bluez"
CAPABILITIES = {
    "NoInputNoOutput": PairingDelegate.NO_OUTPUT_NO_INPUT,
    "KeyboardDisplay": PairingDelegate.DISPLAY_OUTPUT_AND_KEYBOARD_INPUT,
    "KeyboardOnly": PairingDelegate.KEYBOARD_INPUT_ONLY,
}


class AgentManager(ServiceInterface):
    """See BlueZ's doc/org.bluez.AgentManager.rst."""

    def __init__(self, bus: MessageBus) -> None:
        super().__init__("org.bluez.AgentManager1")
        self._bus = bus
        self._agents: dict[str, tuple[str, str]] = {}
        self._default: str | None = None

    def forget(self, caller: str) -> None:
        """The program is gone from the bus."""
        self._agents.pop(caller, None)
        if self._default == caller:
            self._default = None

    def configuration(self, device_path: str, caller: str | None) -> PairingConfig | None:
        """How to pair: with the caller's own agent, or else with the default one; None without any."""
        owner = caller if caller in self._agents else self._default
        if owner is None:
            return None
        path, capability = self._agents[owner]
        delegate = AgentDelegate(self._bus, owner, path, capability, device_path)
        return PairingConfig(
            sc=True,
            mitm=capability != "NoInputNoOutput",
            bonding=True,
            delegate=delegate,
            identity_address_type=PairingConfig.AddressType.RANDOM,
        )

    @dbus_method(name="RegisterAgent")
    def register_agent(self, path: DBusObjectPath, capability: DBusStr) -> None:
        if CALLER.get() in self._agents:
            raise refusal("AlreadyExists", "Already Exists")
        self._agents[CALLER.get()] = (path, capability)

    @dbus_method(name="UnregisterAgent")
    def unregister_agent(self, path: DBusObjectPath) -> None:
        if self._agents.get(CALLER.get(), ("", ""))[0] != path:
            raise refusal("DoesNotExist", "Does Not Exist")
        self.forget(CALLER.get())

    @dbus_method(name="RequestDefaultAgent")
    def request_default_agent(self, path: DBusObjectPath) -> None:
        if self._agents.get(CALLER.get(), ("", ""))[0] != path:
            raise refusal("DoesNotExist", "Does Not Exist")
        self._default = CALLER.get()


class AgentDelegate(PairingDelegate):
    """Asks the program. What it refuses, BlueZ refuses."""

    def __init__(self, bus: MessageBus, owner: str, path: str, capability: str, device_path: str) -> None:
        super().__init__(CAPABILITIES[capability])
        self._bus = bus
        self._owner = owner
        self._path = path
        self._device_path = device_path

    async def accept(self) -> bool:
        """The device asks for a bond by itself."""
        return await self._ask("RequestAuthorization") is not None

    async def confirm(self, auto: bool = False) -> bool:
        """Neither side can show anything. The kernel asks also when it began to pair itself (seen with 6.1)."""
        return await self._ask("RequestAuthorization") is not None

    async def compare_numbers(self, number: int, digits: int) -> bool:
        """Both show one."""
        return await self._ask("RequestConfirmation", "ou", number) is not None

    async def get_number(self) -> int | None:
        """What the device shows."""
        answer = await self._ask("RequestPasskey")
        return None if answer is None else int(answer[0])

    async def _ask(self, member: str, signature: str = "o", *more: int) -> list[Any] | None:
        reply = await self._bus.call(
            Message(
                destination=self._owner,
                path=self._path,
                interface="org.bluez.Agent1",
                member=member,
                signature=signature,
                body=[self._device_path, *more],
            )
        )
        return None if reply.message_type is MessageType.ERROR else reply.body
