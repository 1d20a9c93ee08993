"""What holds for every test."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.log_guard"]

# pytest-asyncio restores "the present loop" after each test; asked for it, asyncio would make one that nobody closes.
asyncio.set_event_loop(None)

FIRST = ("journeys", "project", "cloud", "agent")
"""Folders whose files take longest: begun first, so that no worker is left waiting for one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow before the quick; within a file as they stand."""
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(here).parts[0]
        return FIRST.index(folder) if folder in FIRST else len(FIRST)

    items.sort(key=place)


# These machines are shared: a slow example is no failure, and a failing one must be found again by whoever looks.
settings.register_profile("bedside", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bedside")
