"""Keeps the agent's memory what it was at its start, on a computer that has little."""

import asyncio
import ctypes
import gc

TRIM_SECONDS = 60.0


def settle() -> None:
    """What stands after the start stands to the end: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


async def keep_small() -> None:
    """Give back to the system what the allocator of the C library holds free, again and again.

    By itself it keeps the pages of each short peak (a batch, a handshake) for ever: over weeks the peaks add up. Where
    the library has no such function, nothing is done.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        await asyncio.sleep(TRIM_SECONDS)
        trim(0)
