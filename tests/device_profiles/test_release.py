"""The text that a release key signs: written and read the same, and nothing else is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.errors import MalformedError
from bedside_profiles.release import MOST_BUNDLE_BYTES, Release, read_release, release_text

DIGEST = "ab" * 32
TEXT = f"bedside-release-v1\nversion 1.2.0\nsha256 {DIGEST}\nbytes 7\nolder no\n"

releases = st.builds(
    Release,
    st.lists(st.integers(0, 999_999).map(str), min_size=2, max_size=4).map(".".join),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.integers(1, MOST_BUNDLE_BYTES),
    st.booleans(),
)


@given(releases)
def test_what_is_written_is_read(release: Release) -> None:
    assert read_release(release_text(release)) == release


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT[:-1],
        TEXT + "\n",
        TEXT + "version 9.9\n",
        TEXT.replace("v1", "v2"),
        TEXT.replace("1.2.0", "1.2.0-rc1"),
        TEXT.replace("1.2.0", "1"),
        TEXT.replace("1.2.0", "1.2.0; reboot"),
        TEXT.replace(DIGEST, DIGEST.upper()),
        TEXT.replace("bytes 7", "bytes 0"),
        TEXT.replace("bytes 7", f"bytes {MOST_BUNDLE_BYTES + 1}"),
        TEXT.replace("older no", "older maybe"),
        TEXT.replace("\n", "\r\n"),
    ],
)
def test_nothing_else_is_read(text: str) -> None:
    with pytest.raises(MalformedError):
        read_release(text)


def test_a_version_that_could_not_be_read_again_is_not_signed() -> None:
    with pytest.raises(MalformedError):
        release_text(Release("1.2.0-rc1", DIGEST, 7))
