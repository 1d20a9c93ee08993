"""What holds for every test."""

import asyncio

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.log_guard"]

# pytest-asyncio restores "the present loop" after each test; asked for it, asyncio would make one that nobody closes.
asyncio.set_event_loop(None)

# These machines are shared: a slow example is no failure, and a failing one must be found again by whoever looks.
settings.register_profile("bedside", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bedside")
