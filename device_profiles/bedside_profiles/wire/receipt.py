"""What the cloud has stored, said after its commit. The only proof of storage there is."""

from dataclasses import dataclass

from bedside_profiles.wire.kinds import HubId, MonotonicMs, Schema, Seq, SeqRange, Sha256, StoreId, UtcMs, Uuid
from bedside_profiles.wire.topics import UpLane


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item that could not be admitted: it is kept as a dead letter and must not be sent again."""

    seq: Seq
    reason: str


@dataclass(frozen=True, slots=True)
class UndecodableBody:
    """A body that could not be read at all, named by its SHA-256; the hub splits it and sends again."""

    sha256: Sha256
    reason: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """All that the cloud holds of one lane of one store, as ranges (not a mark: one lost sequence would stall it).

    Sequences in `rejected` are settled too: they are dead letters. `generation` changes when the cloud's database
    was restored from a backup; the hub then takes every item outside `stored` as not stored. `complete` is False
    when the ranges were too many for one message. `cloud_ms` is the cloud's time (UTC) when it answered the status that
    the hub had sent at its `asked_monotonic_ms`; both are None in a receipt that answers no status.
    """

    schema: Schema
    hub_id: HubId
    generation: Uuid
    lane: UpLane
    store_id: StoreId | None = None
    stored: tuple[SeqRange, ...] = ()
    complete: bool = True
    rejected: tuple[Rejected, ...] = ()
    undecodable: tuple[UndecodableBody, ...] = ()
    cloud_ms: UtcMs | None = None
    asked_monotonic_ms: MonotonicMs | None = None
