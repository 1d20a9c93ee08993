"""The kernel as QEMU starts it, and the archive that it unpacks in memory. Pure, but for reading files."""

import lzma
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_XZ = b"\xfd7zXZ\0"
_ELF = b"\x7fELF"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the archive; `device` is the major and minor number of a device file."""

    name: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def started_kernel(packed: bytes) -> bytes:
    """The kernel without its packing, which an emulated processor takes long to undo; as it is if it is not xz's."""
    at = packed.find(_XZ)
    if at < 0:
        return packed
    try:
        unpacked = lzma.LZMADecompressor().decompress(packed[at:])
    except lzma.LZMAError:
        return packed
    return unpacked if unpacked.startswith(_ELF) else packed


def in_order(modules: Path, wanted: Sequence[str]) -> list[Path]:
    """The wanted modules, each after those that it needs. What the kernel has built in is left out."""
    files = {_plain(path.name.partition(".")[0]): path for path in modules.glob("kernel/**/*.ko*")}
    ordered: dict[str, Path] = {}

    def add(name: str) -> None:
        if name in ordered or name not in files:
            return
        for needed in _needs(module(files[name])):
            add(needed)
        ordered[name] = files[name]

    for name in wanted:
        add(name)
    return list(ordered.values())


def module(path: Path) -> bytes:
    """What the kernel takes; newer releases pack their modules."""
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def archive(entries: Sequence[Entry]) -> bytes:
    """See the kernel's Documentation/driver-api/early-userspace/buffer-format.rst: cpio's "newc" format."""
    return b"".join(_written(entries))


def of_machine(init: bytes, busybox: bytes, modules: Sequence[Path]) -> bytes:
    """The archive of the small machine."""
    folders = ("dev", "proc", "root", "bin", "modules")
    return archive(
        [
            *(Entry(name, stat.S_IFDIR | 0o755) for name in folders),
            Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)),
            Entry("bin/busybox", stat.S_IFREG | 0o755, busybox),
            Entry("init", stat.S_IFREG | 0o755, init),
            *(
                Entry(f"modules/{place:02}-{path.name.removesuffix('.xz')}", stat.S_IFREG | 0o644, module(path))
                for place, path in enumerate(modules)
            ),
        ]
    )


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _needs(content: bytes) -> list[str]:
    found = re.search(rb"\0depends=([^\0]*)\0", content)
    return [_plain(name) for name in found[1].decode().split(",") if name] if found else []


def _written(entries: Sequence[Entry]) -> Iterator[bytes]:
    for number, entry in enumerate((*entries, Entry("TRAILER!!!", 0)), 1):
        name = entry.name.encode() + b"\0"
        size = len(entry.content)
        fields = (number, entry.mode, 0, 0, 1, 0, size, 0, 0, *entry.device, len(name), 0)
        head = b"070701" + b"".join(b"%08X" % one for one in fields) + name
        yield head + bytes(-len(head) % 4)
        yield entry.content + bytes(-size % 4)
