"""The claim text that a technician pastes."""

import pytest

from bedside_agent.uplink.claim import Claim, ClaimError, parse_address, parse_claim

CA = "ab" * 32
TEXT = f"bedside:1?est=https://est.example:8443&broker=broker.example:8883&hub=hub-0001&claim=K7Q2-XY%2B9&ca={CA}"


def test_a_claim_is_read() -> None:
    expected = Claim("https://est.example:8443", "broker.example", 8883, "hub-0001", "K7Q2-XY+9", CA)
    assert parse_claim(TEXT) == expected
    assert parse_claim(f"  {TEXT}\n") == expected
    assert "K7Q2" not in repr(expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not begin"),
        ("bedside:2?" + TEXT.partition("?")[2], "does not begin"),
        (TEXT.replace("&hub=hub-0001", ""), "lacks hub"),
        ("bedside:1?", "lacks est, broker, hub, claim, ca"),
        (TEXT.replace("https", "http"), "not an https"),
        (TEXT.replace("hub-0001", "Hub_1"), "hub's id"),
        (TEXT.replace(":8883", ""), "HOST:PORT"),
        (TEXT.replace(":8883", ":99999"), "HOST:PORT"),
        (TEXT[:-1], "SHA-256"),
        (TEXT[:-1] + "g", "SHA-256"),
    ],
)
def test_a_damaged_claim_says_what_is_wrong_and_not_its_code(text: str, reason: str) -> None:
    with pytest.raises(ClaimError, match=reason) as raised:
        parse_claim(text)
    assert "K7Q2" not in str(raised.value)


def test_addresses() -> None:
    assert parse_address("[::1]:8883") == ("::1", 8883)
    for wrong in ("host", "host:", ":1", "host:x", "host:1/path", ""):
        with pytest.raises(ClaimError):
            parse_address(wrong)
