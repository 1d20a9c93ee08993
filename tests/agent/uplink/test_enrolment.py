"""Enrolment against an EST server with TLS: what is kept, and whom the claim is never told to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import certificates
from tests.support.est_server import EstServer, est_server
from tests.support.readings import HUB

from bedside_agent import trust
from bedside_agent.errors import EnrolmentError, IdentityError
from bedside_agent.uplink.claim import Claim
from bedside_agent.uplink.enrolment import enrol
from bedside_agent.uplink.identity import Identity

CODE = "K7Q2-XY9"
CA = certificates.Authority()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EstServer]:
    with est_server(CA, {HUB: CODE}, tmp_path / "est") as running:
        yield running


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path / "state" / "identity")


def claim(server: EstServer, *, root: bytes = CA.root.der, code: str = CODE, host: str = "localhost") -> Claim:
    return Claim(f"https://{host}:{server.port}", "localhost", 8883, HUB, code, trust.fingerprint(root))


def test_a_claim_becomes_an_identity_and_the_key_stays(server: EstServer, identity: Identity) -> None:
    enrol(claim(server), identity)
    assert identity.is_enrolled()
    assert identity.key.stat().st_mode & 0o777 == 0o600
    assert identity.directory.stat().st_mode & 0o777 == 0o700
    assert identity.root_der() == CA.root.der
    assert identity.chain.read_bytes().count(b"BEGIN CERTIFICATE") == 2
    identity.tls_context()
    assert server.paths == ["/.well-known/est/cacerts", "/.well-known/est/simpleenroll"]
    assert not list(identity.directory.glob("*.part"))


def test_a_claim_works_once(server: EstServer, identity: Identity, tmp_path: Path) -> None:
    enrol(claim(server), identity)
    with pytest.raises(EnrolmentError, match="refused the claim") as raised:
        enrol(claim(server), Identity(tmp_path / "other"))
    assert not raised.value.retry
    assert CODE not in str(raised.value)


def test_a_repeated_enrolment_asks_for_the_same_key(server: EstServer, identity: Identity) -> None:
    server.answer = (503, b"")
    with pytest.raises(EnrolmentError, match="answered 503") as raised:
        enrol(claim(server), identity)
    assert raised.value.retry
    assert not identity.is_enrolled()
    key = identity.key.read_bytes()
    server.answer = None
    enrol(claim(server), identity)
    assert identity.key.read_bytes() == key


def test_a_root_that_the_claim_does_not_name_is_not_told_the_claim(server: EstServer, identity: Identity) -> None:
    with pytest.raises(EnrolmentError, match="does not have the root"):
        enrol(claim(server, root=certificates.Authority().root.der), identity)
    assert server.paths == ["/.well-known/est/cacerts"]
    assert not identity.directory.exists()


def test_a_server_between_that_passes_on_the_right_root_is_not_told_the_claim(
    identity: Identity, tmp_path: Path
) -> None:
    impostor = certificates.Authority()
    with est_server(impostor, {HUB: CODE}, tmp_path / "impostor") as server:
        server.cacerts = lambda: EstServer(CA, {}).cacerts()  # type: ignore[method-assign]
        with pytest.raises(EnrolmentError, match="cannot be reached"):
            enrol(claim(server), identity)
        assert server.paths == ["/.well-known/est/cacerts"]
    assert not identity.is_enrolled()


def foreign_answers() -> list[tuple[bytes, str]]:
    other = certificates.Authority()
    wrong_key = EstServer(CA, {HUB: CODE})
    request = trust.certificate_request(trust.new_key(), HUB)
    return [
        (b"", "no certificates"),
        (b"!!!", "no certificates"),
        (b"MAA=", "no certificates"),
        (wrong_key.simpleenroll(HUB, CODE, request)[1], "no certificate for this hub's key"),
        (EstServer(other, {HUB: CODE}).simpleenroll(HUB, CODE, request)[1], "no certificate for this hub's key"),
    ]


@pytest.mark.parametrize(("answer", "reason"), foreign_answers())
def test_an_answer_that_is_not_this_hubs_certificate_is_not_kept(
    server: EstServer, identity: Identity, answer: bytes, reason: str
) -> None:
    server.answer = (200, answer)
    with pytest.raises(EnrolmentError, match=reason):
        enrol(claim(server), identity)
    assert not identity.is_enrolled()
    assert not identity.root.exists()


def test_a_certificate_of_another_root_or_for_another_hub_is_not_kept(server: EstServer, identity: Identity) -> None:
    key = identity.key_pem()
    other_root = EstServer(certificates.Authority(), {HUB: CODE})
    server.answer = other_root.simpleenroll(HUB, CODE, trust.certificate_request(key, HUB))
    with pytest.raises(EnrolmentError, match="does not lead to the root"):
        enrol(claim(server), identity)
    other_hub = EstServer(CA, {HUB: CODE})
    server.answer = other_hub.simpleenroll(HUB, CODE, trust.certificate_request(key, "hub-0002"))
    with pytest.raises(EnrolmentError, match="for another hub"):
        enrol(claim(server), identity)
    assert not identity.is_enrolled()


def test_nobody_there(identity: Identity, server: EstServer) -> None:
    unreachable = Claim("https://localhost:1", "localhost", 8883, HUB, CODE, "0" * 64)
    with pytest.raises(EnrolmentError, match="cannot be reached") as raised:
        enrol(unreachable, identity)
    assert raised.value.retry


def test_a_hub_without_identity_says_how_to_get_one(identity: Identity) -> None:
    with pytest.raises(IdentityError) as raised:
        identity.tls_context()
    assert raised.value.fix.startswith("bedside-agent init")
    assert not identity.is_enrolled()
