"""A D-Bus system bus of a test's own: Debian's dbus-daemon on a socket in a temporary directory."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from tests.support.absent import absent

VARIABLE = "DBUS_SYSTEM_BUS_ADDRESS"
STOP_SECONDS = 10.0

# The policy is that of a session bus: the system bus's would refuse every reply between programs of one user here.
CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={folder}/socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


def require_dbus() -> None:
    """Fail in CI, skip loudly elsewhere, when there is no dbus-daemon."""
    if shutil.which("dbus-daemon") is None:
        absent("bleak's own BlueZ backend", "apt-get install dbus")


@contextmanager
def private_bus() -> Iterator[str]:
    """The address of a bus that lives as long as the context.

    Whoever asks for the system bus meanwhile gets this one, children included.
    """
    before = os.environ.get(VARIABLE)
    with tempfile.TemporaryDirectory(prefix="bedside-bus-") as folder:
        configuration = Path(folder) / "bus.conf"
        configuration.write_text(CONFIGURATION.format(folder=folder))
        log = Path(folder) / "log"
        with log.open("w") as said:
            daemon = subprocess.Popen(
                ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile", "--print-address"],
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        assert daemon.stdout is not None
        try:
            address = daemon.stdout.readline().strip()
            assert address, log.read_text()
            os.environ[VARIABLE] = address
            yield address
        finally:
            if before is None:
                os.environ.pop(VARIABLE, None)
            else:
                os.environ[VARIABLE] = before
            daemon.terminate()
            daemon.wait(STOP_SECONDS)
            daemon.stdout.close()


async def set_powered(on: bool) -> None:
    """What `bluetoothctl power on` and `power off` do, on the system bus."""
    body = ["org.bluez.Adapter1", "Powered", Variant("b", on)]
    await ask_bluez("/org/bluez/hci0", "org.freedesktop.DBus.Properties", "Set", "ssv", body)


async def ask_bluez(path: str, interface: str, member: str, signature: str = "", body: Sequence[Any] = ()) -> Any:
    """Call a method as another program would, which then leaves the bus; its first result.

    AssertionError if it is refused.
    """
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    try:
        reply = await bus.call(
            Message(
                destination="org.bluez",
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=list(body),
            )
        )
        assert reply.message_type is MessageType.METHOD_RETURN, (reply.error_name, reply.body)
        return reply.body[0] if reply.body else None
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
