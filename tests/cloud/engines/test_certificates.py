"""The cluster's certificates."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.verification import PolicyBuilder, Store

from bedside_cloud.engines.certificates import authority
from bedside_cloud.engines.certificates.files import CertificateFiles
from bedside_cloud.engines.certificates.requests import RequestError, hub_request
from bedside_cloud.engines.certificates.signing import is_signed_by, sign

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = ("127.0.0.1", "localhost")


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    made = CertificateFiles(tmp_path / "certificates")
    made.prepare(NAMES, "root's", "issuing's", NOW)
    return made


def csr(name: str | None, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)] if name else [])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def test_a_server_certificate_is_good_for_its_names_up_to_the_root(files: CertificateFiles) -> None:
    leaf, chain = files.leaf("broker")
    verifier = PolicyBuilder().store(Store([files.root()])).time(NOW).build_server_verifier(x509.DNSName("localhost"))
    assert verifier.verify(leaf.certificate, chain[1:])[-1] == files.root()


def test_a_hub_certificate_is_a_client_s_and_nothing_else(files: CertificateFiles) -> None:
    issuing = files.issuing("issuing's")
    hub = authority.issue_hub(issuing, "hub-1", authority.new_key().public_key(), NOW)
    verifier = PolicyBuilder().store(Store([files.root()])).time(NOW).max_chain_depth(2)
    assert authority.common_name(hub) == "hub-1"
    assert authority.may_be_client(hub)
    assert hub.not_valid_after_utc - NOW == timedelta(days=30)
    assert not authority.may_be_client(files.leaf("broker")[0].certificate)
    assert not authority.may_be_client(files.leaf("registry")[0].certificate)
    assert verifier is not None


def test_keys_of_the_authorities_are_encrypted_and_no_file_is_for_others(files: CertificateFiles) -> None:
    for name in ("root", "issuing"):
        assert b"ENCRYPTED" in files.key_file(name).read_bytes()
        with pytest.raises(ValueError, match=r"password|deserialize"):
            authority.key_from_pem(files.key_file(name).read_bytes(), "wrong")
    assert {path.stat().st_mode & 0o777 for path in files.ca_file.parent.iterdir()} == {0o600}


def test_a_second_start_keeps_everything_and_a_later_one_renews_leaves_alone(files: CertificateFiles) -> None:
    folder = files.ca_file.parent
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    files.prepare(NAMES, "root's", "issuing's", NOW + timedelta(days=59))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    files.prepare(NAMES, "root's", "issuing's", NOW + timedelta(days=61))
    changed = {path.name for path in folder.iterdir() if path.read_bytes() != first[path.name]}
    assert changed == {f"{name}.{kind}" for name in ("broker", "gateway", "est", "registry") for kind in ("pem", "key")}


def test_a_new_name_and_a_torn_renewal_make_a_new_leaf(files: CertificateFiles) -> None:
    files.prepare((*NAMES, "bedside.example.org"), "root's", "issuing's", NOW)
    assert "bedside.example.org" in authority.alternative_names(files.leaf("broker")[0].certificate)
    files.key_file("registry").write_bytes(authority.key_pem(authority.new_key()))
    files.prepare(NAMES, "root's", "issuing's", NOW)
    assert authority.belong_together(files.leaf("registry")[0])


def test_a_request_is_certified_for_its_own_hub_alone() -> None:
    key = authority.new_key()
    assert hub_request(csr("hub-1", key), "hub-1").key.public_numbers() == key.public_key().public_numbers()
    assert hub_request(csr(None, key), "hub-1").key.public_numbers() == key.public_key().public_numbers()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not a PKCS#10"),
        (b"\x30\x03\x02\x01\x00", "not a PKCS#10"),
        (csr("hub-2", authority.new_key()), "another hub"),
        (csr("hub-1", rsa.generate_private_key(65537, 2048)), "P-256"),
        (csr("hub-1", ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (csr("hub-1", authority.new_key())[:-1] + b"\x00", "its own key"),
    ],
)
def test_other_requests_are_refused(body: bytes, reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        hub_request(body, "hub-1")


def test_certificates_travel_as_a_certs_only_pkcs7(files: CertificateFiles) -> None:
    chain = files.leaf("broker")[1]
    assert set(pkcs7.load_der_pkcs7_certificates(authority.certificates_only(chain))) == set(chain)


def test_a_signature_is_of_one_document_and_one_key(files: CertificateFiles) -> None:
    leaf, _ = files.leaf("registry")
    signature = sign(leaf.key, b"plan")
    assert is_signed_by(leaf.certificate, b"plan", signature)
    assert not is_signed_by(leaf.certificate, b"other plan", signature)
    assert not is_signed_by(files.leaf("broker")[0].certificate, b"plan", signature)


def test_another_issuing_authority_takes_over_and_the_one_before_still_counts(files: CertificateFiles) -> None:
    first, hub = files.issuing("issuing's"), authority.new_key().public_key()
    old = authority.issue_hub(first, "hub-1", hub, NOW)
    for number in (1, 2):
        files.rotate("root's", "issuing's", NOW)
        assert len(files.earlier("issuing's")) == number
    present = files.issuing("issuing's")
    assert authority.belong_together(present)
    assert all(authority.belong_together(one) for one in files.earlier("issuing's"))
    assert authority.is_issued_by(present.certificate, files.root())
    assert not authority.is_issued_by(old, present.certificate)
    assert any(authority.is_issued_by(old, one.certificate) for one in files.earlier("issuing's"))
    files.prepare(NAMES, "root's", "issuing's", NOW)
    assert all(
        authority.is_issued_by(files.leaf(name)[0].certificate, present.certificate)
        for name in ("broker", "gateway", "est", "registry")
    )
    with pytest.raises(ValueError, match=r"password|deserialize"):
        files.rotate("wrong", "issuing's", NOW)
    files.key_file("root").unlink()
    with pytest.raises(FileNotFoundError):
        files.rotate("root's", "issuing's", NOW)
    assert files.issuing("issuing's").certificate == present.certificate


@pytest.mark.parametrize("cut_at", range(6))
def test_a_power_cut_in_a_rotation_leaves_one_whole_authority(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch, cut_at: int
) -> None:
    before, steps, replace = files.issuing("issuing's").certificate, 0, Path.replace

    def step(path: Path, target: Path) -> Path:
        nonlocal steps
        if steps == cut_at:
            raise KeyboardInterrupt
        steps += 1
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", step)
        with pytest.raises(KeyboardInterrupt):
            files.rotate("root's", "issuing's", NOW)
    files.prepare(NAMES, "root's", "issuing's", NOW)
    after = files.issuing("issuing's")
    assert authority.belong_together(after)
    assert (after.certificate == before) is (cut_at < 4), "from the fourth file on it is the next one"
    known = [one.certificate for one in files.earlier("issuing's")]
    assert before in (*known, after.certificate)
    files.rotate("root's", "issuing's", NOW)
    assert authority.belong_together(files.issuing("issuing's"))
