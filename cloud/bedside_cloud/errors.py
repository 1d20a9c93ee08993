"""What a person at the command line is told when something cannot go on."""


class OperatorError(Exception):
    """What happened, why it probably did, and what to do about it: one sentence each."""

    def __init__(self, happened: str, why: str, remedy: str) -> None:
        super().__init__(f"{happened} {why} {remedy}".strip())
        self.happened = happened
        self.why = why
        self.remedy = remedy
