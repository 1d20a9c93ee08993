"""Speech through whichever speech program is installed."""

from collections.abc import Sequence

from bedside_agent.signals import programs
from bedside_agent.signals.giver import Giver
from bedside_agent.signals.signal import Pattern

REST_SECONDS = 20.0


def speakers(language: str) -> tuple[tuple[str, ...], ...]:
    """Commands that speak the text which is appended, the better first. `-w` waits until it is said."""
    return (("espeak-ng", "-v", language, "-s", "140", "--"), ("spd-say", "-w", "-l", language, "--"))


class Speech:
    """See `signal.Signal`. `commands` are tried in order; the first that is installed speaks."""

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        self._commands = tuple([tuple(command) for command in commands])
        self._giver = Giver(self._speak)

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
        """See `signal.Signal`."""
        if any(programs.found(command) for command in self._commands):
            return None
        return f"none of {', '.join(command[0] for command in self._commands)} is installed"

    async def _speak(self, pattern: Pattern) -> float:
        command = next((one for one in self._commands if programs.found(one)), self._commands[0])
        for sentence in pattern.sentences:
            await programs.run((*command, sentence))
        return REST_SECONDS
