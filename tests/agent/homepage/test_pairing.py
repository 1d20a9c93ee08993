"""Telephones of the household see values once they know the code on the label; nobody else does, and nobody guesses."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bedside_agent.homepage.pairing import COOKIE, MOST_WRONG, REST_SECONDS, Pairing, keep_code, kept_code
from bedside_profiles.pairing_code import PATTERN, new_pairing_code

CODE = "abcd-efgh-jkmn-pqrs"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def paired(code: str | None = CODE) -> tuple[Pairing, Clock]:
    clock = Clock()
    return Pairing(lambda: code, clock), clock


def test_who_knows_the_code_is_paired_and_nobody_else() -> None:
    pairing, _ = paired()
    cookie = pairing.pair(CODE)
    assert pairing.knows(cookie)
    assert CODE not in str(cookie)
    for other in (None, "", CODE, "0" * 64, "é"):
        assert not pairing.knows(other)


@given(st.text(max_size=30))
def test_another_text_pairs_nobody(text: str) -> None:
    pairing, _ = paired()
    assert (pairing.pair(text) is not None) == (text == CODE)


def test_without_a_code_nobody_is_paired() -> None:
    pairing, _ = paired(None)
    assert pairing.pair("") is None
    assert not pairing.knows("")


def test_another_code_unpairs_everybody() -> None:
    codes = [CODE]
    pairing = Pairing(lambda: codes[0], Clock())
    cookie = pairing.pair(CODE)
    codes[0] = "zzzz-zzzz-zzzz-zzzz"
    assert not pairing.knows(cookie)


def test_guessing_is_slowed_down_for_everybody_and_paired_telephones_go_on() -> None:
    pairing, clock = paired()
    cookie = pairing.pair(CODE)
    for _ in range(MOST_WRONG):
        assert pairing.pair("wrong") is None
    assert pairing.pair(CODE) is None, "not even the right one, for a while"
    assert pairing.knows(cookie)
    clock.now = REST_SECONDS + 1
    assert pairing.pair(CODE) == cookie


def test_a_code_has_its_shape_and_is_never_the_same() -> None:
    codes = {new_pairing_code() for _ in range(100)}
    assert len(codes) == 100
    assert all(PATTERN.fullmatch(code) for code in codes)


def test_it_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    assert kept_code(tmp_path) is None
    keep_code(tmp_path, CODE)
    assert kept_code(tmp_path) == CODE
    assert (tmp_path / "pairing").stat().st_mode & 0o777 == 0o600
    (tmp_path / "pairing").write_bytes(b"\xff\xfe")
    assert kept_code(tmp_path) is None


def test_the_cookie_keeps_its_name_and_value() -> None:
    """Telephones that are paired would be unpaired by another one."""
    pairing, _ = paired()
    assert COOKIE == "bedside_phone"
    assert pairing.pair(CODE) == "6eb5da5d889102486af43f183666cdcc06cecdffbacf9952e026f4d6ecf54a72"
