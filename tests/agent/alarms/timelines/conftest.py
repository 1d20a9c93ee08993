"""Hundreds of stores, thousands of commits: in memory where there is a file system in memory, SQLite all the same."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")  # noqa: S108 - it is there or it is not; the folder in it has a random name


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder of the test's own."""
    folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
    yield folder
    shutil.rmtree(folder)
