"""A version of the hub's software as its release key signs it: a few lines of text that name one file by its SHA-256.

The text is signed and not the file: who checks it as root (`systemd/update`) reads five short lines with `sed`, and
believes nothing of the file before its digest is the one that they name.
"""

import re
from dataclasses import dataclass

from bedside_profiles.errors import MalformedError

HEAD = "bedside-release-v1"
MOST_TEXT_BYTES = 512
MOST_BUNDLE_BYTES = 256 * 1024 * 1024

_TEXT = re.compile(
    HEAD + r"\nversion ([0-9]{1,6}(?:\.[0-9]{1,6}){1,3})\nsha256 ([0-9a-f]{64})\nbytes ([1-9][0-9]{0,9})\n"
    r"older (yes|no)\n"
)


@dataclass(frozen=True, slots=True)
class Release:
    """`sha256` (hexadecimal) and `size_bytes` are the bundle's. `may_be_older` lets a hub go back to it from a later
    version: without it nobody who holds an old bundle can bring an old fault back."""

    version: str
    sha256: str
    size_bytes: int
    may_be_older: bool = False


def release_text(release: Release) -> str:
    """What is signed. MalformedError for a release that could not be read again."""
    older = "yes" if release.may_be_older else "no"
    text = f"{HEAD}\nversion {release.version}\nsha256 {release.sha256}\nbytes {release.size_bytes}\nolder {older}\n"
    if read_release(text) != release:
        raise MalformedError("release", "does not read as it was written")
    return text


def read_release(text: str) -> Release:
    """The release that a signed text names. MalformedError for any other text."""
    found = _TEXT.fullmatch(text)
    if found is None or int(found[3]) > MOST_BUNDLE_BYTES:
        raise MalformedError("release", "is no text of a release")
    return Release(found[1], found[2], int(found[3]), found[4] == "yes")
