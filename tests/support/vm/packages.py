"""What the small machine is made of, from Debian's packages: unpacked into a cache, not installed on this machine."""

import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.absent import absent

KERNEL = "linux-image-amd64"
FURTHER = ("bluez", "libdw1", "busybox-static")
"""bluetoothd, its one library that no other package of the suite brings, and what mounts and starts things."""

WHAT = "the hub with the real bluetoothd in a virtual machine"


@dataclass(frozen=True, slots=True)
class Parts:
    """`root` holds the unpacked packages; in it are `busybox`, the packed `kernel` and the folder of its `modules`."""

    root: Path
    busybox: Path
    kernel: Path
    modules: Path


def parts() -> Parts:
    """Fetched once for each release of Debian; fails in CI, skips loudly elsewhere, when that cannot be done."""
    if platform.machine() != "x86_64":
        absent(f"{WHAT}, whose kernel is one for x86-64", "run the suite on such a machine")
    for program, package in (
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("dbus-daemon", "dbus"),
        ("setpriv", "util-linux"),
        ("dpkg-deb", "dpkg"),
    ):
        if shutil.which(program) is None:
            absent(f"{WHAT}, for want of {program}", f"apt-get install {package}")
    root = _cache() / platform.freedesktop_os_release().get("VERSION_CODENAME", "unknown")
    if not root.exists():
        _fetch(root)
    (kernel,) = (root / "boot").glob("vmlinuz-*")
    # Below /usr in newer releases.
    (modules,) = [*root.glob("lib/modules/*"), *root.glob("usr/lib/modules/*")]
    (busybox,) = [*root.glob("bin/busybox"), *root.glob("usr/bin/busybox")]
    return Parts(root, busybox, kernel, modules)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bedside" / "small-machine"


def _fetch(root: Path) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as folder:
        unpacked = Path(folder) / "root"
        try:
            _run("apt-get", "download", _real_kernel(), *FURTHER, folder=Path(folder))
            for package in Path(folder).glob("*.deb"):
                _run("dpkg-deb", "--extract", str(package), str(unpacked), folder=Path(folder))
        except (OSError, subprocess.SubprocessError) as error:
            said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
            absent(f"{WHAT}, for want of its packages ({said})", f"apt-get update; apt-get download {KERNEL}")
        unpacked.rename(root)


def _real_kernel() -> str:
    """The package of the newest kernel, which `KERNEL` only names."""
    for attempt in range(2):
        for line in _run("apt-cache", "depends", KERNEL, check=False).splitlines():
            if line.strip().startswith("Depends: linux-image-"):
                return line.split()[-1]
        if attempt == 0 and os.geteuid() == 0:
            # The lists of packages are not there on a machine that was just made.
            _run("apt-get", "update")
    return KERNEL


def _run(*command: str, folder: Path | None = None, check: bool = True) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=check, timeout=300)
    return done.stdout
