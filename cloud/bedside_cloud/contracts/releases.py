"""Versions of the hub's software and their rollouts, asked of `registry`."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from bedside_cloud.contracts.message import Message

RELEASE_ADD = "registry.releases.add"
"""`ReleaseRequest` → `Release`; the same one again goes on where its bytes ended."""

RELEASE_PART = "registry.releases.part"
"""`PartRequest` → `Release`; refused with 409 at another byte than the next, or when the whole has another digest."""

RELEASES = "registry.releases.list"
"""`Empty` → `ReleaseList`, the newest first."""

RELEASE_REMOVE = "registry.releases.remove"
"""`ReleaseName` → `Release` as it was; refused with 409 while hubs are brought to it."""

RELEASE_BYTES = "registry.releases.bytes"
"""`BytesRequest` → `BytesAnswer`; empty at the end. Refused with 404 for a bundle that is not there whole."""

ROLLOUT_START = "registry.rollouts.start"
"""`RolloutRequest` → `Rollout`; refused with 409 while another one is open."""

ROLLOUTS = "registry.rollouts.list"
"""`Empty` → `RolloutList`, the newest first."""

ROLLOUT_SHOW = "registry.rollouts.show"
"""`RolloutName` → `RolloutSheet`."""

ROLLOUT_SET = "registry.rollouts.set"
"""`RolloutChange` → `Rollout`; refused with 409 when it is over."""

PART_BYTES = 36 * 1024
"""Of a bundle in one message: with all around it, it stays below what the gateway takes in one request."""

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ReleaseRequest(Message):
    """`manifest` is the signed text (`bedside_profiles.release`), `signature_base64` Ed25519 over it."""

    manifest: Annotated[str, Field(max_length=512)]
    signature_base64: Annotated[str, Field(max_length=256)]


class Release(Message):
    """It is whole when `has_bytes` is `size_bytes`."""

    sha256: Sha256
    version: str
    size_bytes: int
    has_bytes: int
    may_be_older: bool
    added_at_ms: int


class ReleaseList(Message):
    """Every release."""

    releases: tuple[Release, ...]


class ReleaseName(Message):
    """A version by its number, or a bundle by its digest."""

    version_or_sha256: Annotated[str, Field(max_length=64)]


class PartRequest(Message):
    """The bytes from `at_byte` on."""

    sha256: Sha256
    at_byte: Annotated[int, Field(ge=0, le=2**31)]
    content_base64: Annotated[str, Field(max_length=PART_BYTES * 4 // 3, pattern="^[A-Za-z0-9+/]*={0,2}$")]


class BytesRequest(Message):
    """Up to `PART_BYTES` from `at_byte` on."""

    sha256: Sha256
    at_byte: Annotated[int, Field(ge=0, le=2**40)]


class BytesAnswer(Message):
    """`size_bytes` is the whole bundle's."""

    content_base64: str
    size_bytes: int


class RolloutState(StrEnum):
    """`halted` by itself because too many hubs failed, `stopped` by a person: both are final."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    HALTED = "halted"
    DONE = "done"


class RolloutRequest(Message):
    """`stages` are rising shares of the fleet in percent, the last one 100. A stage is over when each of its hubs has
    answered, or `within_seconds` have passed, and `soak_seconds` after the last answer nothing more has failed.
    More than `most_failing_percent` of those that tried end the rollout."""

    version_or_sha256: Annotated[str, Field(max_length=64)]
    stages: Annotated[tuple[int, ...], Field(min_length=1, max_length=10)] = (5, 25, 100)
    soak_seconds: Annotated[int, Field(ge=0, le=30 * 86_400)] = 3600
    within_seconds: Annotated[int, Field(ge=60, le=7 * 86_400)] = 86_400
    most_failing_percent: Annotated[int, Field(ge=0, le=100)] = 5


class Standing(StrEnum):
    """How a hub of a rollout stands: `silent` ones did not answer in time, `works` means online with that version, and
    `took`, in a rollout that is over, that it did take the version: what it runs by now is another matter."""

    WAITS = "waits"
    GIVEN = "given"
    WORKS = "works"
    FAILED = "failed"
    SILENT = "silent"
    TOOK = "took"


class Rollout(Message):
    """`stage` counts from 0. `reason` says why it was halted."""

    rollout_id: str
    version: str
    sha256: Sha256
    state: RolloutState
    stages: tuple[int, ...]
    stage: int
    hubs: int
    started_at_ms: int
    ended_at_ms: int | None
    reason: str


class RolloutList(Message):
    """Every rollout."""

    rollouts: tuple[Rollout, ...]


class RolloutName(Message):
    """None for the newest."""

    rollout_id: str | None = None


class RolloutChange(Message):
    """`state` is running, paused or stopped. None for the newest rollout."""

    rollout_id: str | None = None
    state: RolloutState


class RolloutHub(Message):
    """One hub of it."""

    hub_id: str
    stage: int
    standing: Standing
    agent_version: str
    reason: str


class RolloutSheet(Message):
    """A rollout with its hubs, in the order of their stages."""

    rollout: Rollout
    hubs: tuple[RolloutHub, ...]
