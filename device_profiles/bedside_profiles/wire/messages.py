"""Every message outside the batches: lane → type, and one function each way."""

from typing import TypeVar

from bedside_profiles.wire.alert import AlertNotice
from bedside_profiles.wire.careplan import CarePlan
from bedside_profiles.wire.codec import decode_map, encode_map
from bedside_profiles.wire.command import Command, Reply
from bedside_profiles.wire.fields import from_map, to_map
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.signed import SignedDocument
from bedside_profiles.wire.status import Status

Message = TypeVar("Message", AlertNotice, CarePlan, Command, Reply, Receipt, SignedDocument, Status)

MESSAGES: tuple[type, ...] = (AlertNotice, CarePlan, Command, Reply, Receipt, SignedDocument, Status)
"""Lanes: status carries `Status`, replies `Reply`, receipts `Receipt`, alerts `AlertNotice`, careplan and commands a
`SignedDocument` around `CarePlan` or `Command`."""


def encode(message: AlertNotice | CarePlan | Command | Reply | Receipt | SignedDocument | Status) -> bytes:
    """The body of a message."""
    return encode_map(to_map(message))


def decode(kind: type[Message], body: bytes) -> Message:
    """The message in `body`; WireError if it is not one."""
    return from_map(kind, decode_map(body))
