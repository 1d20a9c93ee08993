"""A real file system of a few megabytes, mounted for one test: full means full, with the kernel's own error."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[Path]:
    """A mounted ext4 image where the kernel lets us, else a tmpfs. Skips for those who may not mount at all."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: a full disk. Only root may mount a small file system; run this test as root.")
    image, place = directory / "disk.img", directory / "disk"
    place.mkdir()
    image.write_bytes(b"")
    os.truncate(image, megabytes * 2**20)
    made = subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], capture_output=True, check=False)
    mounted = made.returncode == 0 and _mount("-o", "loop", str(image), str(place))
    if not mounted and not _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)):
        if os.environ.get("CI"):
            pytest.fail("a full disk cannot be tested: neither a loop device nor a tmpfs may be mounted")
        pytest.skip("NOT TESTED: a full disk. Neither a loop device nor a tmpfs may be mounted here.")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
        image.unlink()


def fill_up(directory: Path, *, leave_bytes: int = 0) -> Path:
    """Another program that writes until there is no room left."""
    path = directory / "somebody-elses.data"
    found = os.statvfs(directory)
    left = found.f_bavail * found.f_frsize - leave_bytes
    with path.open("wb", buffering=0) as file:
        while left > 0:
            try:
                left -= file.write(b"x" * min(left, 65536))
            except OSError:
                break
        os.fsync(file.fileno())
    return path


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0
