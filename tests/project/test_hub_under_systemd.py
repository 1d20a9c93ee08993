"""The hub as it is installed: the project's script and units on a machine whose first process is systemd.

One hub lives through all of this in order: installed, its keys sealed, killed, frozen, damaged, upgraded, taken back.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.booted import booted
from tests.support.hub_on_systemd import CREDENTIAL, RETRY, SERVICE, STATE, Hub, build_wheel

from bedside_agent.service import FAILED

ROOT = Path(__file__).parents[2]
KEY = "buffer.key"
NOT_OPENED = "243"
"""EXIT_CREDENTIALS of systemd.exec(5)."""
DOES_NOT_START = {
    "agent/bedside_agent/service.py": """

def main(arguments: Sequence[str]) -> int:
    sys.stderr.write("this version does not start\\n")
    return FAILED
"""
}
DIES_SOON = {
    "agent/bedside_agent/notify.py": """

import threading
_ready = Notifier.ready
def _then_die(self):
    _ready(self)
    threading.Timer(0.3, os._exit, (1,)).start()
Notifier.ready = _then_die
"""
}
BRINGS_A_NEWER_SCHEMA = {
    "agent/bedside_agent/service.py": """

def main(arguments: Sequence[str]) -> int:
    import sqlite3
    with sqlite3.connect("/var/lib/bedside/buffer.db") as buffer:
        buffer.execute("PRAGMA user_version = 999")
    return FAILED
"""
}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The project's wheel, a later one, and three that are bad in different ways."""
    folder = tmp_path_factory.mktemp("wheels")
    wanted: dict[str, dict[str, str]] = {
        "1.0": {},
        "1.1": {},
        "1.2": DOES_NOT_START,
        "1.3": DIES_SOON,
        "1.4": BRINGS_A_NEWER_SCHEMA,
    }
    return {version: build_wheel(folder, version, additions) for version, additions in wanted.items()}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, wheels: dict[str, Path]) -> Iterator[Hub]:
    """Installed on a machine that cannot seal, enrolled, started, its oximeter speaking."""
    with booted(tmp_path_factory.mktemp("machine")) as machine:
        hub = Hub(machine, tmp_path_factory.mktemp("packages"))
        # systemd keeps no secret of the machine on a file system that is gone after a reboot.
        machine.run("mount", "-t", "tmpfs", "tmpfs", "/var/lib/systemd")
        installed = hub.install(wheels["1.0"])
        assert installed.returncode == 0, installed.stdout + installed.stderr
        assert "the buffer's keys stay in a file" in installed.stdout
        assert "bedside-agent init" in installed.stdout
        assert machine.show(SERVICE)["ConditionResult"] == "no", "nothing is started before the hub is enrolled"
        hub.enrol(tmp_path_factory.mktemp("state"))
        machine.run("systemctl", "start", SERVICE)
        with hub.speaking_oximeter():
            yield hub


@pytest.fixture(autouse=True)
def as_installed(hub: Hub) -> Iterator[None]:
    """Each test finds the units as they were installed."""
    yield
    hub.no_drop_ins()


def measures(hub: Hub) -> None:
    """More readings come in."""
    before = hub.until_running()["waiting"]["readings"]
    hub.machine.until(
        lambda: (hub.status() or {"waiting": {"readings": 0}})["waiting"]["readings"] > before, "a reading"
    )


def restarted(hub: Hub, pid: int) -> dict[str, str]:
    """The service's properties once another process is ready."""

    def look() -> dict[str, str] | None:
        found = hub.machine.show(SERVICE)
        return found if found["ActiveState"] == "active" and found["MainPID"] != str(pid) else None

    return hub.machine.until(look, "the service runs again")


def main_process(hub: Hub) -> int:
    """The agent's process id inside."""
    return int(hub.machine.show(SERVICE)["MainPID"])


def test_the_agent_runs_as_its_own_user_measures_and_says_so(hub: Hub) -> None:
    shown = hub.machine.show(SERVICE)
    assert (shown["ActiveState"], shown["SubState"], shown["Result"]) == ("active", "running", "success")
    process = Path(f"/proc/{shown['MainPID']}/status")
    status = hub.machine.run("cat", str(process))
    assert re.search(rf"^Uid:\s+{hub.uid()}\s+{hub.uid()}\s", status, re.MULTILINE)
    hub.machine.until(
        lambda: re.fullmatch(r"not connected, \d+ items wait", hub.machine.show(SERVICE)["StatusText"]), "a status text"
    )
    measures(hub)
    report = json.loads(hub.agent("status", "--json"))
    assert report["waiting"]["readings"] > 500, "what waited before, and what was measured since"
    assert report["waiting"]["alarms"] == 1
    assert report["devices"][0]["link"] == "connected"
    assert hub.agent("check", "--state", STATE).startswith("Hub hub-0001: settings, identity and buffer are fine.")
    assert (hub.state / KEY).read_text().startswith("1 ")
    assert (hub.state / KEY).stat().st_mode & 0o777 == 0o600


REPAIR = "bedside-radio-repair.service"
ASK = """
from pathlib import Path
from bedside_agent.buffer.substitute import memory_for
from bedside_agent.radio.mending import RESTART_REQUEST, System
from bedside_agent.opening import REQUESTS
System(memory_for(Path("/var/lib/bedside")).parent / REQUESTS).ask(RESTART_REQUEST)
"""


def test_the_hubs_user_has_bluetooth_started_anew_and_nothing_else_done(hub: Hub) -> None:
    """The agent's own code asks, in the agent's own folder; what it asks for is a service of this test."""
    machine, pid = hub.machine, main_process(hub)
    started = machine.root / "srv/bluetooth-started"
    (machine.root / "etc/systemd/system/bluetooth.service").write_text(
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'echo again >>/srv/bluetooth-started'\n"
    )
    machine.run("systemctl", "daemon-reload")
    for times in (1, 2):
        machine.run("runuser", "-u", "bedside", "--", "/opt/bedside/current/bin/python", "-c", ASK)
        machine.until(
            lambda times=times: started.exists() and started.read_text() == "again\n" * times,  # type: ignore[misc]
            "Bluetooth is started anew",
        )
        machine.until(lambda: machine.show(REPAIR)["ActiveState"] == "inactive", "the answer is over")
        assert machine.show(REPAIR)["Result"] == "success"
        assert list((machine.root / "run/bedside/requests").iterdir()) == []
    assert main_process(hub) == pid

    # A link in the place of the folder: what lies behind it is root's, and stays.
    precious = machine.root / "srv/precious/restart-bluetooth"
    precious.parent.mkdir()
    precious.touch()
    evil = "rmdir /run/bedside/requests && ln -s /srv/precious /run/bedside/requests"
    machine.run("runuser", "-u", "bedside", "--", "sh", "-c", evil)
    machine.until(lambda: machine.show(REPAIR)["Result"] == "start-limit-hit", "it is asked too often")
    assert precious.exists()
    machine.run("rm", "-r", "/run/bedside/requests", "/srv/precious")
    machine.run("systemctl", "reset-failed", REPAIR, "bedside-radio-repair.path")
    machine.run("systemctl", "restart", "bedside-radio-repair.path")


def test_the_next_installation_seals_the_keys_to_the_machine(hub: Hub, wheels: dict[str, Path]) -> None:
    machine = hub.machine
    before = hub.export()
    open_keys = [line.split()[1] for line in (hub.state / KEY).read_text().splitlines()]
    machine.run("umount", "/var/lib/systemd")
    installed = hub.install(wheels["1.0"])
    assert installed.returncode == 0, installed.stdout + installed.stderr
    assert "Sealing the buffer's keys to this machine" in installed.stdout

    sealed = (hub.state / KEY).read_text()
    assert sealed.startswith("sealed ")
    assert not any(key in sealed for key in open_keys)
    assert hub.still_has(before)
    assert hub.stats()["newest_key"] == 2, "a key that never lay open seals from now on"
    measures(hub)

    # Nobody else's to read, and nowhere else to be found.
    credential = machine.root / CREDENTIAL.lstrip("/")
    assert (credential.stat().st_uid, credential.stat().st_mode & 0o777) == (0, 0o600)
    handed = f"/run/credentials/{SERVICE}/bedside.buffer-key"
    wrapping = machine.run("runuser", "-u", "bedside", "--", "cat", handed)
    assert re.fullmatch(r"[0-9a-f]{64}", wrapping)
    assert machine.try_("runuser", "-u", "nobody", "--", "cat", handed).returncode != 0
    environment = machine.run("cat", f"/proc/{main_process(hub)}/environ", f"/proc/{main_process(hub)}/cmdline")
    assert "CREDENTIALS_DIRECTORY" in environment
    for secret in (wrapping, *open_keys):
        assert secret not in environment
        assert secret not in machine.journal()
        assert secret.encode() not in credential.read_bytes()
    assert re.search(
        r"^Max core file size +0 +0 ", machine.run("cat", f"/proc/{main_process(hub)}/limits"), re.MULTILINE
    )


def test_a_key_is_rotated_by_a_technician_beside_the_sealed_service(hub: Hub) -> None:
    before = hub.export()
    pid = main_process(hub)
    assert json.loads(hub.agent("buffer", "rotate-key", "--json")) == {"key": 3}
    assert json.loads(hub.machine.run("bedside-agent", "buffer", "rotate-key", "--json")) == {"key": 4}, "as root"
    assert (hub.state / KEY).read_text().startswith("sealed ")
    hub.machine.run("systemctl", "restart", SERVICE)
    restarted(hub, pid)
    measures(hub)
    found = hub.stats()
    assert found["newest_key"] == 4
    assert {"1", "2", "4"} <= set(found["rows_by_key"])
    assert found["healthy"]
    assert hub.still_has(before)


def test_a_killed_agent_is_started_again_and_its_buffer_is_whole(hub: Hub) -> None:
    kept = hub.export()
    pid = main_process(hub)
    hub.machine.run("kill", "-KILL", str(pid))
    assert int(restarted(hub, pid)["NRestarts"]) == 1
    measures(hub)
    assert hub.still_has(kept)
    assert "Every page and every seal is whole." in hub.agent("buffer", "verify")


def test_the_watchdog_starts_an_agent_again_that_stands_still(hub: Hub) -> None:
    hub.drop_in(SERVICE, "[Service]\nWatchdogSec=2\n")
    hub.machine.run("systemctl", "restart", SERVICE)
    pid = main_process(hub)
    beats: set[str] = set()

    def is_fed() -> bool:
        beats.add(hub.machine.show(SERVICE)["WatchdogTimestampMonotonic"])
        return len(beats) > 4

    hub.machine.until(is_fed, "the watchdog is fed for longer than it waits")
    assert main_process(hub) == pid
    hub.machine.run("kill", "-STOP", str(pid))
    restarted(hub, pid)
    assert "Watchdog timeout" in hub.machine.journal()
    measures(hub)
    assert "Every page and every seal is whole." in hub.agent("buffer", "verify")


def test_a_hub_whose_disk_cannot_be_written_measures_in_memory(hub: Hub) -> None:
    machine = hub.machine

    def stored() -> int:
        return int(hub.stats()["lanes"]["readings"]["stored"])

    machine.run("systemctl", "stop", SERVICE)
    machine.run("cp", "-a", STATE, "/run/copy")
    machine.run("mount", "-t", "tmpfs", "-o", "mode=0700,uid=bedside,gid=bedside", "tmpfs", STATE)
    machine.run("cp", "-a", "/run/copy/.", STATE)
    machine.run("mount", "-o", "remount,ro", STATE)
    machine.run("systemctl", "start", SERVICE)
    before = stored()
    machine.until(lambda: stored() > before + 10, "what is measured in memory")
    report = json.loads(hub.agent("status", "--json"))
    assert report["faults"] == ["store_failing"]
    assert report["store_error"].startswith("kept in memory, and lost with the power")
    machine.run("systemctl", "stop", SERVICE)
    machine.run("umount", STATE)
    machine.run("systemctl", "start", SERVICE)
    assert hub.until_running()["store_error"] is None
    machine.until(lambda: stored() > before + 10, "what memory held")
    measures(hub)


def test_settings_that_cannot_be_read_end_in_a_pause_and_another_try(hub: Hub) -> None:
    machine = hub.machine
    settings = hub.state / "hub.toml"
    good = settings.read_text()
    kept = hub.export()
    shown = machine.show(SERVICE)
    assert (shown["StartLimitBurst"], shown["StartLimitIntervalUSec"], shown["RestartUSec"]) == ("20", "10min", "3s")
    hub.drop_in(SERVICE, "[Unit]\nStartLimitBurst=4\n[Service]\nRestartSec=20ms\n")
    hub.drop_in(RETRY, "[Service]\nExecStart=\nExecStart=/bin/sleep 3\n" + _commands_of_retry(hub)[1])
    settings.write_text(good + "nonsense = 1\n")
    assert machine.try_("systemctl", "restart", SERVICE).returncode != 0
    retrying = machine.until(
        lambda: machine.show(RETRY) if machine.show(RETRY)["ActiveState"] == "activating" else None, "the pause begins"
    )
    assert retrying["Result"] == "success"
    stopped = machine.show(SERVICE)
    assert (stopped["ActiveState"], stopped["Result"]) == ("failed", "exit-code")
    assert "Start request repeated too quickly" in machine.journal("-u", SERVICE)
    assert "nonsense is no setting" in machine.journal("-u", SERVICE)
    assert machine.try_("systemctl", "start", SERVICE).returncode != 0, "nobody gets around the pause by accident"
    settings.write_text(good)
    machine.until(hub.status, "the hub runs again after the pause")
    measures(hub)
    assert hub.still_has(kept)


def _commands_of_retry(hub: Hub) -> tuple[str, str]:
    """What the retry unit does first, and what it does after its pause; as it was installed."""
    text = (hub.machine.root / "etc/systemd/system" / RETRY).read_text()
    assert "ExecStart=/bin/sleep 600\n" in text
    before, _, after = text.partition("ExecStart=/bin/sleep 600\n")
    return before[before.index("ExecStart=") :], after


def test_without_or_with_another_credential_nothing_is_overwritten_and_a_sentence_says_why(hub: Hub) -> None:
    machine = hub.machine
    credential = machine.root / CREDENTIAL.lstrip("/")
    aside = credential.with_name("aside")
    machine.run("systemctl", "stop", SERVICE)
    kept = _files(hub)

    credential.rename(aside)
    assert machine.try_("systemctl", "start", SERVICE).returncode != 0
    said = machine.journal("-u", SERVICE)
    assert "buffer.key is sealed, and systemd does not hand over the credential bedside.buffer-key" in said
    assert "Try: put that file back from its copy" in said
    assert _files(hub) == kept

    # Made anew on this machine: it opens, and is another key.
    other = "od -An -v -N32 -tx1 /dev/urandom | tr -d ' \\n' | systemd-creds encrypt --with-key=host --name=$1 - $2"
    machine.run("sh", "-c", other, "sh", "bedside.buffer-key", CREDENTIAL)
    machine.try_("systemctl", "reset-failed", SERVICE)
    assert machine.try_("systemctl", "restart", SERVICE).returncode != 0
    assert "buffer.key does not open with the credential" in machine.journal("-u", SERVICE)
    assert _files(hub) == kept

    # Of another machine: systemd cannot open it, and the agent does not even run.
    first, after = _commands_of_retry(hub)
    hub.drop_in(SERVICE, "[Unit]\nStartLimitBurst=4\n[Service]\nRestartSec=20ms\n")
    hub.drop_in(RETRY, f"[Service]\nExecStart=\n{first}ExecStart=/bin/sleep 1\n{after}")
    secret = machine.root / "var/lib/systemd/credential.secret"
    secret.rename(secret.with_name("aside"))
    machine.run("systemd-creds", "setup")
    credential.unlink()
    shutil.copy2(aside, credential)
    machine.try_("systemctl", "reset-failed", SERVICE)
    assert machine.try_("systemctl", "restart", SERVICE).returncode != 0
    machine.until(
        lambda: machine.show(SERVICE)["ExecMainStatus"] == NOT_OPENED, "the service is refused its credential"
    )
    sentence = "The credential bedside.buffer-key does not open on this machine: put"
    machine.until(lambda: sentence in machine.journal("-u", RETRY), "the sentence")
    assert _files(hub) == kept

    secret.with_name("aside").replace(secret)
    machine.until(hub.status, "the hub runs again, by itself, once its secret is back")
    aside.unlink()
    measures(hub)
    assert hub.stats()["healthy"]


def test_a_command_reads_the_sealed_buffer_while_the_service_is_stopped(hub: Hub) -> None:
    machine = hub.machine
    running = hub.stats()
    machine.run("systemctl", "stop", SERVICE)
    refused = hub.try_agent("buffer", "stats")
    assert refused.returncode == FAILED
    (line,) = re.findall(r"for a command: sudo (systemd-run .*) bedside-agent \.\.\.", " ".join(refused.stderr.split()))
    # Without a terminal here, and with what it says to this process.
    command = line.replace("--pty", "--pipe --quiet").split()
    found = json.loads(machine.run(*command, "/usr/local/bin/bedside-agent", "buffer", "stats", "--json"))
    assert found["lanes"]["readings"]["stored"] >= running["lanes"]["readings"]["stored"]
    assert found["healthy"]
    machine.run("systemctl", "start", SERVICE)
    measures(hub)


def _files(hub: Hub) -> dict[str, bytes]:
    names = ("buffer.db", "buffer.db-wal", KEY)
    return {name: (hub.state / name).read_bytes() for name in names if (hub.state / name).exists()}


PROBE = """
import ctypes, json, mmap, os, resource, shutil, socket, subprocess, sys, time
from pathlib import Path
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

def write(path):
    Path(path).write_text("x")
    Path(path).unlink()

def of_state(mode):
    path = Path("/var/lib/bedside/probe")
    path.write_text("x")
    try:
        path.chmod(mode)
    finally:
        path.unlink()

def as_another():
    if b"uid=0" not in subprocess.run(["/srv/probe/id"], capture_output=True, check=True).stdout:
        raise OSError("still the same user")

attempts = {
    **{f"write {place}": lambda place=place: write(f"{place}/written")
       for place in ("/etc", "/usr", "/opt/bedside", "/var/lib", "/var/log", "/srv", "/boot", "/home", "/root")},
    "set-user-id": lambda: of_state(0o4755),
    "become root": as_another,
    "device": lambda: open("/srv/probe/device", "rb", buffering=0).close(),
    "raw packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "writable code": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC).close(),
    "personality": lambda: call("personality", 0x0040000),
    "host name": lambda: socket.sethostname(socket.gethostname()),
    "kernel's settings": lambda: open("/proc/sys/kernel/core_pattern", "r+").close(),
    "others' processes": lambda: os.stat("/proc/1/status"),
    "real-time": lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1)),
    "control groups": lambda: open("/sys/fs/cgroup/cgroup.procs", "r+").close(),
    "mount": lambda: call("mount", b"tmpfs", b"/var/lib/bedside", b"tmpfs", 0, None),
    "write its state": lambda: of_state(0o600),
    "write /tmp": lambda: write("/tmp/probe"),
    "port 80": lambda: socket.socket().bind(("127.0.0.1", 80)),
    "internet": lambda: socket.socket(socket.AF_INET).close(),
    "read the clock's state": lambda: call("adjtimex", ctypes.create_string_buffer(512)),
    "boot id": lambda: Path("/proc/sys/kernel/random/boot_id").read_text(),
    # Last: whoever is in a namespace of users of its own can do no more than is allowed there.
    "user namespace": lambda: call("unshare", 0x10000000),
}
found = {}
for name, attempt in attempts.items():
    try:
        attempt()
        found[name] = True
    except OSError:
        found[name] = False
print(json.dumps(found))
"""
NEEDED = {"write its state", "write /tmp", "port 80", "internet", "read the clock's state", "boot id"}


def test_what_runs_in_the_agents_place_reaches_little(hub: Hub) -> None:
    """The same attempts in the unit's sandbox, and without it as the hub's user and root: the unit differs."""
    machine = hub.machine
    folder = machine.root / "srv/probe"
    folder.mkdir()
    (machine.root / "boot").mkdir(exist_ok=True)
    (folder / "probe.py").write_text(PROBE)
    shutil.copy("/usr/bin/id", folder / "id")
    (folder / "id").chmod(0o4755)
    # The kernel's log: a device that the unit does not name.
    os.mknod(folder / "device", 0o20666, os.makedev(1, 11))
    (folder / "device").chmod(0o666)
    python, probe = "/opt/bedside/current/bin/python", "/srv/probe/probe.py"

    unit = (machine.root / "etc/systemd/system" / SERVICE).read_text()
    kept = [
        line
        for line in unit.splitlines()
        if not re.match("ExecStart|Type|NotifyAccess|Watchdog|Timeout|Restart|OnFailure|StartLimit|Condition", line)
    ]
    text = "\n".join(kept).replace("[Service]", f"[Service]\nType=oneshot\nExecStart={python} {probe}")
    (machine.root / "etc/systemd/system/bedside-probe.service").write_text(text)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "bedside-probe.service")
    (said,) = re.findall(r"^\{.*\}$", machine.journal("-u", "bedside-probe.service"), re.MULTILINE)
    inside = json.loads(said)
    assert {name for name, could in inside.items() if could} == NEEDED

    as_root = json.loads(machine.run("unshare", "--mount", python, probe))
    as_user = json.loads(machine.run("runuser", "-u", "bedside", "--", python, probe))
    could_anyway = {name for name in inside if as_root[name] or as_user[name]}
    assert could_anyway == set(inside), "an attempt that nobody could make proves nothing"


def test_an_upgrade_and_a_downgrade_leave_every_reading_where_it_was(hub: Hub, wheels: dict[str, Path]) -> None:
    for version in ("1.1", "1.0"):
        kept = hub.export()
        waiting = hub.until_running()["waiting"]
        names = {path.name for path in hub.state.iterdir()}
        installed = hub.install(wheels[version])
        assert installed.returncode == 0, installed.stdout + installed.stderr
        report = hub.until_running()
        assert report["agent_version"] == version
        assert hub.still_has(kept)
        assert all(report["waiting"][lane] >= count for lane, count in waiting.items())
        assert names <= {path.name for path in hub.state.iterdir()}
        assert hub.stats()["healthy"]
        measures(hub)


@pytest.mark.parametrize("bad", ["1.2", "1.3", "units"])
def test_an_upgrade_that_does_not_start_is_taken_back(hub: Hub, wheels: dict[str, Path], bad: str) -> None:
    current = hub.machine.root / "opt/bedside/current"
    before = current.readlink()
    kept = hub.export()
    if bad == "units":
        units = hub.other_units("bad-units", "Group=bedside\n", "Group=nobody-knows-it\n")
        taken_back = hub.install(wheels["1.1"], units)
    else:
        taken_back = hub.install(wheels[bad])
    assert taken_back.returncode == 1
    assert "was taken back" in taken_back.stderr
    assert current.readlink() == before
    assert (hub.machine.root / "etc/systemd/system" / SERVICE).read_text() == (ROOT / "systemd" / SERVICE).read_text()
    assert hub.until_running()["agent_version"] == "1.0"
    measures(hub)
    assert hub.still_has(kept)


def test_a_hub_that_had_given_up_is_repaired_by_an_upgrade(hub: Hub, wheels: dict[str, Path]) -> None:
    machine = hub.machine
    current = machine.root / "opt/bedside/current"
    good = current.readlink()
    hub.drop_in(SERVICE, "[Unit]\nStartLimitBurst=4\n[Service]\nRestartSec=20ms\n")
    (bad,) = (machine.root / "opt/bedside/versions").glob("1.2-*")
    machine.run("ln", "-sfn", f"/{bad.relative_to(machine.root)}", "/opt/bedside/current")
    machine.try_("systemctl", "restart", SERVICE)
    machine.until(lambda: machine.show(SERVICE)["ActiveState"] == "failed", "the service has given up")
    installed = hub.install(wheels["1.0"])
    assert installed.returncode == 0, installed.stdout + installed.stderr
    assert current.readlink() == good
    measures(hub)


def test_where_the_version_before_cannot_read_the_buffer_the_script_says_so(hub: Hub, wheels: dict[str, Path]) -> None:
    kept = hub.export()
    failed = hub.install(wheels["1.4"])
    assert failed.returncode == 1
    assert "version 1.4 does not start, and the one before cannot read its buffer" in failed.stderr
    assert "the service goes on trying" in failed.stderr
    assert (hub.machine.root / "opt/bedside/current").readlink().name.startswith("1.4-")
    hub.machine.run("systemctl", "stop", SERVICE)
    refused = hub.install(wheels["1.0"])
    assert "the buffer has schema 999" in refused.stderr
    assert "the present one goes on" in refused.stderr
    # The repaired version, whose schema it is.
    repaired = f"import sqlite3; sqlite3.connect('{STATE}/buffer.db').execute('PRAGMA user_version = 2')"
    hub.machine.run("runuser", "-u", "bedside", "--", "python3", "-c", repaired)
    assert hub.install(wheels["1.0"]).returncode == 0
    measures(hub)
    assert hub.still_has(kept)
