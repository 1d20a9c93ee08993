"""Sound through a program that plays a WAV file from its standard input, as ALSA's `aplay` does."""

from collections.abc import Sequence

from bedside_agent.signals import programs, wave
from bedside_agent.signals.giver import Giver
from bedside_agent.signals.signal import Pattern, SignalError

APLAY = ("aplay", "-q", "-t", "wav", "-")
TEST_SECONDS = 0.05


class Sound:
    """See `signal.Signal`."""

    def __init__(self, command: Sequence[str] = APLAY) -> None:
        self._command = tuple(command)
        self._giver = Giver(self._play)

    @property
    def trouble(self) -> str | None:
        """See `signal.Signal`."""
        return self._giver.trouble

    async def start(self, pattern: Pattern) -> None:
        """See `signal.Signal`."""
        await self._giver.start(pattern)

    async def stop(self) -> None:
        """See `signal.Signal`."""
        await self._giver.stop()

    async def works(self) -> str | None:
        """See `signal.Signal`. It plays a moment of silence: the whole way but for the loudspeaker and the ear."""
        try:
            await programs.run(self._command, wave.silence(TEST_SECONDS))
        except SignalError as error:
            return error.reason
        return None

    async def _play(self, pattern: Pattern) -> float:
        burst = wave.GOT_IT if pattern.is_got_it else wave.BURSTS[pattern.priority]
        await programs.run(self._command, wave.wav(burst))
        return burst.rest_seconds
