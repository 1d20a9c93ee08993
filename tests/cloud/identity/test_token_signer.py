"""Enrolment whose issuing key lives in a token: by curl and openssl, and while the token is away."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pkcs11
import pytest
from tests.support.database import TestDatabase
from tests.support.desk import open_desk, ran
from tests.support.nats import TestBroker
from tests.support.softhsm import new_token

from bedside_cloud.engines.certificates import token as token_module
from bedside_cloud.identity import enrolment


async def test_hubs_enrol_and_renew_with_a_key_that_nobody_has(
    broker: TestBroker, database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hsm").mkdir()
    token = new_token(tmp_path / "hsm", monkeypatch)
    state = broker.state
    files = state.certificates
    files.rotate(state.root_passphrase.reveal(), state.issuing_passphrase.reveal(), datetime.now(UTC), token.uri())
    async with open_desk(broker, database, tmp_path, monkeypatch) as desk:
        status, body = await desk.curl("/.well-known/est/cacerts")
        assert status == 200
        authorities = desk.keep("authorities", body).certificate_file
        first = await desk.enrolled()
        second = await desk.renewed(first, "second")
        verify = ("openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", desk.ca)
        for one in (first, second):
            assert b": OK" in ran(*verify, "-untrusted", authorities, one.certificate_file)
        assert await desk.let_in(second)
        assert (await desk.curl("/crl/issuing.crl"))[0] == 200

        token.unplug()
        await asyncio.to_thread(pkcs11.lib(str(token.module)).reinitialize)
        status, body = await desk.renew(second, "third")
        assert (status, b"cannot sign now" in body) == (503, True)
        assert await desk.let_in(second), "who is certified stays so"
        token.plug_in()

        # One that hangs: whoever has its turn does not give it up.
        monkeypatch.setattr(enrolment, "TOKEN_SECONDS", 0.3)
        with token_module._IN_TURN:
            status, body = await desk.renew(second, "while-it-hangs")
            assert (status, b"cannot sign now" in body) == (503, True)
            assert await desk.let_in(second)
        monkeypatch.setattr(enrolment, "TOKEN_SECONDS", 3.0)
        third = await desk.renewed(second, "fourth")
        assert await desk.let_in(third)
