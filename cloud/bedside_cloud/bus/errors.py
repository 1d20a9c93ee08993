"""Errors of a request over the bus.

BusError
├── UnansweredError   nobody answered in time: it may or may not have happened; ask again
└── RefusedError      the service answered that it will not; `code` is an HTTP status code

OperatorError
├── EndedError        the broker will not have this user: the process ends with these sentences
└── NotPermittedError the declared map does not allow a subscription: likewise
"""

from bedside_cloud.errors import OperatorError


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


class EndedError(OperatorError):
    """The broker refused the login, or ended the connection for good."""

    def __init__(self, service: str, cause: str) -> None:
        super().__init__(
            f"The broker ended the connection of {service}: {cause}.",
            "Its key is not one that the broker was started with, or it broke a rule of the broker's.",
            "Start everything together again: bedside-cloud up.",
        )


class NotPermittedError(OperatorError):
    """The broker refused a subscription: a service that went on would never be asked anything."""

    def __init__(self, service: str, subject: str) -> None:
        super().__init__(
            f"The broker does not let {service} listen to {subject}.",
            "The declared map (contracts/service_map.py) does not say so, or the broker still runs an older one.",
            "Start everything together again: bedside-cloud up.",
        )
        self.subject = subject
