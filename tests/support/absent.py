"""What to do when something that a test needs is not on this machine."""

import os
from typing import NoReturn

import pytest


def absent(what: str, fix: str) -> NoReturn:
    """Fail in CI, skip loudly elsewhere. `what` was not tested; `fix` is the command that brings it."""
    sentence = f"NOT TESTED: {what}: {fix}"
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)
