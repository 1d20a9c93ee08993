"""What became of one delivery from a service's outbox."""

from enum import StrEnum


class Delivery(StrEnum):
    """`committed`: the consumer has it for ever. `refused`: it answered that it will not, now. `unanswered`: nobody
    answered, so that it may or may not have happened."""

    COMMITTED = "committed"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
