"""When a hub without a network opens its own, and what comes of a network that somebody chose. Pure.

A hub that nobody gave a network opens one of its own (a hotspot), on which a telephone finds a page that asks for the
home's. A hub that has saved a Wi-Fi network never does: in an outage of the router the hotspot would keep its only
Wi-Fi adapter from the network that comes back.
"""

from dataclasses import dataclass, field
from enum import StrEnum

ANSWER_MS = 3000
"""How long the hotspot stays after a choice: the telephone is to have its answer first."""

AGAIN_MS = 60_000
"""After so long a hotspot that could not be opened is tried again."""


class Trouble(StrEnum):
    """Why the chosen network does not work."""

    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a reason, and no password
    OUT_OF_RANGE = "out_of_range"
    NO_ADDRESS = "no_address"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Network:
    """A network that was heard. `strength` is a percentage; without `is_protected` it wants no password."""

    ssid: str
    strength: int
    is_protected: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody chose. The password is shown by no representation, so that no log can have it."""

    ssid: str
    password: str = field(repr=False)
    is_hidden: bool = False
    """It was typed, and perhaps does not tell its name."""


@dataclass(frozen=True, slots=True)
class Facts:
    """How the computer's networks are."""

    is_online: bool
    """A network works that is not the hub's own."""

    is_configured: bool
    """A Wi-Fi network is saved."""

    has_wifi: bool
    has_hotspot: bool = False
    """The hub's own network is up."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is said of the last attempt."""

    ssid: str
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class Watching:
    """No network since `since_ms`, as far as is known."""

    opens_at_ms: int


@dataclass(frozen=True, slots=True)
class Opening:
    """The hotspot is being opened."""

    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """The hotspot is up; `networks` were heard before it was opened."""

    networks: tuple[Network, ...]
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Answering:
    """Somebody chose; the hotspot goes at `until_ms`."""

    choice: Choice
    until_ms: int


@dataclass(frozen=True, slots=True)
class Trying:
    """The hotspot is gone, and the network is tried."""

    ssid: str


@dataclass(frozen=True, slots=True)
class Settled:
    """There is a network, or nothing to ask for: nothing is done until the agent starts again."""


State = Watching | Opening | Open | Answering | Trying | Settled


@dataclass(frozen=True, slots=True)
class Looked:
    """The networks were looked at."""

    facts: Facts


@dataclass(frozen=True, slots=True)
class Opened:
    """The hotspot is up."""

    networks: tuple[Network, ...]


@dataclass(frozen=True, slots=True)
class NotOpened:
    """The hotspot could not be opened, or nobody knows how it is: all begins anew after a while."""


@dataclass(frozen=True, slots=True)
class Chose:
    """Somebody chose a network on the page."""

    choice: Choice


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Somebody wants the list of networks anew."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of the attempt; no `trouble`: the hub is in the network."""

    trouble: Trouble | None


Event = Looked | Opened | NotOpened | Chose | LookAgain | Tried


@dataclass(frozen=True, slots=True)
class OpenHotspot:
    """Listen for networks, then open the hub's own; answered with `Opened` or `NotOpened`."""


@dataclass(frozen=True, slots=True)
class CloseHotspot:
    """Close it, if it is open."""


@dataclass(frozen=True, slots=True)
class Try:
    """Join that network, and save it only if that works; answered with `Tried`."""

    choice: Choice


Action = OpenHotspot | CloseHotspot | Try


def begun(now_ms: int, patience_ms: int) -> State:
    """The state at the start: the hotspot may open after `patience_ms`."""
    return Watching(now_ms + patience_ms)


def step(state: State, event: Event, now_ms: int) -> tuple[State, tuple[Action, ...]]:
    """The next state, and what is to be done, in this order. `now_ms` is monotonic.

    An event that does not belong to the state changes nothing: a page that was sent twice, or a late answer.
    """
    match state, event:
        case Watching(opens_at_ms), Looked(facts):
            if facts.is_online or facts.is_configured:
                return Settled(), ()
            # One that is up already was left by an agent that ended without a word: somebody may be on it.
            if facts.has_wifi and (facts.has_hotspot or now_ms >= opens_at_ms):
                return Opening(), (OpenHotspot(),)
        case Opening(failure), Opened(networks):
            return Open(networks, failure), ()
        case Opening() | Open() | Answering() | Trying(), NotOpened():
            return Watching(now_ms + AGAIN_MS), (CloseHotspot(),)
        case Open(), Chose(choice):
            return Answering(choice, now_ms + ANSWER_MS), ()
        case Open(_, failure), LookAgain():
            return Opening(failure), (CloseHotspot(), OpenHotspot())
        case Open(_, failure), Looked(facts):
            # A cable was plugged in, or a technician has given the hub a network meanwhile.
            if facts.is_online or facts.is_configured:
                return Settled(), (CloseHotspot(),)
            if not facts.has_hotspot:
                return Opening(failure), (CloseHotspot(), OpenHotspot())
        case Answering(choice, until_ms), Looked() if now_ms >= until_ms:
            return Trying(choice.ssid), (CloseHotspot(), Try(choice))
        case Trying(), Tried(None):
            return Settled(), ()
        case Trying(ssid), Tried(Trouble() as trouble):
            return Opening(Failure(ssid, trouble)), (OpenHotspot(),)
    return state, ()
