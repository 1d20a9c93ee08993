"""A real Mosquitto 2 with mutual TLS, on a free port of loopback."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from tests.support.certificates import Authority

BINARY = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
START_SECONDS = 10.0

ACCESS = """\
user cloud
topic readwrite bedside/v1/hubs/#

pattern write bedside/v1/hubs/%u/alarms
pattern write bedside/v1/hubs/%u/readings
pattern write bedside/v1/hubs/%u/waveforms
pattern write bedside/v1/hubs/%u/events
pattern write bedside/v1/hubs/%u/status
pattern write bedside/v1/hubs/%u/replies
pattern read bedside/v1/hubs/%u/receipts
pattern read bedside/v1/hubs/%u/careplan
pattern read bedside/v1/hubs/%u/commands
pattern read bedside/v1/hubs/%u/alerts
"""


class Mosquitto:
    """Who may do what is read from the certificate's common name: `cloud`, or the hub's id."""

    def __init__(
        self, directory: Path, authority: Authority, host: str = "localhost", *, address: str = "127.0.0.1"
    ) -> None:
        self.port = free_port()
        self._address = address
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        authority.write(directory, authority.leaf("broker", host=host))
        (directory / "access").write_text(ACCESS)
        (directory / "access").chmod(0o600)
        (directory / "mosquitto.conf").write_text(
            f"listener {self.port} {address}\n"
            f"cafile {directory}/ca.pem\n"
            f"certfile {directory}/chain.pem\n"
            f"keyfile {directory}/key.pem\n"
            "require_certificate true\n"
            "use_identity_as_username true\n"
            "allow_anonymous false\n"
            f"acl_file {directory}/access\n"
            "persistence false\n" + ("user root\n" if os.getuid() == 0 else "")
        )

    def start(self) -> None:
        """Start it and wait until it listens."""
        log = (self._directory / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [BINARY, "-c", str(self._directory / "mosquitto.conf"), "-v"], stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection((self._address, self.port), timeout=1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError((self._directory / "log").read_text()) from None
                time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """A clean stop; nothing if it does not run."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(10)
            self._process = None


def require_mosquitto() -> None:
    """Fail in CI, skip loudly elsewhere, when there is no mosquitto."""
    if not Path(BINARY).exists():
        if os.environ.get("CI"):
            pytest.fail("mosquitto is not installed: apt-get install mosquitto")
        pytest.skip("MOSQUITTO IS NOT INSTALLED: the hub was not tried against it")


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
