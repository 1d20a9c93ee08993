"""Errors of a request over the bus.

BusError
├── UnansweredError   nobody answered in time: it may or may not have happened; ask again
└── RefusedError      the service answered that it will not; `code` is an HTTP status code
"""


class BusError(Exception):
    """Base of the bus's errors."""


class UnansweredError(BusError):
    """No answer within the time-out, or no service is there to answer."""

    def __init__(self, subject: str) -> None:
        super().__init__(f"nobody answered {subject}")
        self.subject = subject


class RefusedError(BusError):
    """The service refused. Raise it in an endpoint's handler; it arrives at the asker."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason
