"""What the hub may act on: documents that the registry signed for this hub, and which plan replaces which. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from bedside_agent import trust
from bedside_agent.errors import UntrustedError
from bedside_profiles.errors import WireError
from bedside_profiles.wire.careplan import CarePlan, PlanHeading
from bedside_profiles.wire.codec import decode_map
from bedside_profiles.wire.command import Command
from bedside_profiles.wire.fields import from_map
from bedside_profiles.wire.messages import decode
from bedside_profiles.wire.signed import DocumentKind, SignedDocument, signing_input

SIGNER = "registry"
"""Common name of the only certificate whose plans and commands a hub follows."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Who this hub is and the root (DER) that it trusts."""

    hub_id: str
    root: bytes

    def care_plan(self, document: SignedDocument) -> CarePlan:
        """The plan in the document; UntrustedError or WireError if it is none that this hub may follow.

        Dates are checked at the time of issue: a plan stays in force when its signer's certificate has since expired.
        """
        _, plan = self.offered_plan(document)
        if isinstance(plan, WireError):
            raise plan
        return plan

    def offered_plan(self, document: SignedDocument) -> tuple[PlanHeading, CarePlan | WireError]:
        """The plan, or why what the registry did sign for this hub cannot be followed: that is to be answered.

        As a whole: a limit that cannot be read is not guessed, and one that is left out is not missed by anybody.
        """
        leaf = self._signer(document, DocumentKind.CARE_PLAN)
        heading = from_map(PlanHeading, decode_map(document.body))
        self._check_dates(leaf, document, heading.issued_at_ms)
        if heading.hub_id != self.hub_id:
            raise UntrustedError("the plan is for another hub")
        try:
            return heading, decode(CarePlan, document.body)
        except WireError as error:
            return heading, error

    def command(self, document: SignedDocument, at_ms: int | None) -> Command:
        """The command in the document; `at_ms` as in `trust.verify_chain`. UntrustedError or WireError otherwise."""
        leaf = self._signer(document, DocumentKind.COMMAND)
        self._check_dates(leaf, document, at_ms)
        command = decode(Command, document.body)
        if command.hub_id != self.hub_id:
            raise UntrustedError("the command is for another hub")
        return command

    def _signer(self, document: SignedDocument, kind: DocumentKind) -> bytes:
        if document.kind is not kind:
            raise UntrustedError(f"a {document.kind.value} came where a {kind.value} belongs")
        if not document.certificates:
            raise UntrustedError("the document names no signer")
        leaf = document.certificates[0]
        name, _ = trust.verify_chain(leaf, document.certificates[1:], self.root, None)
        if name != SIGNER:
            raise UntrustedError("the signer is not the registry")
        trust.verify_signature(leaf, document.signature, signing_input(kind, document.body))
        return leaf

    def _check_dates(self, leaf: bytes, document: SignedDocument, at_ms: int | None) -> None:
        trust.verify_chain(leaf, document.certificates[1:], self.root, at_ms)


class Decision(StrEnum):
    """What to do with a plan that may be followed."""

    APPLY = "apply"
    KEEP = "keep"
    REFUSE_OLDER = "refuse_older"
    REFUSE_CONFLICT = "refuse_conflict"


def decide(present: CarePlan | None, offered: CarePlan) -> Decision:
    """Higher versions replace lower ones; the same one again changes nothing; a twin with other content is refused."""
    if present is None or offered.version > present.version:
        return Decision.APPLY
    if offered.version < present.version:
        return Decision.REFUSE_OLDER
    return Decision.KEEP if offered == present else Decision.REFUSE_CONFLICT
