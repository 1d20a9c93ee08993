"""Processes that wake up at another time than it is, as a Raspberry Pi does: a library that the loader puts in front.

It is compiled here, because no wall clock can be set for one process alone.
"""

import shutil
import subprocess
import uuid
from pathlib import Path

from tests.support.absent import absent

SOURCE = Path(__file__).with_suffix(".c")


def wrong_clock(directory: Path) -> Path:
    """The compiled library. Without a C compiler the test is skipped, and fails in CI."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        absent("a wrong clock, for want of a C compiler", "apt-get install gcc libc6-dev")
    library = directory / "wrong_clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    return library


def waking_up_at(library: Path, utc_seconds: int) -> list[str]:
    """What to put before a command: a boot of its own that begins at that time."""
    boot_id = library.with_name(f"boot-{utc_seconds}")
    boot_id.write_text(f"{uuid.uuid4()}\n", encoding="ascii")
    return [
        "env",
        f"LD_PRELOAD={library}",
        f"WRONG_CLOCK_STARTS_AT={utc_seconds}",
        f"WRONG_CLOCK_BOOT_ID_FILE={boot_id}",
    ]
