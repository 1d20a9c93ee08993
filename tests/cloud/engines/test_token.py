"""Keys that never leave their token: a real PKCS#11 module, and what is said when it cannot be used."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pkcs11
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.cloud import bedside_cloud
from tests.support.desk import ran
from tests.support.softhsm import Token, new_token

from bedside_cloud.engines.certificates import authority
from bedside_cloud.engines.certificates.files import CertificateFiles
from bedside_cloud.engines.certificates.revocation import Revoked, RevokedFor, revocation_list
from bedside_cloud.engines.certificates.token import TokenError, TokenKey, TokenUri, make_token_key
from bedside_cloud.supervisor.state import State

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Token:
    return new_token(tmp_path, monkeypatch)


def signed(key: TokenKey, data: bytes = b"data") -> None:
    key.public_key().verify(key.sign(data, ec.ECDSA(hashes.SHA256())), data, ec.ECDSA(hashes.SHA256()))


def test_a_chain_and_a_list_that_openssl_believes(token: Token, tmp_path: Path) -> None:
    root = authority.make_root(NOW)
    issuing = authority.make_issuing(root, NOW, make_token_key(token.uri()))
    certificate = authority.issue_hub(issuing, "hub-7", authority.new_key().public_key(), NOW)
    for name, one in (("root", root.certificate), ("issuing", issuing.certificate), ("hub", certificate)):
        (tmp_path / f"{name}.pem").write_bytes(authority.certificate_pem(one))
    verify = ("openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-attime", str(int(NOW.timestamp())))
    chain = ("-CAfile", tmp_path / "root.pem", "-untrusted", tmp_path / "issuing.pem", tmp_path / "hub.pem")
    assert b": OK" in ran(*verify, *chain)
    der = revocation_list(issuing, [Revoked(certificate.serial_number, NOW, RevokedFor.COMPROMISED)], 1, NOW)
    (tmp_path / "list.crl").write_bytes(der)
    ran("openssl", "crl", "-inform", "DER", "-in", tmp_path / "list.crl", "-CAfile", tmp_path / "issuing.pem", "-noout")
    assert x509.load_der_x509_crl(der).is_signature_valid(issuing.key.public_key())


def test_the_key_does_not_leave_its_token(token: Token) -> None:
    key = make_token_key(token.uri())
    with pkcs11.lib(str(token.module)).get_token(token_label=token.label).open(user_pin="482913") as session:
        private = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label="issuing-1")
        for attribute, wanted in (
            (pkcs11.Attribute.SENSITIVE, True),
            (pkcs11.Attribute.EXTRACTABLE, False),
            (pkcs11.Attribute.ALWAYS_SENSITIVE, True),
            (pkcs11.Attribute.NEVER_EXTRACTABLE, True),
            (pkcs11.Attribute.LOCAL, True),
        ):
            assert private[attribute] is wanted
        with pytest.raises(pkcs11.AttributeSensitive):
            _ = private[pkcs11.Attribute.VALUE]
    with pytest.raises(NotImplementedError):
        key.private_numbers()
    with pytest.raises(NotImplementedError):
        authority.key_pem(key)
    assert all(b"BEGIN" not in one.read_bytes() for one in token.folder.rglob("*") if one.is_file())


def test_several_keys_and_threads_take_turns(token: Token) -> None:
    keys = [make_token_key(token.uri(name)) for name in ("issuing-1", "issuing-2")]
    again = [TokenKey(token.uri(name)) for name in ("issuing-1", "issuing-2")]
    assert [one.public_key() for one in keys] == [one.public_key() for one in again]
    failed: list[Exception] = []

    def sign_often(key: TokenKey) -> None:
        try:
            for _ in range(20):
                signed(key)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=sign_often, args=(key,)) for key in (*keys, *again)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_lost_session_is_opened_again_and_a_lost_token_is_said(token: Token) -> None:
    key = make_token_key(token.uri())
    signed(key)
    key._session.close()
    signed(key)
    token.unplug()
    pkcs11.lib(str(token.module)).reinitialize()
    with pytest.raises(TokenError, match="No token of that label is there"):
        signed(key)
    token.plug_in()
    signed(key)


def test_what_is_wrong_is_said_with_what_to_do(token: Token, tmp_path: Path) -> None:
    make_token_key(token.uri())
    wrong_pin = tmp_path / "wrong"
    wrong_pin.write_text("000000")
    no_module = tmp_path / "none.so"
    for uri, why in (
        (token.uri(pin_file=wrong_pin), "The PIN is wrong"),
        (token.uri(pin_file=tmp_path / "nowhere"), "cannot be read"),
        (token.uri(label="another"), "No token of that label"),
        (token.uri(name="another"), "has no key another"),
        (token.uri(module=no_module), "module cannot be loaded"),
    ):
        with pytest.raises(TokenError, match=why) as told:
            signed(TokenKey(uri))
        assert told.value.remedy, why
    with pytest.raises(TokenError, match="already"):
        make_token_key(token.uri())


def test_another_key_under_the_authoritys_name_signs_nothing(token: Token, tmp_path: Path) -> None:
    files = CertificateFiles(tmp_path / "certificates")
    files.prepare(("localhost",), "root", "issuing", NOW)
    files.rotate("root", "issuing", NOW, token.uri("issuing-1"))
    make_token_key(token.uri("issuing-2"))
    files.key_file("issuing").write_text(str(token.uri("issuing-2")))
    with pytest.raises(TokenError, match="not the authority's"):
        authority.issue_hub(files.issuing("issuing"), "hub-7", authority.new_key().public_key(), NOW)
    files.key_file("issuing").write_text(str(token.uri("issuing-1")))
    authority.issue_hub(files.issuing("issuing"), "hub-7", authority.new_key().public_key(), NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "file:key",
        "pkcs11:token=a",
        "pkcs11:token=a;object=b?module-path=/m",
        "pkcs11:object=b?pin-source=p",
    ],
)
def test_what_names_no_key_is_refused(text: str) -> None:
    with pytest.raises(TokenError):
        TokenUri.from_text(text)


def test_a_uri_survives_its_text_and_foreign_attributes() -> None:
    uri = TokenUri("ward 7", "issuing;1", Path("/usr/lib/a b.so"), Path("/etc/pin"))
    assert TokenUri.from_text(str(uri)) == uri
    longer = str(uri).replace("?", ";type=private?vendor=x&")
    assert TokenUri.from_text(longer) == uri


def test_only_ecdsa_with_sha256_is_asked_for(token: Token) -> None:
    key = make_token_key(token.uri())
    with pytest.raises(NotImplementedError):
        key.sign(b"data", ec.ECDSA(hashes.SHA512()))


def test_rotation_into_a_token_and_in_it_leaves_the_earlier_ones(token: Token, tmp_path: Path) -> None:
    files = CertificateFiles(tmp_path / "certificates")
    files.prepare(("localhost",), "root", "issuing", NOW)
    in_file = files.issuing("issuing")
    first = files.rotate("root", "issuing", NOW, token.uri("issuing-1"))
    second = files.rotate("root", "issuing", NOW, token.uri("issuing-2"))
    assert files.issuing("issuing").certificate == second
    earlier = {one.certificate: one.key for one in files.earlier("issuing")}
    assert set(earlier) == {in_file.certificate, first}
    assert isinstance(earlier[first], TokenKey)
    for one in (*files.earlier("issuing"), files.issuing("issuing")):
        assert authority.belong_together(one)
        assert x509.load_der_x509_crl(revocation_list(one, [], 1, NOW)).is_signature_valid(one.key.public_key())
    assert b"PRIVATE" not in files.key_file("issuing").read_bytes()
    files.prepare(("localhost", "broker.example"), "root", "issuing", NOW)
    leaf, chain = files.leaf("broker")
    assert authority.is_issued_by(leaf.certificate, second)
    assert chain[1] == second


def test_a_rotation_without_its_token_changes_nothing(token: Token, tmp_path: Path) -> None:
    files = CertificateFiles(tmp_path / "certificates")
    files.prepare(("localhost",), "root", "issuing", NOW)
    before = {one.name: one.read_bytes() for one in (tmp_path / "certificates").iterdir()}
    with pytest.raises(TokenError):
        files.rotate("root", "issuing", NOW, token.uri(label="another"))
    after = {one.name: one.read_bytes() for one in (tmp_path / "certificates").iterdir()}
    assert {name: after[name] for name in before} == before
    assert files.issuing("issuing").certificate.public_bytes(serialization.Encoding.PEM) == before["issuing.pem"]


def test_the_command_line_rotates_into_a_token(token: Token, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    state = private / "state"
    State.make(state)
    wrong = bedside_cloud("authority", "rotate", "--token", "token=a", state=state)
    assert (wrong.returncode, "names no key in a token" in wrong.stderr) == (1, True)
    done = bedside_cloud("authority", "rotate", "--token", str(token.uri()), state=state)
    assert done.returncode == 0, done.stderr
    shown = bedside_cloud("authority", "show", "--json", state=state)
    assert [part in shown.stdout for part in ("root", "issuing", "earlier")] == [True] * 3
    assert State.open(state).certificates.key_file("issuing").read_text().startswith("pkcs11:")
