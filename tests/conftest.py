"""What holds for every test."""

import asyncio

pytest_plugins = ["tests.support.log_guard"]

# pytest-asyncio restores "the present loop" after each test; asked for it, asyncio would make one that nobody closes.
asyncio.set_event_loop(None)
