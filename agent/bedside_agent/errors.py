"""Errors of the agent that decide what happens next.

BedsideError
└── AgentError            `what` happened, `cause` it probably has, `fix`: the command or step that repairs it
    ├── SettingsError     the settings are wrong; `problems` lists all of them
    ├── StoreError        the buffer cannot be used
    │   ├── NewerStoreError       written by a newer agent: refused, never touched
    │   ├── StoreBusyError        another agent has it open
    │   ├── DamagedStoreError     the file is broken: it is put aside, and what can be read of it is saved
    │   ├── DiskRefusesError      the disk does not let the buffer be opened: one in memory takes its place
    │   └── StoreWriteError       a commit failed (I/O error): the rows stay in memory and are tried again
    │       └── StoreFullError    the disk has no room for it: room is made, then it is tried again
    ├── IdentityError     key or certificate are missing or do not fit
    ├── EnrolmentError    the cloud did not give a certificate; `retry` says whether trying again can help
    └── UntrustedError    a document or a certificate that the hub must not act on
"""

from bedside_profiles.errors import BedsideError


class AgentError(BedsideError):
    """`what` is one sentence; `cause` and `fix` are for the person at the terminal and may be empty."""

    def __init__(self, what: str, *, cause: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.cause = cause
        self.fix = fix

    def in_words(self) -> str:
        """What happened, why it probably did, and what fixes it, a line each."""
        lines = (("Error", self.what), ("Probably", self.cause), ("Try", self.fix))
        return "\n".join(f"{name}: {text}" for name, text in lines if text)


class SettingsError(AgentError):
    """Every problem of the settings at once, each one sentence that names the setting."""

    def __init__(self, problems: tuple[str, ...], *, where: str, fix: str = "") -> None:
        listed = "; ".join(problems)
        super().__init__(f"{where}: {listed}", fix=fix or f"edit {where}")
        self.problems = problems


class StoreError(AgentError):
    """The buffer cannot be used."""


class NewerStoreError(StoreError):
    """The buffer was written by a newer agent."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"the buffer has schema {found}, this agent knows schemas up to {known}",
            cause="a newer bedside-agent ran here before",
            fix="install the newer bedside-agent again",
        )
        self.found = found
        self.known = known


class StoreBusyError(StoreError):
    """Another process has the buffer open for writing."""


class DamagedStoreError(StoreError):
    """The file is broken. Never leaves the store: a new file takes its place."""


class DiskRefusesError(StoreError):
    """The disk does not let the buffer be opened for writing: it is read-only, full to the last page, or failing."""


class StoreWriteError(StoreError):
    """A commit failed; nothing of it is in the store."""


class StoreFullError(StoreWriteError):
    """A commit failed for want of room on the disk; nothing of it is in the store."""


class IdentityError(AgentError):
    """Key or certificate of the hub are missing, unreadable or do not fit together."""


class EnrolmentError(AgentError):
    """The cloud did not give a certificate. `retry` is True when the same claim may still work."""

    def __init__(self, what: str, *, cause: str = "", fix: str = "", retry: bool) -> None:
        super().__init__(what, cause=cause, fix=fix)
        self.retry = retry


class UntrustedError(AgentError):
    """A certificate or a signed document that does not lead to the root which the hub trusts."""
