"""The decision whom to let in, as a table; and snapshots that survive, or do not."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bedside_cloud.contracts.identity_administration import Access
from bedside_cloud.engines.certificates import authority
from bedside_cloud.engines.keys import new_account_seed, public_key
from bedside_cloud.identity.callout import Denied, Granted, Question, answer, decide, parse_question
from bedside_cloud.identity.connections import oversized_sender
from bedside_cloud.identity.snapshot import EMPTY, HubEntry, Snapshot, Snapshots, read_snapshot, write_snapshot

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROOT = authority.make_root(NOW)
ISSUING = authority.make_issuing(ROOT, NOW)
LEAF = authority.issue_hub(ISSUING, "hub-1", authority.new_key().public_key(), NOW)
SERVICE = authority.issue_service(ISSUING, "hub-1", NOW).certificate
QUESTION = Question("server", "UKEY", "mqtt", "hub-1", (LEAF, ISSUING.certificate, ROOT.certificate))
KNOWN = Snapshot(1, {"hub-1": HubEntry(Access.ACTIVE, NOW, NOW)})


def test_an_active_hub_is_let_in_until_its_certificate_ends() -> None:
    assert decide(QUESTION, KNOWN, NOW) == Granted("hub-1", LEAF.not_valid_after_utc)


def test_a_retired_hub_is_let_in_to_deliver_its_rest() -> None:
    assert decide(QUESTION, known(Access.RETIRED), NOW) == Granted("hub-1", LEAF.not_valid_after_utc)


def known(access: Access = Access.ACTIVE, before: datetime = NOW) -> Snapshot:
    return Snapshot(1, {"hub-1": HubEntry(access, before, NOW)})


@pytest.mark.parametrize(
    ("question", "snapshot", "now", "reason"),
    [
        (replace(QUESTION, kind="nats"), KNOWN, NOW, "not a hub"),
        (replace(QUESTION, chain=()), KNOWN, NOW, "no certificate"),
        (replace(QUESTION, chain=(SERVICE,)), KNOWN, NOW, "not a hub's certificate"),
        (replace(QUESTION, mqtt_client_id="hub-2"), KNOWN, NOW, "client id is not the certificate's name"),
        (replace(QUESTION, mqtt_client_id=""), KNOWN, NOW, "client id is not the certificate's name"),
        (replace(QUESTION, mqtt_client_id="hub-1~other"), KNOWN, NOW, "client id is not the certificate's name"),
        (QUESTION, KNOWN, NOW + timedelta(days=31), "certificate not in force"),
        (QUESTION, KNOWN, NOW - timedelta(days=1), "certificate not in force"),
        (QUESTION, EMPTY, NOW, "unknown hub"),
        (QUESTION, known(Access.SUSPENDED), NOW, "hub is suspended"),
        (QUESTION, known(Access.REVOKED), NOW, "hub is revoked"),
        (QUESTION, known(Access.WIPED), NOW, "hub is wiped"),
        (QUESTION, known(Access.RETIRED, NOW + timedelta(seconds=1)), NOW, "certificate was replaced or revoked"),
        (QUESTION, known(before=NOW + timedelta(seconds=1)), NOW, "certificate was replaced or revoked"),
    ],
)
def test_everyone_else_is_not(question: Question, snapshot: Snapshot, now: datetime, reason: str) -> None:
    decision = decide(question, snapshot, now)
    assert isinstance(decision, Denied)
    assert decision.reason == reason


def claims_of(token: str) -> Any:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_the_answer_allows_the_hub_s_own_lanes_alone() -> None:
    seed = new_account_seed()
    outer = claims_of(answer(QUESTION, decide(QUESTION, KNOWN, NOW), seed, NOW).decode())
    assert (outer["iss"], outer["aud"], outer["sub"]) == (public_key(seed), "server", "UKEY")
    inner = claims_of(outer["nats"]["jwt"])
    body = inner["nats"]
    assert inner["exp"] == int(LEAF.not_valid_after_utc.timestamp())
    assert body["allowed_connection_types"] == ["MQTT"]
    allowed = body["pub"]["allow"] + body["sub"]["allow"]
    assert len(allowed) == 10
    assert all(subject.startswith("bedside.v1.hubs.hub-1.") and "*" not in subject for subject in allowed)


def test_a_refusal_names_its_reason_and_grants_nothing() -> None:
    outer = claims_of(answer(QUESTION, Denied("no certificate"), new_account_seed(), NOW).decode())
    assert outer["nats"] == {"type": "authorization_response", "version": 2, "error": "no certificate"}


@pytest.mark.parametrize("token", [b"", b"a.b.c", b"e30.e30.e30", b"\xff.\xff.\xff"])
def test_what_is_not_a_question_raises_what_the_doorkeeper_catches(token: bytes) -> None:
    with pytest.raises((ValueError, KeyError, IndexError, TypeError)):
        parse_question(token)


def test_a_snapshot_survives_a_restart_and_a_torn_one_lets_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    assert read_snapshot(path) == EMPTY
    write_snapshot(KNOWN, path)
    assert read_snapshot(path) == KNOWN
    path.write_text(path.read_text()[:-5])
    assert read_snapshot(path) == EMPTY


def test_a_snapshot_of_an_older_program_is_read_and_an_unknown_state_lets_in_nobody_but_the_others(
    tmp_path: Path,
) -> None:
    path, moment = tmp_path / "snapshot.json", NOW.isoformat()
    path.write_text(json.dumps({"version": 1, "hubs": {"hub-1": ["active", moment, moment]}}))
    assert read_snapshot(path) == KNOWN
    hubs = {"hub-1": ["active", moment, moment], "hub-2": ["on_the_moon", moment, moment]}
    path.write_text(json.dumps({"version": 1, "hubs": hubs}))
    assert read_snapshot(path) == KNOWN
    everyone = Snapshot(1, {access.value: HubEntry(access, NOW, NOW) for access in Access})
    write_snapshot(everyone, path)
    assert read_snapshot(path) == everyone


async def test_an_update_shuts_out_whoever_lost_the_right(tmp_path: Path) -> None:
    later = NOW + timedelta(hours=1)
    stays, gone = HubEntry(Access.ACTIVE, NOW, NOW), HubEntry(Access.ACTIVE, NOW, NOW)
    before = {"stays": stays, "gone": gone, "suspended": stays, "renewed": stays, "retired": stays, "wiped": stays}
    after = {
        "stays": stays,
        "suspended": HubEntry(Access.SUSPENDED, NOW, NOW),
        "renewed": HubEntry(Access.ACTIVE, later, later),
        "new": stays,
        "retired": HubEntry(Access.RETIRED, NOW, NOW),
        "wiped": HubEntry(Access.WIPED, later, NOW),
    }
    answers = [Snapshot(1, before), Snapshot(2, after), Snapshot(2, after)]
    shut: list[str] = []

    async def fetch() -> Snapshot:
        return answers.pop(0)

    async def shut_out(hub_id: str) -> None:
        shut.append(hub_id)

    async def fetch_one(hub_id: str) -> tuple[int, HubEntry | None]:
        return 3, {"new": HubEntry(Access.REVOKED, NOW, NOW), "newest": stays}.get(hub_id)

    path = tmp_path / "snapshot.json"
    snapshots = Snapshots(path, fetch, fetch_one, shut_out)
    for _ in range(3):
        await snapshots.refresh()
    assert sorted(shut) == ["gone", "renewed", "suspended", "wiped"]
    assert read_snapshot(path) == snapshots.current
    shut.clear()
    await snapshots.refresh_hub("newest")
    assert shut == []
    assert snapshots.current.hubs["newest"] == stays
    # One that is gone, and one that is revoked: written at once, with whoever was let in before.
    for hub_id in ("suspended", "new"):
        await snapshots.refresh_hub(hub_id)
        assert read_snapshot(path) == snapshots.current
    assert shut == ["suspended", "new"]
    assert "suspended" not in snapshots.current.hubs


def test_only_a_message_above_the_limit_counts_as_one() -> None:
    notice = {"client": {"client_type": "mqtt", "user": "hub-1"}, "reason": "Maximum Message Payload Exceeded"}
    assert oversized_sender(json.dumps(notice).encode()) == "hub-1"
    assert oversized_sender(json.dumps({**notice, "reason": "Client Closed"}).encode()) is None
    assert oversized_sender(json.dumps({**notice, "client": {"client_type": "nats"}}).encode()) is None
