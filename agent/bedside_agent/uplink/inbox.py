"""What comes down: each lane's body to its handler. Garbage is counted and reported, and delays nothing."""

import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from bedside_agent.errors import UntrustedError
from bedside_agent.uplink.connection import Message
from bedside_profiles.errors import MalformedError, WireError
from bedside_profiles.wire.alert import AlertNotice
from bedside_profiles.wire.messages import decode
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.signed import SignedDocument
from bedside_profiles.wire.topics import DownLane, parse_topic

log = logging.getLogger(__name__)

Later = Coroutine[Any, Any, None]


@dataclass(frozen=True, slots=True)
class Handlers:
    """What is done with each lane. Documents are answered later: the answer waits for the disk."""

    receipt: Callable[[Receipt], None]
    care_plan: Callable[[SignedDocument], Later]
    command: Callable[[SignedDocument], Later]
    alert: Callable[[AlertNotice], None]
    refused: Callable[[DownLane, str], None]


class Inbox:
    """Reads for one hub. `refused` counts what could not be read or must not be followed, by lane."""

    def __init__(self, hub_id: str, handlers: Handlers, start: Callable[[Later], object]) -> None:
        self.refused: Counter[DownLane] = Counter()
        self._hub_id = hub_id
        self._handlers = handlers
        self._start = start

    def take(self, message: Message) -> None:
        """Hand one message on. Never raises for what came from outside."""
        try:
            hub_id, lane = parse_topic(message.topic)
            if hub_id != self._hub_id or not isinstance(lane, DownLane):
                raise MalformedError("topic", "is not one of this hub's down lanes")
        except WireError as error:
            log.warning("inbox.foreign_topic", extra={"reason": error.reason})
            return
        try:
            self._hand_on(lane, message.body)
        except WireError as error:
            self._refuse(lane, error.reason)

    def _hand_on(self, lane: DownLane, body: bytes) -> None:
        if lane is DownLane.RECEIPTS:
            receipt = decode(Receipt, body)
            self._check_hub(receipt.hub_id)
            self._handlers.receipt(receipt)
        elif lane is DownLane.ALERTS:
            notice = decode(AlertNotice, body)
            self._check_hub(notice.hub_id)
            self._handlers.alert(notice)
        else:
            document = decode(SignedDocument, body)
            handler = self._handlers.care_plan if lane is DownLane.CAREPLAN else self._handlers.command
            self._start(self._follow(lane, handler(document)))

    async def _follow(self, lane: DownLane, work: Later) -> None:
        try:
            await work
        except (UntrustedError, WireError) as error:
            self._refuse(lane, str(error))

    def _check_hub(self, hub_id: str) -> None:
        if hub_id != self._hub_id:
            raise MalformedError("hub_id", "is another hub's")

    def _refuse(self, lane: DownLane, reason: str) -> None:
        self.refused[lane] += 1
        count = self.refused[lane]
        if count & (count - 1) == 0:
            # Said at the first and at each doubling: a flood of garbage must not become a flood of events.
            log.warning("inbox.refused", extra={"lane": lane.value, "count": count, "reason": reason})
            self._handlers.refused(lane, reason)
