"""A small machine of its own under QEMU: Debian's kernel, D-Bus and bluetoothd, with a Bluetooth adapter on a UART.

Its files are this machine's, read-only, with its own /run and /var/lib in memory. Its processor is emulated, always:
that works everywhere, and takes some twenty times as long for everything. Its adapter is Bumble's controller on the
simulated air, which QEMU connects to its second serial port; the kernel's driver is the one that serves a Pi's.
Not as on a hub: no systemd, every program runs as root, and the processor is not an ARM.
"""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, STDOUT
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.vm import initramfs
from tests.support.vm.packages import Parts, parts

HERE = Path(__file__).parent
STATE = Path("/var/lib/bedside")
"""Where the hub's state is, inside."""

MODULES = (
    *("virtio_pci", "virtio_net", "9pnet_virtio", "9p"),
    # The kernel's Bluetooth makes keys with these, and loads them by name.
    *("drbg", "jitterentropy_rng", "hmac", "sha256_generic", "sha512_generic", "ctr", "cmac", "ecb", "ccm"),
    *("ecdh_generic", "algif_hash", "algif_skcipher", "hci_uart"),
    # A meter that is a USB HID device.
    *("hid", "hid_generic", "uhid"),
)
ARGUMENTS = "console=ttyS0 panic=-1 quiet mitigations=off net.ifnames=0 random.trust_cpu=on"
MEMORY_MB = 768
BOOT_SECONDS = 240.0
CALL_SECONDS = 120.0
TAIL = 6000
"""Characters of the console that a failure shows."""


class Machine:
    """A booted machine. `console` is the file with all that its kernel and its programs say."""

    def __init__(self, console: Path, bluez: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.console = console
        self._bluez = bluez
        self._reader = reader
        self._writer = writer
        self._asking = asyncio.Lock()

    async def try_(self, command: str, seconds: float = CALL_SECONDS) -> tuple[int, str]:
        """The exit code and the output of a shell command in it, which is one line."""
        async with self._asking:
            self._writer.write(command.encode() + b"\n")
            try:
                async with asyncio.timeout(seconds):
                    said = (await self._reader.readuntil(b"\x1e"))[:-1].decode()
                    return int(await self._reader.readline()), said
            except TimeoutError:
                raise AssertionError(f"no answer to {command!r}\n{self.tail()}") from None

    async def run(self, command: str, seconds: float = CALL_SECONDS) -> str:
        """As `try_`; it must succeed."""
        code, said = await self.try_(command, seconds)
        assert code == 0, f"{command!r}: {code}: {said}\n{self.tail()}"
        return said

    async def start_bluetoothd(self) -> None:
        """Return when it is on the bus, and its adapter with it."""
        daemon = f"{self._bluez}/usr/libexec/bluetooth/bluetoothd -n -f {self._bluez}/etc/bluetooth/main.conf"
        await self.run(f"{daemon} >/dev/console 2>&1 & echo $! >/run/bluetoothd.pid")
        ask = "dbus-send --system --print-reply --dest=org.bluez /org/bluez/hci0"
        powered = f"{ask} org.freedesktop.DBus.Properties.Get string:org.bluez.Adapter1 string:Powered"
        await self.until(f"{powered} | grep -q 'boolean true'")

    async def kill_bluetoothd(self) -> None:
        """SIGKILL: nobody is told of anything."""
        await self.run("kill -KILL $(cat /run/bluetoothd.pid)")

    async def start_agent(self) -> None:
        """The agent as it is started on a hub; return at once."""
        await self.run(f"{agent_program()} run --state {STATE} >/dev/console 2>&1 & echo $! >/run/agent.pid")

    async def agent(self, *arguments: str) -> str:
        """What a technician's command says."""
        return await self.run(" ".join((agent_program(), *arguments, "--state", str(STATE))))

    async def stop_agent(self) -> None:
        """SIGTERM, and return when it has ended."""
        await self.run("kill -TERM $(cat /run/agent.pid)")
        await self.until("! test -e /proc/$(cat /run/agent.pid)/exe")

    async def until(self, command: str, seconds: float = CALL_SECONDS) -> None:
        """Until the command succeeds."""
        try:
            async with asyncio.timeout(seconds):
                while (await self.try_(command))[0] != 0:
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"never: {command!r}\n{self.tail()}") from None

    def tail(self) -> str:
        """The last that stands on its console."""
        text = self.console.read_text(errors="replace")
        return f"{self.console}:\n{text[-TAIL:]}"


def agent_program() -> str:
    """The installed `bedside-agent`, which is the same inside."""
    return str(Path(sys.executable).parent / "bedside-agent")


@asynccontextmanager
async def small_machine(folder: Path, state: Path, hci_port: int) -> AsyncIterator[Machine]:
    """A booted machine with the adapter that listens on `hci_port` of loopback; bluetoothd and agent do not run yet.

    `state` is what the hub's state begins with. Nothing of the machine is left afterwards but its console in `folder`.
    """
    found = parts()
    console = folder / "console"
    line: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    line = asyncio.get_running_loop().create_future()
    server = await asyncio.start_unix_server(_first(line), folder / "line")
    with console.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            # Whoever ends this process ends the machine.
            *("setpriv", "--pdeathsig", "KILL"),
            *_command(folder, found, state, hci_port),
            stdin=DEVNULL,
            stdout=output,
            stderr=STDOUT,
        )
    try:
        ended = asyncio.create_task(process.wait())
        waited: set[asyncio.Future[Any]] = {ended, line}
        await asyncio.wait(waited, timeout=BOOT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        assert line.done(), f"QEMU did not start: {console.read_text(errors='replace')}"
        machine = Machine(console, found.root, *line.result())
        await _booted(machine, line.result()[0], ended)
        yield machine
    finally:
        if process.returncode is None:
            process.kill()
        await ended
        if line.done():
            line.result()[1].close()
        server.close()
        await server.wait_closed()


async def _booted(machine: Machine, reader: asyncio.StreamReader, ended: "asyncio.Task[int]") -> None:
    up = asyncio.create_task(reader.readuntil(b"\x1eup\n"))
    waited: set[asyncio.Future[Any]] = {ended, up}
    await asyncio.wait(waited, timeout=BOOT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if not up.done() or up.exception() is not None:
        up.cancel()
        raise AssertionError(f"the machine did not boot\n{machine.tail()}")


def _command(folder: Path, found: Parts, state: Path, hci_port: int) -> list[str]:
    kernel, archive = folder / "kernel", folder / "initramfs"
    kernel.write_bytes(initramfs.started_kernel(found.kernel.read_bytes()))
    modules = initramfs.in_order(found.modules, MODULES)
    init = (HERE / "init.sh").read_bytes()
    archive.write_bytes(initramfs.of_machine(init, found.busybox.read_bytes(), modules))
    inside = f"GUEST={HERE / 'guest.sh'} BLUEZ={found.root} STATE={state}"
    return [
        "qemu-system-x86_64",
        *("-machine", "pc", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", str(MEMORY_MB)),
        *("-nodefaults", "-no-reboot", "-display", "none", "-monitor", "none"),
        *("-kernel", str(kernel), "-initrd", str(archive), "-append", f"{ARGUMENTS} {inside}"),
        *("-serial", "stdio"),
        *("-chardev", f"socket,id=adapter,host=127.0.0.1,port={hci_port}", "-serial", "chardev:adapter"),
        *("-chardev", f"socket,id=line,path={folder / 'line'}", "-serial", "chardev:line"),
        *("-device", "virtio-rng-pci", "-nic", "user,model=virtio-net-pci"),
        *("-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"),
    ]


def _first(
    line: "asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]",
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
    return lambda reader, writer: line.set_result((reader, writer))
