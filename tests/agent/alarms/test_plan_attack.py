"""Whoever sends what as a plan: a bad one changes nothing, and what the registry did sign is always answered."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support import certificates
from tests.support.alarm_timeline import CA as TRUSTED
from tests.support.alarm_timeline import REGISTRY as SIGNER
from tests.support.alarm_timeline import Bench, Say
from tests.support.clock import ManualClock
from tests.support.readings import HUB, plan, rule

from bedside_agent.alarms.keeper import PLAN
from bedside_agent.errors import UntrustedError
from bedside_agent.uplink.connection import Message
from bedside_agent.uplink.inbox import Handlers, Inbox
from bedside_profiles.errors import WireError
from bedside_profiles.wire.careplan import PlannedDevice
from bedside_profiles.wire.codec import MAX_BODY_BYTES, encode_map
from bedside_profiles.wire.command import Outcome
from bedside_profiles.wire.fields import to_map
from bedside_profiles.wire.messages import encode
from bedside_profiles.wire.signed import DocumentKind, SignedDocument
from bedside_profiles.wire.topics import DownLane, topic

STRANGER = certificates.Authority()
FIRST = plan(version=5)
YEAR_MS = 365 * 86_400_000
SPO2 = {"rule_id": "r", "version": 1, "condition": "r", "metric": "spo2", "priority": "low"}
RATE = {**SPO2, "direction": "fall", "change": 8.0, "window_ms": 60_000}
CADENCE: dict[str, Any] = SPO2
SENSOR_OFF = {"rule_id": "r", "version": 1, "kind": "sensor_off", "priority": "low"}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    one = Bench(tmp_path / "hub", ManualClock())
    await one.open()
    await one.put_in_force(FIRST)
    yield one
    await one.store.close()


def signed(changes: dict[str, Any]) -> SignedDocument:
    """A plan that only the wire's rules keep from being one, with the registry's own signature."""
    return SIGNER.sign_body(DocumentKind.CARE_PLAN, encode_map({**to_map(plan(version=6)), **changes}))


def raw_rule(**changes: Any) -> dict[str, Any]:
    return {**to_map(rule()), **changes}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rules": [raw_rule(onset_delay_ms=YEAR_MS)]}, "onset_delay_ms"),
        ({"rules": [raw_rule(onset_delay_ms=-1)]}, "onset_delay_ms"),
        ({"rules": [raw_rule(limit=float("nan"))]}, "limit"),
        ({"rules": [raw_rule(limit=float("inf"))]}, "limit"),
        ({"rules": [raw_rule(clear_limit=60)]}, "clear limit"),
        ({"rules": [raw_rule(extreme_limit=99)]}, "extreme limit"),
        ({"rules": [raw_rule(metric="mood")]}, "metric"),
        ({"rules": [raw_rule(priority="whenever")]}, "priority"),
        ({"rules": [raw_rule(), raw_rule()]}, "stands twice"),
        ({"rules": [raw_rule()], "technical": [{**SENSOR_OFF, "rule_id": "spo2-low"}]}, "twice"),
        ({"rates": [{**RATE, "change": 0.0}]}, "change"),
        ({"cadences": [CADENCE]}, "cadence"),
        ({"cadences": [{**CADENCE, "at_minutes": [480], "zone": "Atlantis"}]}, "zone"),
        ({"rules": 3}, "rules"),
        ({"devices": [{"device_id": "a b", "from_ms": 0}]}, "device_id"),
    ],
)
async def test_a_plan_that_cannot_be_followed_is_refused_as_a_whole_and_answered(
    bench: Bench, changes: dict[str, Any], named: str
) -> None:
    before = dict(bench.store.state)
    reply = await bench.keeper.offer(signed(changes))
    assert (reply.outcome, reply.version, reply.about) == (Outcome.REFUSED, 6, FIRST.plan_id)
    assert named in reply.reason
    assert bench.keeper.plan == FIRST
    assert dict(bench.store.state) == before
    await Say(0, 70).happen(bench)
    assert bench.keeper.active() == ("spo2_low",), "the plan that was in force goes on"


def tampered(document: SignedDocument) -> SignedDocument:
    return replace(document, body=document.body[:-1] + bytes([document.body[-1] ^ 1]))


@pytest.mark.parametrize(
    "document",
    [
        replace(SIGNER.sign(plan(version=6)), signature=b""),
        replace(SIGNER.sign(plan(version=6)), certificates=()),
        tampered(SIGNER.sign(plan(version=6))),
        STRANGER.signer().sign(plan(version=6)),
        SIGNER.sign(plan(version=6, hub_id="hub-0002")),
        replace(SIGNER.sign(plan(version=6)), kind=DocumentKind.COMMAND),
        SIGNER.sign_body(DocumentKind.CARE_PLAN, b"\x93\x01\x02\x03"),
        SIGNER.sign_body(DocumentKind.CARE_PLAN, b""),
    ],
    ids=["unsigned", "nobody", "tampered", "another root", "another hub", "a command", "garbage", "empty"],
)
async def test_what_the_registry_did_not_sign_for_this_hub_changes_nothing(
    bench: Bench, document: SignedDocument
) -> None:
    before = dict(bench.store.state)
    with pytest.raises((UntrustedError, WireError)):
        await bench.keeper.offer(document)
    assert bench.keeper.plan == FIRST
    assert dict(bench.store.state) == before


async def test_a_hubs_own_certificate_signs_no_plan(bench: Bench) -> None:
    with pytest.raises(UntrustedError, match="not the registry"):
        await bench.keeper.offer(TRUSTED.leaf(HUB).sign(plan(version=6)))
    assert bench.keeper.plan == FIRST


async def test_a_plan_of_a_megabyte_is_refused_unread(bench: Bench) -> None:
    refused: list[str] = []

    async def never(_document: SignedDocument) -> None:
        raise AssertionError("it was read")

    inbox = Inbox(
        HUB,
        Handlers(lambda _: None, never, never, lambda _: None, lambda lane, reason: refused.append(reason)),
        lambda work: work.close(),
    )
    inbox.take(Message(topic(HUB, DownLane.CAREPLAN), b"\x81" + b"\0" * 1024 * 1024))
    assert ["above the limit" in reason for reason in refused] == [True]
    with pytest.raises(ValueError, match="above"):
        encode(plan(devices=tuple(PlannedDevice(f"device-{place:06d}", 0) for place in range(MAX_BODY_BYTES // 20))))
    assert bench.keeper.plan == FIRST


async def test_the_largest_plan_that_can_come_is_followed(bench: Bench) -> None:
    rules = tuple(rule(rule_id=f"rule-{place}", condition=f"condition-{place}") for place in range(1000))
    large = plan(version=6, rules=rules)
    assert 100_000 < len(encode(large)) < MAX_BODY_BYTES
    assert (await bench.keeper.offer(SIGNER.sign(large))).outcome is Outcome.APPLIED
    await Say(0, 70).happen(bench)
    assert len(bench.keeper.active()) == 1000


async def test_what_a_newer_cloud_needs_is_named_and_the_rest_is_followed(bench: Bench) -> None:
    newer = signed({"needs": ["rates", "telepathy"], "telepathy": [{"strength": 11}]})
    reply = await bench.keeper.offer(newer)
    assert (reply.outcome, reply.reason) == (Outcome.APPLIED, "not_understood: telepathy")
    assert "plan_incomplete" in bench.keeper.active()
    await Say(0, 70).happen(bench)
    assert "spo2_low" in bench.keeper.active()
    await bench.restart()
    bench.pass_until(5)
    assert bench.keeper.active() == ("plan_incomplete", "spo2_low"), "also after a restart"


async def test_a_stored_plan_that_can_no_longer_be_read_is_none_and_the_next_one_is_taken(bench: Bench) -> None:
    await bench.store.put_state({PLAN: encode(signed({"rules": [raw_rule(metric="mood")]}))})
    await bench.restart()
    assert bench.keeper.plan is None
    assert (await bench.keeper.offer(SIGNER.sign(plan(version=7)))).outcome is Outcome.APPLIED
