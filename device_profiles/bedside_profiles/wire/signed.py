"""A document that the hub may act on only because of who signed it, however it came."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from bedside_profiles.bounds import Shape
from bedside_profiles.wire.codec import MAX_BODY_BYTES
from bedside_profiles.wire.kinds import Schema


class DocumentKind(StrEnum):
    """What the body is. The kind is signed with the body, so one kind cannot pass for another."""

    CARE_PLAN = "care_plan"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """`body` is the MessagePack map of a `CarePlan` or a `Command`.

    `certificates` is the signer's chain in DER, leaf first, ending below the root that the hub trusts.
    `signature` is ECDSA with SHA-256 over `signing_input`.
    """

    schema: Schema
    kind: DocumentKind
    body: Annotated[bytes, Shape(MAX_BODY_BYTES)]
    certificates: tuple[Annotated[bytes, Shape(8192)], ...]
    signature: Annotated[bytes, Shape(256)]


def signing_input(kind: DocumentKind, body: bytes) -> bytes:
    """The bytes that are signed: a fixed label, the kind, a NUL, the body."""
    return b"bedside-signed-document-v1:" + kind.value.encode() + b"\0" + body
