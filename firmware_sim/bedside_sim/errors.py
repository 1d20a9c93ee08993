"""Errors of the simulator's commands."""


class DemoError(Exception):
    """Why the demonstration cannot go on: what happened, and what is known about it."""

    def __init__(self, happened: str, known: str = "") -> None:
        super().__init__(f"{happened} {known}".strip())
        self.happened = happened
        self.known = known
