"""What a process really asks of the disk: strace prints each system call that changes a file, with all its bytes.

It stands between process and kernel, so that nothing that reaches the kernel is missed and nothing in the program is
replaced. A file that is only mapped (SQLite's `-shm`, which it makes anew after a power cut) is left out.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Kind(Enum):
    """What is done to a file, or to its name."""

    CREATE = "create"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    SYNC_DIRECTORY = "sync directory"
    RENAME = "rename"
    UNLINK = "unlink"
    SAID = "said"


@dataclass(frozen=True, slots=True)
class Change:
    """`path` is relative to the recorded directory; `other` the new name; `at` an offset, or the new size."""

    kind: Kind
    path: str
    data: bytes = b""
    at: int = 0
    other: str = ""


CALLS = "openat,write,pwrite64,ftruncate,fallocate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat"
SAYS = "said.jsonl"
"""What the process writes into this file beside the recorded directory is no change: it is what it said, and when."""

_CALL = re.compile(r"^(\d+\.\d+) (\w+)\((.*)\) += (-?\d+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_HANDLE = re.compile(r"^(\d+)<((?:\\x[0-9a-f]{2})*)>")


def can_record() -> bool:
    """Whether strace is here and may trace."""
    found = shutil.which("strace")
    return bool(found) and subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode == 0


def record(command: list[str], directory: Path, log: Path) -> list[Change]:
    """Run the command, which changes files in `directory`; every change it made, in its order."""
    strace = ["strace", "-ff", "-ttt", "-y", "-xx", "-s", "4194304", "--seccomp-bpf", "-e", f"trace={CALLS}"]
    subprocess.run([*strace, "-o", str(log / "calls"), *command], check=True)
    lines = [line for part in log.glob("calls.*") for line in part.read_text(encoding="ascii").splitlines()]
    timed = sorted((match[1], match) for match in map(_CALL.match, lines) if match and int(match[4]) >= 0)
    reader = _Reader(directory)
    return [change for _, match in timed for change in reader.read(match[2], match[3], int(match[4]))]


class _Reader:
    def __init__(self, directory: Path) -> None:
        self._root = str(directory)
        self._places: dict[int, int] = {}
        self._known: set[str] = set()

    def read(self, call: str, arguments: str, result: int) -> list[Change]:
        if call == "openat":
            return self._opened(arguments, result)
        if call.startswith(("rename", "unlink")):
            names = [self._inside(_decoded(text)) for text in _TEXT.findall(arguments)]
            if not names or names[0] is None:
                return []
            self._known.discard(names[0])
            if call.startswith("unlink"):
                return [Change(Kind.UNLINK, names[0])]
            assert names[1] is not None
            self._known.add(names[1])
            return [Change(Kind.RENAME, names[0], other=names[1])]
        handle = _HANDLE.match(arguments)
        assert handle is not None, arguments[:100]
        return self._on_handle(call, int(handle[1]), _decoded(handle[2]), arguments, result)

    def _opened(self, arguments: str, handle: int) -> list[Change]:
        self._places[handle] = 0
        path = self._inside(_decoded(_TEXT.findall(arguments)[0]))
        if path is None or path.endswith("-shm"):
            return []
        changes = []
        if "O_CREAT" in arguments and path not in self._known:
            self._known.add(path)
            changes.append(Change(Kind.CREATE, path))
        if "O_TRUNC" in arguments:
            changes.append(Change(Kind.TRUNCATE, path))
        return changes

    def _on_handle(self, call: str, handle: int, target: str, arguments: str, result: int) -> list[Change]:
        path = self._inside(target)
        numbers = [int(one) for one in re.findall(r", (\d+)(?=,|$)", arguments)]
        if call == "write":
            at = self._places.get(handle, 0)
            self._places[handle] = at + result
            data = _bytes(arguments)[:result]
            if target.endswith("/" + SAYS):
                return [Change(Kind.SAID, SAYS, data)]
            return [Change(Kind.WRITE, path, data, at)] if path else []
        if path == ".":
            return [Change(Kind.SYNC_DIRECTORY, path)]
        if path is None or path.endswith("-shm"):
            return []
        if call == "pwrite64":
            return [Change(Kind.WRITE, path, _bytes(arguments)[:result], numbers[-1])]
        if call == "fallocate":
            return [Change(Kind.TRUNCATE, path, at=numbers[-2] + numbers[-1])]
        return [Change(Kind.TRUNCATE, path, at=numbers[-1])] if call == "ftruncate" else [Change(Kind.SYNC, path)]

    def _inside(self, path: str) -> str | None:
        if path == self._root:
            return "."
        return path[len(self._root) + 1 :] if path.startswith(self._root + "/") else None


def _decoded(text: str) -> str:
    return bytes.fromhex(text.replace("\\x", "")).decode()


def _bytes(arguments: str) -> bytes:
    found = _TEXT.search(arguments)
    assert found is not None
    return bytes.fromhex(found[1].replace("\\x", ""))
