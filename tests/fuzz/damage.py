"""What happens to a stream on its way: it is joined late, and bytes are lost, turned, repeated or added.

How much of it a format can bear follows from its checks, and so does what is done to it here; see `specimens.Guard`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.fuzz.choices import Choices

_KINDS, _WHOLE = 4, 10
"""Kinds of damage to a frame, and one above the last of the choices that leave it whole."""

LONGEST_PIECE = 12
"""Bytes that are lost, repeated or added at one place."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """The stream as it arrives, in the pieces in which it arrives. `repeats` tells that some of it came twice."""

    pieces: tuple[bytes, ...]
    repeats: bool


def damaged_once_a_frame(frames: Sequence[bytes], choices: Choices, longest_loss: int) -> Damaged:
    """One bit is turned, a run of bytes lost, a frame comes twice, or noise before it; behind it comes a whole one."""
    found = b""
    repeats = False
    was_damaged = False
    for frame in frames:
        damage = _WHOLE if was_damaged else choices.below(_WHOLE)
        was_damaged = damage < _KINDS
        match damage:
            case 0:
                at, bit = choices.below(len(frame)), choices.below(8)
                found += frame[:at] + bytes((frame[at] ^ 1 << bit,)) + frame[at + 1 :]
                continue
            case 1:
                at = choices.below(len(frame))
                found += frame[:at] + frame[at + 1 + choices.below(longest_loss) :]
                continue
            case 2:
                found += frame
                repeats = True
            case 3:
                found += choices.noise(1 + choices.below(LONGEST_PIECE))
        found += frame
    return Damaged(tuple(_cut(found[choices.below(8) * choices.below(8) :], choices)), repeats)


def damaged_between(frames: Sequence[bytes], choices: Choices) -> Damaged:
    """Whole frames, of which some are lost or come twice, with noise between them; joined late, and cut at the end."""
    found = b""
    repeats = False
    for frame in frames:
        match choices.below(8):
            case 0:
                continue
            case 1:
                found += frame
                repeats = True
            case 2:
                found += choices.noise(1 + choices.below(LONGEST_PIECE))
        found += frame
    found = found[choices.below(8) * choices.below(8) :]
    return Damaged(tuple(_cut(found[: len(found) - choices.below(LONGEST_PIECE)], choices)), repeats)


def damaged(stream: bytes, choices: Choices, *, apart: int | None) -> Damaged:
    """The stream with up to four places damaged."""
    found = bytearray(stream)
    repeats = False
    places = sorted((choices.below(len(stream)) for _ in range(choices.below(5))), reverse=True)
    last = len(stream) + (apart or 0)
    for at in places:
        if apart is not None and last - at < apart:
            continue
        last = at
        match choices.below(5):
            case 0:
                del found[at : at + 1 + choices.below(LONGEST_PIECE)]
            case 1:
                found[at:at] = choices.noise(1 + choices.below(LONGEST_PIECE))
            case 2:
                found[at:at] = found[at : at + 1 + choices.below(LONGEST_PIECE)]
                repeats = True
            case 3:
                del found[: choices.below(len(stream) // 4) if apart is None or at > apart else 0]
            case _:
                found[min(at, len(found) - 1)] ^= 1 << choices.below(8)
    return Damaged(tuple(_cut(bytes(found), choices)), repeats)


def _cut(stream: bytes, choices: Choices) -> list[bytes]:
    sizes = (1, 3, 7, 20, 64, 4096)
    pieces = []
    while stream:
        size = sizes[choices.below(len(sizes))]
        pieces.append(stream[:size])
        stream = stream[size:]
    return pieces
