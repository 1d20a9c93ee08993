"""What holds for every test."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.log_guard"]

# pytest-asyncio restores "the present loop" after each test; asked for it, asyncio would make one that nobody closes.
asyncio.set_event_loop(None)

# These machines are shared: a slow example is no failure, and a failing one must be found again by whoever looks.
settings.register_profile("bedside", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bedside")

JOURNEYS = Path(__file__).parent / "journeys"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker takes all journeys, and begins with them: two whole installations at once would be short of processor.

    Everything else goes file by file, so that what a module starts is started once.
    """
    for item in items:
        is_journey = item.path.is_relative_to(JOURNEYS)
        item.add_marker(pytest.mark.xdist_group("journeys" if is_journey else str(item.path)))
    items.sort(key=lambda item: not item.path.is_relative_to(JOURNEYS))
