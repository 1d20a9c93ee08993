"""Only what the registry signed for this hub is followed."""

import datetime as dt
from dataclasses import replace

import pytest
from tests.support import certificates
from tests.support.clock import NOON_MS
from tests.support.readings import EPISODE, HUB, plan

from bedside_agent.alarms.plan import Authority, Decision, decide
from bedside_agent.errors import UntrustedError
from bedside_profiles.errors import WireError
from bedside_profiles.wire.command import Command
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.signed import DocumentKind, SignedDocument

CA = certificates.Authority()
REGISTRY = CA.signer()
HUB_AUTHORITY = Authority(HUB, CA.root.der)
COMMAND = Command(SCHEMA_VERSION, EPISODE, HUB, "report_status", NOON_MS)


def test_a_plan_signed_by_the_registry_is_read() -> None:
    assert HUB_AUTHORITY.care_plan(REGISTRY.sign(plan())) == plan()
    assert HUB_AUTHORITY.command(REGISTRY.sign(COMMAND), NOON_MS) == COMMAND


def test_a_plan_signed_straight_below_the_root_is_read() -> None:
    assert HUB_AUTHORITY.care_plan(CA.signer(issuer=CA.root).sign(plan())) == plan()


def expired() -> SignedDocument:
    end = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return CA.signer(end=end).sign(plan(issued_at_ms=NOON_MS))


def below_a_leaf() -> SignedDocument:
    hub = CA.leaf(HUB)
    forged = CA.signer(issuer=hub)
    assert len(forged.issuers) == 2
    return forged.sign(plan())


def a_command_as_a_plan() -> SignedDocument:
    return replace(REGISTRY.sign(COMMAND), kind=DocumentKind.CARE_PLAN)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (CA.signer("registry-2").sign(plan()), "not the registry"),
        (CA.signer(HUB).sign(plan()), "not the registry"),
        (CA.leaf("registry").sign(plan()), "not for signing"),
        (certificates.Authority().signer().sign(plan()), "does not lead to the root"),
        (REGISTRY.sign(plan(hub_id="hub-0002")), "another hub"),
        (replace(REGISTRY.sign(plan()), body=REGISTRY.sign(plan(version=2)).body), "signature is wrong"),
        (replace(REGISTRY.sign(plan()), signature=b""), "signature is wrong"),
        (replace(REGISTRY.sign(plan()), certificates=()), "names no signer"),
        (replace(REGISTRY.sign(plan()), certificates=(b"nothing",)), "not a certificate"),
        (replace(REGISTRY.sign(plan()), certificates=(REGISTRY.der,)), "does not lead to the root"),
        (REGISTRY.sign(COMMAND), "came where"),
        (a_command_as_a_plan(), "signature is wrong"),
        (expired(), "not valid at that time"),
        (below_a_leaf(), "no certificate authority"),
    ],
)
def test_anything_else_is_refused(document: SignedDocument, reason: str) -> None:
    with pytest.raises(UntrustedError, match=reason):
        HUB_AUTHORITY.care_plan(document)


def test_a_signed_body_that_is_no_plan_is_a_wire_error() -> None:
    signed = REGISTRY.sign(plan())
    broken = replace(signed, body=b"\xc1")
    with pytest.raises(UntrustedError):
        HUB_AUTHORITY.care_plan(broken)
    with pytest.raises((UntrustedError, WireError)):
        HUB_AUTHORITY.command(REGISTRY.sign(plan()), None)


def test_which_plan_replaces_which() -> None:
    assert decide(None, plan()) is Decision.APPLY
    assert decide(plan(), plan(version=2)) is Decision.APPLY
    assert decide(plan(version=2), plan(version=1)) is Decision.REFUSE_OLDER
    assert decide(plan(), plan()) is Decision.KEEP
    assert decide(plan(), plan(active=False)) is Decision.REFUSE_CONFLICT
