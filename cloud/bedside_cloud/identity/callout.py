"""Whom the broker lets in: its question and our answer, as values. Pure.

The question is asked for everybody who is not in the broker's own list: in practice the hubs. Only the broker may
publish it (everyone's permissions lack the subject), so its signature is not checked again.
"""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from bedside_cloud.contracts.identity_administration import LET_IN
from bedside_cloud.engines.broker import ACCOUNT
from bedside_cloud.engines.certificates import authority
from bedside_cloud.engines.keys import signed_claims
from bedside_cloud.identity.snapshot import Snapshot
from bedside_profiles.wire.topics import DownLane, UpLane, subject

RENEWAL_SUFFIX = "~renewal"
"""A renewing hub proves its new certificate under this client id: under its own it would cut its live session."""


@dataclass(frozen=True, slots=True)
class Question:
    """Who is at the door. `chain` is what the broker verified, leaf first; empty without a certificate."""

    server_id: str
    user_key: str
    kind: str
    mqtt_client_id: str
    chain: tuple[authority.Certificate, ...]


@dataclass(frozen=True, slots=True)
class Granted:
    """Let in as `hub_id` until the certificate ends; a `renewal` may neither speak nor listen.

    `adopts` is set when the hub comes with a newer certificate than ever before: the older ones are to be refused now.
    """

    hub_id: str
    until: datetime
    renewal: bool = False
    adopts: datetime | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """Not let in. `unknown_hub` says that a newer snapshot might know better. `replaced` is the hub whose certificate
    of earlier days was shown: a person should know of that."""

    reason: str
    unknown_hub: bool = False
    replaced: str | None = None


def parse_question(token: bytes) -> Question:
    """The broker's question; ValueError or KeyError when it is not one."""
    part = token.split(b".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    body = claims["nats"]
    chains = body.get("client_tls", {}).get("verified_chains") or []
    chain = [authority.certificates_from_pem(pem.encode())[0] for pem in chains[0]] if chains else []
    return Question(
        server_id=body["server_id"]["id"],
        user_key=body["user_nkey"],
        kind=body["client_info"].get("type", ""),
        mqtt_client_id=body["client_info"].get("mqtt_id", ""),
        chain=tuple(chain),
    )


def decide(question: Question, snapshot: Snapshot, now: datetime) -> Granted | Denied:
    """Let in a hub that is active or retired, with a certificate of ours in force, under its own client id.

    Both may use the same lanes: a hub gives up a connection on which a subscription is refused. What a retired hub is
    not to hear, a care plan in force above all, registry does not say.
    """
    if question.kind != "mqtt":
        return Denied("not a hub")
    if not question.chain:
        return Denied("no certificate")
    leaf = question.chain[0]
    if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
        return Denied("certificate not in force")
    if not authority.may_be_client(leaf):
        return Denied("not a hub's certificate")
    try:
        hub_id = authority.common_name(leaf)
    except ValueError:
        return Denied("certificate without one name")
    renewal = question.mqtt_client_id == hub_id + RENEWAL_SUFFIX
    if question.mqtt_client_id != hub_id and not renewal:
        return Denied("client id is not the certificate's name")
    entry = snapshot.hubs.get(hub_id)
    if entry is None:
        return Denied("unknown hub", unknown_hub=True)
    if entry.access not in LET_IN:
        return Denied(f"hub is {entry.access.value}")
    issued_at = authority.issued_at(leaf)
    if issued_at < max(entry.refuse_issued_before, entry.adopted_issued_at):
        return Denied("certificate was replaced or revoked", replaced=hub_id)
    adopts = issued_at if issued_at > entry.adopted_issued_at and not renewal else None
    return Granted(hub_id, leaf.not_valid_after_utc, renewal, adopts)


def answer(question: Question, decision: Granted | Denied, seed: str, now: datetime) -> bytes:
    """The token that the broker waits for, signed with the callout's key."""
    issued_at = int(now.timestamp())
    body: dict[str, object] = {"type": "authorization_response", "version": 2}
    if isinstance(decision, Granted):
        body["jwt"] = _user_token(question, decision, seed, issued_at)
    else:
        body["error"] = decision.reason
    claims = {"sub": question.user_key, "aud": question.server_id, "iat": issued_at, "nats": body}
    return signed_claims(seed, claims).encode()


def _user_token(question: Question, granted: Granted, seed: str, issued_at: int) -> str:
    """What the hub may do: its own lanes. What MQTT needs inside the broker is exempt from permissions."""
    permissions: dict[str, object] = {"pub": {"deny": [">"]}, "sub": {"deny": [">"]}}
    if not granted.renewal:
        permissions = {
            "pub": {"allow": [subject(granted.hub_id, lane) for lane in UpLane]},
            "sub": {"allow": [subject(granted.hub_id, lane) for lane in DownLane]},
        }
    claims: dict[str, object] = {
        "sub": question.user_key,
        "aud": ACCOUNT,
        "name": granted.hub_id,
        "iat": issued_at,
        "exp": int(granted.until.astimezone(UTC).timestamp()),
        "nats": {
            **permissions,
            "subs": -1,
            "data": -1,
            "payload": -1,
            "allowed_connection_types": ["MQTT"],
            "type": "user",
            "version": 2,
        },
    }
    return signed_claims(seed, claims)
