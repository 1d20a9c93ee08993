"""People: log-in, tokens, and what is kept of a password."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import psycopg
import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet
from tests.support.database import TestDatabase
from tests.support.nats import TestBroker
from tests.support.services import running_service, settings_of

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts.identity import KEYS, LOGIN, LoginAnswer, LoginRequest, Role, SigningKeys
from bedside_cloud.contracts.identity_administration import (
    CLAIM_CREATE,
    PEOPLE,
    PERSON_ADD,
    ClaimAnswer,
    ClaimRequest,
    PeopleAnswer,
    PersonAnswer,
    PersonRequest,
)
from bedside_cloud.contracts.message import Empty
from bedside_cloud.engines.certificates.authority import derived_key
from bedside_cloud.identity.claims import claim_sha256, new_claim
from bedside_cloud.identity.passwords import pause_seconds
from bedside_cloud.identity.run import main
from bedside_cloud.identity.tokens import Tokens

PERSON = PersonRequest(name="nurse.one", role=Role.NURSE, password="a long password")


@pytest.fixture
async def operator(broker: TestBroker, database: TestDatabase) -> AsyncIterator[Bus]:
    async with (
        running_service(main, settings_of("identity", broker, database)),
        Bus.open(broker.state.bus_settings("operator")) as bus,
    ):
        yield bus


@pytest.fixture
async def gateway(operator: Bus, broker: TestBroker) -> AsyncIterator[Bus]:
    """The one that log-ins come through, once identity serves."""
    async with Bus.open(broker.state.bus_settings("gateway")) as bus:
        yield bus


async def log_in(bus: Bus, name: str, password: str) -> LoginAnswer:
    return await bus.request(LOGIN, LoginRequest(name=name, password=password), LoginAnswer)


async def test_a_person_logs_in_and_the_token_stands_against_the_keys(operator: Bus, gateway: Bus) -> None:
    person = await operator.request(PERSON_ADD, PERSON, PersonAnswer)
    assert person.created
    answer = await log_in(gateway, PERSON.name, PERSON.password)
    keys = await gateway.request(KEYS, Empty(), SigningKeys)
    assert '"d"' not in keys.jwks
    token = jwt.decode(answer.access_token, KeySet.import_key_set(json.loads(keys.jwks)), algorithms=["ES256"])
    assert token.claims["sub"] == person.person_id
    assert token.claims["role"] == "nurse"
    assert token.claims["exp"] - token.claims["iat"] == answer.expires_in_seconds
    assert (token.claims["iss"], token.claims["aud"]) == ("bedside-identity", "bedside-console")


async def test_adding_a_person_twice_changes_the_password(operator: Bus, gateway: Bus) -> None:
    first = await operator.request(PERSON_ADD, PERSON, PersonAnswer)
    changed = PersonRequest(name=PERSON.name, role=Role.PHYSICIAN, password="another password")
    second = await operator.request(PERSON_ADD, changed, PersonAnswer)
    assert (second.person_id, second.created) == (first.person_id, False)
    with pytest.raises(RefusedError):
        await log_in(gateway, PERSON.name, PERSON.password)
    await log_in(gateway, PERSON.name, "another password")
    people = (await operator.request(PEOPLE, Empty(), PeopleAnswer)).people
    assert [(person.name, person.role) for person in people] == [("nurse.one", Role.PHYSICIAN)]


@pytest.mark.parametrize("name", ["nurse.one", "nobody", "", "'; DROP TABLE people --"])
async def test_a_wrong_name_and_a_wrong_password_sound_the_same(operator: Bus, name: str, gateway: Bus) -> None:
    await operator.request(PERSON_ADD, PERSON, PersonAnswer)
    with pytest.raises(RefusedError) as refused:
        await log_in(gateway, name, "wrong password")
    assert (refused.value.code, refused.value.reason) == (401, "The name or the password is wrong.")


async def test_guessing_is_slowed_down_even_for_a_name_that_nobody_has(operator: Bus, gateway: Bus) -> None:
    for name in ("nurse.one", "nobody"):
        codes = []
        for _ in range(6):
            with pytest.raises(RefusedError) as refused:
                await log_in(gateway, name, "wrong password")
            codes.append(refused.value.code)
        assert codes == [401] * 5 + [429]


@pytest.mark.parametrize(
    "request_",
    [
        PersonRequest(name=name, role=Role.NURSE, password=word)
        for name, word in [
            ("", "long enough"),
            (" blank", "long enough"),
            ("x" * 65, "long enough"),
            ("short", "1234567"),
        ]
    ],
)
async def test_names_and_passwords_have_bounds(operator: Bus, request_: PersonRequest) -> None:
    with pytest.raises(RefusedError) as refused:
        await operator.request(PERSON_ADD, request_, PersonAnswer)
    assert refused.value.code == 400


@pytest.mark.parametrize("hub_id", ["", "UPPER", "a.b", "a/b", "-x", "a*"])
async def test_a_claim_is_for_an_id_that_can_be_a_hub_s(operator: Bus, hub_id: str) -> None:
    with pytest.raises(RefusedError) as refused:
        await operator.request(CLAIM_CREATE, ClaimRequest(hub_id=hub_id), ClaimAnswer)
    assert refused.value.code == 400


async def test_no_password_is_in_the_database(operator: Bus, database: TestDatabase) -> None:
    await operator.request(PERSON_ADD, PERSON, PersonAnswer)
    with psycopg.connect(database.superuser_dsn) as connection:
        row = connection.execute("SELECT password_hash FROM identity.people").fetchone()
    assert row is not None
    assert row[0].startswith("$argon2id$")
    assert PERSON.password not in row[0]


def test_both_replicas_sign_with_one_key_and_a_stranger_s_token_is_refused() -> None:
    now = datetime.now(UTC)
    one, two, other = (Tokens(derived_key(secret)) for secret in ("same", "same", "other"))
    keys = KeySet.import_key_set(json.loads(one.key_set()))
    assert jwt.decode(two.issue("id", "name", Role.NURSE, now), keys, algorithms=["ES256"]).claims["sub"] == "id"
    forged = other.issue("id", "name", Role.ADMIN, now).split(".")
    real = one.issue("id", "name", Role.NURSE, now).split(".")
    with pytest.raises(BadSignatureError):
        jwt.decode(".".join((real[0], forged[1], forged[2])), keys, algorithms=["ES256"])


def test_a_claim_is_long_random_and_forgiving_to_type() -> None:
    claims = {new_claim() for _ in range(1000)}
    assert len(claims) == 1000
    claim = claims.pop()
    assert len(claim) == 24
    assert claim_sha256(claim) == claim_sha256(claim.lower().replace("-", " "))
    assert claim_sha256(claim) != claim_sha256(claims.pop())


def test_the_pause_after_failures_grows_and_ends_at_a_quarter_of_an_hour() -> None:
    assert [pause_seconds(failures) for failures in (0, 4, 5, 6, 7)] == [0, 0, 2, 4, 8]
    assert pause_seconds(1000) == 900
