"""The air between simulated devices and a hub: Bumble's virtual link and controllers, repaired, and a virtual adapter.

Bumble 0.0.236 needs six repairs before a real host can live with its virtual controller; each says below what it
does without. Frames are never lost or delayed on this link, and a link loss is told to both ends at once.
"""

import asyncio
from typing import Any

from bumble import controller, core, hci, link, ll
from bumble.transport.common import StreamPacketSink, StreamPacketSource

ADAPTER_ADDRESS = "00:1B:DC:07:31:88"


class Air(link.LocalLink):
    """One link for one hub and its devices."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def send_acl_data(
        self,
        sender_controller: controller.Controller,
        destination_address: hci.Address,
        transport: core.PhysicalTransport,
        data: bytes,
    ) -> None:
        """Send from the address that the connection was made with.

        Upstream always sends from the random one: a host that scanned with a random address and connected with its
        public one would hear data from an address that nobody knows.
        """
        if transport != core.PhysicalTransport.LE:
            super().send_acl_data(sender_controller, destination_address, transport, data)
            return
        connection = sender_controller.le_connections.get(destination_address)
        destination = self.find_le_controller(destination_address)
        if connection is not None and destination is not None:
            asyncio.get_running_loop().call_soon(destination.on_link_acl_data, connection.self_address, transport, data)

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """Say nothing to who is gone; upstream raises in the middle of the sender's disconnection."""
        if self.find_le_controller(receiver_address) is not None:
            super().send_ll_control_pdu(sender_address, receiver_address, packet)

    def send_advertising_pdu(self, sender_controller: controller.Controller, packet: ll.AdvertisingPdu) -> None:
        """Who is out of range is not heard; upstream carries whatever knows the link."""
        if sender_controller in self.controllers:
            super().send_advertising_pdu(sender_controller, packet)

    def take_away(self, gone: controller.Controller, reason: int = hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR) -> None:
        """Out of range or unplugged: nobody hears it any more, and all its connections end at both ends."""
        self.controllers.discard(gone)
        for other in list(self.controllers):
            for peer_address, connection in list(other.le_connections.items()):
                if peer_address in (gone.random_address, gone.public_address):
                    other.on_le_disconnected(connection, reason)
        for connection in list(gone.le_connections.values()):
            gone.on_le_disconnected(connection, reason)

    def bring_back(self, returned: controller.Controller) -> None:
        """In range again."""
        self.add_controller(returned)


NEAR_DBM = -50


class VirtualController(controller.Controller):
    """A controller that can take a connection attempt back, and that Linux is content with.

    `hears_dbm` is how strong it hears everybody; upstream, -50 dBm always. `ends_links_in_seconds` is how long it takes
    to end a link on its host's word, because the other side acknowledges it; upstream, no time at all.
    """

    hears_dbm = NEAR_DBM
    ends_links_in_seconds = 0.0

    def on_hci_le_create_connection_cancel_command(self, _command: Any) -> hci.HCI_StatusReturnParameters:
        """End the pending attempt; upstream answers success and lets it pend, so that every later one is refused."""
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        asyncio.get_running_loop().call_soon(
            self.send_hci_packet,
            hci.HCI_LE_Connection_Complete_Event(
                status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
                connection_handle=0,
                role=hci.Role.CENTRAL,
                peer_address_type=pending.peer_address.address_type,
                peer_address=pending.peer_address,
                connection_interval=0,
                peripheral_latency=0,
                supervision_timeout=0,
                central_clock_accuracy=0,
            ),
        )
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_hci_disconnect_command(self, command: hci.HCI_Disconnect_Command) -> None:
        """End a link, in its own time.

        Linux 6.1 frees something twice when a link whose encryption was refused has ended before bluetoothd has heard
        of the refusal, and bluetoothd dies of it. An emulated computer is too slow for an answer in the same moment.
        """
        connection = self.find_le_connection_by_handle(command.connection_handle)
        if connection is None or not self.ends_links_in_seconds:
            super().on_hci_disconnect_command(command)
            return
        self._send_hci_command_status(hci.HCI_COMMAND_STATUS_PENDING, command.op_code)
        connection.send_ll_control_pdu(ll.TerminateInd(command.reason))
        asyncio.get_running_loop().call_later(self.ends_links_in_seconds, self._terminated, connection)

    def _terminated(self, connection: controller.Connection) -> None:
        if self.le_connections.get(connection.peer_address) is connection:
            self.on_le_disconnected(connection, hci.HCI_ErrorCode.CONNECTION_TERMINATED_BY_LOCAL_HOST_ERROR)

    def send_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """Report a connection with the enhanced event.

        A controller with extended advertising must: given the plain one, Linux connects, but its command queue then
        stands still for 20 s.
        """
        extended = self.le_features & hci.LeFeatureMask.LE_EXTENDED_ADVERTISING
        if isinstance(packet, hci.HCI_LE_Connection_Complete_Event) and extended:
            packet = hci.HCI_LE_Enhanced_Connection_Complete_Event(
                status=packet.status,
                connection_handle=packet.connection_handle,
                role=packet.role,
                peer_address_type=packet.peer_address_type,
                peer_address=packet.peer_address,
                local_resolvable_private_address=hci.Address.ANY,
                peer_resolvable_private_address=hci.Address.ANY,
                connection_interval=packet.connection_interval,
                peripheral_latency=packet.peripheral_latency,
                supervision_timeout=packet.supervision_timeout,
                central_clock_accuracy=packet.central_clock_accuracy,
            )
        reports = (hci.HCI_LE_Advertising_Report_Event, hci.HCI_LE_Extended_Advertising_Report_Event)
        if isinstance(packet, reports) and self.hears_dbm != NEAR_DBM:
            for report in packet.reports:
                report.rssi = self.hears_dbm
        super().send_hci_packet(packet)


class _AdapterSocket(StreamPacketSource):
    """One TCP connection is one adapter plugged in; its end is the adapter pulled out, links and all."""

    def __init__(self, air: Air, sockets: "set[_AdapterSocket]", hears_dbm: int, ends_links_in_seconds: float) -> None:
        super().__init__()
        self._air = air
        self._hears_dbm = hears_dbm
        self._ends_links_in_seconds = ends_links_in_seconds
        self._sockets = sockets
        self._transport: asyncio.Transport | None = None
        self._controller: VirtualController | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's TCP servers give no other
        self._transport = transport
        self._controller = VirtualController(
            "adapter", self, StreamPacketSink(transport), self._air, hci.Address(f"{ADAPTER_ADDRESS}/P")
        )
        self._controller.hears_dbm = self._hears_dbm
        self._controller.ends_links_in_seconds = self._ends_links_in_seconds
        self._sockets.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._sockets.discard(self)
        if self._controller is not None:
            self._controller.host = None
            self._air.take_away(self._controller)

    def pull(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class AdapterServer:
    """A virtual Bluetooth adapter for another process: HCI over TCP on the loopback interface."""

    def __init__(self, server: asyncio.Server, sockets: set[_AdapterSocket]) -> None:
        self._server = server
        self._sockets = sockets

    @classmethod
    async def start(
        cls, air: Air, port: int, *, hears_dbm: int = NEAR_DBM, ends_links_in_seconds: float = 0.0
    ) -> "AdapterServer":
        """Listen on 127.0.0.1; `port` 0 takes a free one. See `VirtualController` for the rest."""
        sockets: set[_AdapterSocket] = set()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _AdapterSocket(air, sockets, hears_dbm, ends_links_in_seconds), "127.0.0.1", port
        )
        return cls(server, sockets)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.sockets[0].getsockname()[1])

    def pull(self) -> None:
        """Pull the adapter out: every HCI connection breaks. The host may open it again at once."""
        for socket in list(self._sockets):
            socket.pull()

    async def stop(self) -> None:
        """Listen no more and break what is connected."""
        self._server.close()
        self.pull()
        await self._server.wait_closed()
