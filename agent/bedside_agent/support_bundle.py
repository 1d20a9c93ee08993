"""A support archive: what a technician elsewhere needs to see, and nothing of the patient.

Only what is named here goes in. Of the running agent's report the alarms and alerts are left out, of the settings
whatever opens a device or names one, of the buffer all but counts; logs hold no patient data by their own rule.
"""

import io
import json
import platform
import re
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

REPORTED = (
    "running",
    "hub_id",
    "agent_version",
    "broker",
    "connected_since_ms",
    "connection_failures",
    "last_error",
    "certificate_ends_ms",
    "renewal_error",
    "clock",
    "waiting",
    "under_way",
    "last_receipt_ms",
    "cloud_generation",
    "store_id",
    "store_error",
    "faults",
    "signals_broken",
    "devices",
)
"""Of the report: nothing that tells how the patient is, or what is watched."""

SECRET_SETTING = re.compile(r"^(\s*(?:passkey|consent_code|user_index|bind_key|advertised_name)\s*=).*$", re.MULTILINE)

COMMAND_SECONDS = 20
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "journal.txt": ("journalctl", "--no-pager", "--output=short-iso", "--since=-2d", "--unit=bedside-agent"),
    "bluetooth-journal.txt": ("journalctl", "--no-pager", "--output=short-iso", "--since=-2d", "--unit=bluetooth"),
    "unit.txt": ("systemctl", "--no-pager", "show", "bedside-agent"),
    "time.txt": ("timedatectl", "show"),
    "disks.txt": ("df", "-h"),
    "memory.txt": ("free", "-m"),
}
"""What other programs say; one that is not there is left out."""

FILES: Mapping[str, Path] = {
    "os-release.txt": Path("/etc/os-release"),
    "cpu.txt": Path("/proc/cpuinfo"),
    "wireless.txt": Path("/proc/net/wireless"),
    "uptime.txt": Path("/proc/uptime"),
}

Member = tuple[str, bytes]


def members(
    settings_text: str | None,
    report: Mapping[str, Any] | None,
    findings: list[dict[str, Any]],
    counts: Mapping[str, Any] | None,
    said: Callable[[tuple[str, ...]], bytes | None],
) -> list[Member]:
    """The archive's files. `said` gives what another program prints, None where it is not there."""
    machine = {"python": platform.python_version(), "kernel": platform.release(), "machine": platform.machine()}
    found: list[Member] = [("doctor.json", _json(findings)), ("machine.json", _json(machine))]
    if report is not None:
        found.append(("status.json", _json({name: report[name] for name in REPORTED if name in report})))
    if settings_text is not None:
        found.append(("hub.toml", SECRET_SETTING.sub(r'\1 "(left out)"', settings_text).encode()))
    if counts is not None:
        found.append(("buffer.json", _json(counts)))
    found += [(name, text) for name, command in COMMANDS.items() if (text := said(command)) is not None]
    for name, path in FILES.items():
        try:
            found.append((name, path.read_bytes()))
        except OSError:
            continue
    return found


def archive(files: list[Member], at: int) -> bytes:
    """A gzipped tar of these files, readable by its owner alone; `at` is their time in UTC seconds."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files:
            entry = tarfile.TarInfo(f"bedside-bundle/{name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, at
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def fitting(content: bytes, most_bytes: int) -> bytes:
    """The same archive, its longest files without their oldest lines until it has at most `most_bytes`."""
    if len(content) <= most_bytes:
        return content
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        entries = tar.getmembers()
        at = int(entries[0].mtime) if entries else 0
        files = [(Path(one.name).name, file.read()) for one in entries if (file := tar.extractfile(one)) is not None]
    while len(content) > most_bytes and any(text for _, text in files):
        longest = max(range(len(files)), key=lambda place: len(files[place][1]))
        files[longest] = (files[longest][0], newer_half(files[longest][1]))
        content = archive(files, at)
    return content


def newer_half(text: bytes) -> bytes:
    """The second half of the text, from the beginning of a line on where it has more than one."""
    half = text[len(text) // 2 + 1 :]
    _, line_end, rest = half.partition(b"\n")
    return rest if line_end and rest else half


def said_by(command: tuple[str, ...]) -> bytes | None:
    """What a program prints within a limit; None when there is none, or it fails."""
    try:
        result = subprocess.run(command, capture_output=True, timeout=COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 else None


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()
