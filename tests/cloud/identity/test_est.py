"""EST as anybody speaks it: curl and openssl alone, against the real listener, identity, broker and database."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from tests.support.database import TestDatabase
from tests.support.desk import DAY, EST, HUB, Desk, open_desk, ran
from tests.support.nats import TestBroker

from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts.identity_administration import (
    INCIDENT_SETTLE,
    INCIDENTS,
    Access,
    IncidentKind,
    IncidentList,
    IncidentRequest,
)
from bedside_cloud.contracts.message import Empty
from bedside_cloud.engines.certificates import authority


@pytest.fixture
async def desk(
    broker: TestBroker, database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    async with open_desk(broker, database, tmp_path, monkeypatch) as opened:
        yield opened


async def test_curl_and_openssl_alone_enrol_and_renew(desk: Desk) -> None:
    status, body = await desk.curl(EST + "/cacerts")
    assert status == 200
    authorities = desk.keep("authorities", body).certificate_file
    status, body = await desk.curl(EST + "/csrattrs")
    (desk.folder / "attributes").write_bytes(base64.b64decode(body))
    wanted = ran("openssl", "asn1parse", "-inform", "DER", "-in", desk.folder / "attributes").decode()
    assert [name in wanted for name in ("id-ecPublicKey", "prime256v1", "ecdsa-with-SHA256", "serialNumber")] == [
        True
    ] * 4

    first = await desk.enrolled()
    second = await desk.renewed(first, "second")
    for one in (first, second):
        verify = ("openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", desk.ca)
        assert b": OK" in ran(*verify, "-untrusted", authorities, one.certificate_file)
        text = ran("openssl", "x509", "-in", one.certificate_file, "-noout", "-text").decode()
        assert f"Subject: CN = {HUB}\n" in text
        assert "CA:FALSE" in text
    assert await desk.let_in(first)
    assert await desk.let_in(second, f"{HUB}~renewal")
    assert await desk.let_in(second)
    assert [deed for _, deed in desk.deeds()][:3] == ["claim_made", "hub_enrolled", "certificate_renewed"]


async def test_once_the_new_certificate_is_used_the_old_one_is_refused_everywhere(desk: Desk) -> None:
    first = await desk.enrolled()
    await asyncio.sleep(1.1)  # certificates tell whole seconds
    second = await desk.renewed(first, "second")
    assert await desk.let_in(first), "the renewal is not proven yet"
    assert await desk.let_in(second, f"{HUB}~renewal")
    assert await desk.let_in(first), "the proof alone replaces nothing: the hub may not have kept it"
    assert await desk.let_in(second)
    await desk.until_refused(first)
    status, body = await desk.renew(first, "third")
    assert (status, b"replaced" in body) == (401, True)
    assert await desk.incidents() == [IncidentKind.REPLACED_CERTIFICATE]
    serial = x509.load_pem_x509_certificate(first.certificate_file.read_bytes()).serial_number
    assert serial in await revoked_by_list(desk)
    assert ("hub-7", "certificate_superseded") in desk.deeds()
    assert await desk.let_in(second)


async def revoked_by_list(desk: Desk) -> dict[int, str]:
    """Serial numbers with their reasons; the list is checked by openssl."""
    der = desk.folder / "list.crl"
    status, body = await desk.curl("/crl/issuing.crl")
    assert status == 200
    der.write_bytes(body)
    issuing = desk.broker.state.certificates.certificate_file("issuing")
    ran("openssl", "crl", "-inform", "DER", "-in", der, "-CAfile", issuing, "-noout", "-text")
    found = x509.load_der_x509_crl(body)
    return {
        one.serial_number: one.extensions.get_extension_for_class(x509.CRLReason).value.reason.value for one in found
    }


async def test_a_hub_that_was_away_for_sixty_days_comes_back_by_itself(desk: Desk) -> None:
    desk.clock[0] = -90 * DAY
    first = await desk.enrolled()
    desk.clock[0] = timedelta()
    assert not await desk.let_in(first), "its certificate ended sixty days ago"
    second = await desk.renewed(first, "second")
    assert await desk.let_in(second)


async def test_after_a_year_a_claim_is_needed(desk: Desk) -> None:
    desk.clock[0] = -400 * DAY
    first = await desk.enrolled()
    desk.clock[0] = timedelta()
    status, body = await desk.renew(first, "second")
    assert (status, b"needs a claim" in body) == (401, True)


async def test_who_may_not_be_let_in_gets_no_certificate(desk: Desk) -> None:
    first = await desk.enrolled()
    await desk.access(Access.SUSPENDED)
    assert (await desk.renew(first, "second"))[0] == 403
    await desk.access(Access.ACTIVE)
    assert (await desk.renew(first, "third"))[0] == 200
    await desk.access(Access.REVOKED)
    assert (await desk.renew(first, "fourth"))[0] == 403
    assert set((await revoked_by_list(desk)).values()) == {"cessationOfOperation"}
    assert [deed for _, deed in desk.deeds()].count("certificate_revoked") == 2


async def test_without_a_certificate_or_with_a_stranger_s_nothing_is_renewed(desk: Desk) -> None:
    assert (await desk.curl(EST + "/simplereenroll", body=desk.request("nobody")))[0] == 401
    ran(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"),
        *("-subj", f"/CN={HUB}", "-keyout", desk.folder / "own.key", "-out", desk.folder / "own.pem"),
    )
    options = ("--cert", str(desk.folder / "own.pem"), "--key", str(desk.folder / "own.key"))
    with pytest.raises(AssertionError, match="b'000'"):
        await desk.curl(EST + "/simplereenroll", *options, body=desk.request("own"))
    assert desk.deeds() == []


async def test_a_stolen_claim_a_replayed_request_and_a_copied_key_are_told_to_the_technician(desk: Desk) -> None:
    claim = await desk.claim()
    request = desk.request("first")
    status, body = await desk.curl(EST + "/simpleenroll", "--user", f"{HUB}:{claim}", body=request)
    assert status == 200
    first = desk.keep("first", body)
    again = await desk.curl(EST + "/simpleenroll", "--user", f"{HUB}:{claim}", body=desk.request("thief"))
    assert again[0] == 401
    assert await desk.incidents() == [IncidentKind.CLAIM_USED_AGAIN]
    assert (await desk.renew(first, "", request=request))[0] == 400
    assert IncidentKind.REQUEST_REPLAYED in await desk.incidents()
    other = await desk.claim("hub-8")
    copied = desk.request("first", "hub-8")
    assert (await desk.curl(EST + "/simpleenroll", "--user", f"hub-8:{other}", body=copied))[0] == 400
    assert IncidentKind.KEY_OF_ANOTHER in await desk.incidents()
    misled = await desk.curl(EST + "/simpleenroll", "--user", f"hub-9:{other}", body=desk.request("nine", "hub-9"))
    assert misled[0] == 401
    assert await desk.incidents() == [
        IncidentKind.CLAIM_OF_ANOTHER,
        IncidentKind.KEY_OF_ANOTHER,
        IncidentKind.REQUEST_REPLAYED,
        IncidentKind.CLAIM_USED_AGAIN,
    ]
    # None of this has harmed the claim or the hub.
    assert (await desk.curl(EST + "/simpleenroll", "--user", f"hub-8:{other}", body=desk.request("eight", "hub-8")))[
        0
    ] == 200
    assert await desk.let_in(first)
    await settled(desk)


async def settled(desk: Desk) -> None:
    """Each incident is cleared up once, and by whom is written down."""
    for one in (await desk.operator.request(INCIDENTS, Empty(), IncidentList)).incidents:
        await desk.operator.request(INCIDENT_SETTLE, IncidentRequest(incident_id=one.incident_id), IncidentList)
    assert await desk.incidents() == []
    with pytest.raises(RefusedError):
        await desk.operator.request(INCIDENT_SETTLE, IncidentRequest(incident_id=1), IncidentList)
    assert [who for who, deed in desk.deeds() if deed == "incident_settled"] == ["operator"] * 4


async def test_a_claim_for_one_computer_is_of_no_use_to_another(desk: Desk) -> None:
    claim = await desk.claim(serial="10000000c0ffee00")
    user = f"{HUB}:{claim}"
    for serial in ("", "10000000c0ffee01"):
        request = desk.request("other", serial=serial)
        assert (await desk.curl(EST + "/simpleenroll", "--user", user, body=request))[0] == 401
    request = desk.request("right", serial="10000000c0ffee00")
    assert (await desk.curl(EST + "/simpleenroll", "--user", user, body=request))[0] == 200


async def test_an_address_that_is_wrong_too_often_has_to_wait(desk: Desk) -> None:
    claim = await desk.claim()
    for _ in range(10):
        assert (await desk.curl(EST + "/simpleenroll", "--user", f"{HUB}:WRONG", body=desk.request("first")))[0] == 401
    status, body = await desk.curl(EST + "/simpleenroll", "--user", f"{HUB}:{claim}", body=desk.request("first"))
    assert (status, b"Too many" in body) == (429, True)


async def test_a_hub_gets_only_so_many_certificates_in_an_hour(desk: Desk) -> None:
    first = await desk.enrolled()
    for number in range(9):
        assert (await desk.renew(first, f"next-{number}"))[0] == 200
    assert (await desk.renew(first, "one-too-many"))[0] == 429
    with psycopg.connect(desk.database.superuser_dsn) as connection:
        connection.execute("UPDATE identity.certificates SET issued_at = issued_at - interval '1 hour'")
    assert (await desk.renew(first, "later"))[0] == 200


async def test_whoever_shows_a_certificate_may_also_enrol_with_it(desk: Desk) -> None:
    first = await desk.enrolled()
    assert (await desk.renew(first, "second", path=EST + "/simpleenroll"))[0] == 200


async def test_another_issuing_authority_takes_over_while_hubs_go_on(
    broker: TestBroker, database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub with a certificate of the one before is let in, renews, and is listed where it was issued."""
    files, state = broker.state.certificates, broker.state
    async with open_desk(broker, database, tmp_path, monkeypatch) as desk:
        first = await desk.enrolled()
        before = x509.load_pem_x509_certificate(first.certificate_file.read_bytes())
    earlier = authority.serial_hex(files.issuing(state.issuing_passphrase.reveal()).certificate)
    files.rotate(state.root_passphrase.reveal(), state.issuing_passphrase.reveal(), datetime.now(UTC))
    await asyncio.sleep(1.1)  # certificates tell whole seconds
    async with open_desk(broker, database, tmp_path, monkeypatch) as desk:
        assert await desk.let_in(first)
        second = await desk.renewed(first, "second")
        issuing = files.certificate_file("issuing")
        verify = ("openssl", "verify", "-x509_strict", "-CAfile", desk.ca, "-untrusted", issuing)
        assert b": OK" in ran(*verify, second.certificate_file)
        assert await desk.let_in(second)
        await desk.until_refused(first)
        status, body = await desk.curl(f"/crl/{earlier}.crl")
        assert status == 200
        listed = x509.load_der_x509_crl(body)
        assert listed.get_revoked_certificate_by_serial_number(before.serial_number) is not None
        old_key = x509.load_pem_x509_certificate(files.certificate_file(f"earlier-{earlier}").read_bytes()).public_key()
        assert listed.is_signature_valid(old_key)  # type: ignore[arg-type]
        assert (await desk.curl("/crl/feed.crl"))[0] == 404


async def test_a_hub_that_renewed_after_the_backup_that_was_restored_goes_on(desk: Desk) -> None:
    """The database knows nothing of its certificate, and of none that it could show instead."""
    first = await desk.enrolled()
    await asyncio.sleep(1.1)  # certificates tell whole seconds
    second = await desk.renewed(first, "second")
    assert await desk.let_in(second)
    await desk.until_refused(first)
    serial = authority.serial_hex(x509.load_pem_x509_certificate(second.certificate_file.read_bytes()))
    with psycopg.connect(desk.database.superuser_dsn) as connection:
        connection.execute("DELETE FROM identity.certificates WHERE serial = %s", (serial,))
        connection.execute("UPDATE identity.certificates SET revoked_at = NULL, revoked_for = NULL")
        connection.execute("UPDATE identity.hubs SET adopted_issued_at = refuse_issued_before")
        connection.execute("UPDATE identity.access_version SET version = version + 1")
    assert await desk.let_in(second)
    third = await desk.renewed(second, "third")
    assert await desk.let_in(third)
