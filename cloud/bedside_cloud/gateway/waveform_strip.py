"""An electrocardiogram as SVG, on the paper that clinicians know: 25 mm a second and 10 mm a millivolt. Pure.

One unit of the picture is a millimetre of that paper. Gaps are gaps: no line is drawn across samples that are missing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bedside_cloud.contracts.readings import WaveformPiece
from bedside_cloud.gateway.wording import clock

STRIP_SECONDS = 10
MM_A_SECOND = 25
MM_A_MILLIVOLT = 10
HEIGHT_MM = 40
WIDTH_MM = STRIP_SECONDS * MM_A_SECOND

JOINED_SECONDS = 0.3
"""Pieces bear the time at which the hub heard them, which comes unevenly: what lies closer is one line."""


@dataclass(frozen=True, slots=True)
class Strip:
    """The newest seconds of a signal. `until_ms` is when the last sample was taken."""

    device_id: str
    until_ms: int
    picture: str


def strip(pieces: Sequence[WaveformPiece]) -> Strip | None:
    """The last `STRIP_SECONDS` of the device that was heard last; None when there is nothing to show."""
    if not pieces:
        return None
    last = max(pieces, key=_end_ms)
    until_ms = _end_ms(last)
    own = [one for one in pieces if one.device_id == last.device_id and _end_ms(one) > until_ms - STRIP_SECONDS * 1000]
    # The skin's own voltage wanders: what lies in the middle of it is drawn in the middle of the paper.
    middle_uv = median(sample for one in own for sample in one.samples)
    lines = "".join(
        f'<polyline points="{" ".join(line)}"/>' for line in _lines(own, until_ms, middle_uv) if len(line) > 1
    )
    label = f"Electrocardiogram, {STRIP_SECONDS} seconds until {clock(until_ms)}, 25 mm a second, 10 mm a millivolt"
    picture = (
        f'<svg class="strip" role="img" viewBox="0 0 {WIDTH_MM} {HEIGHT_MM}" aria-label="{label}">'
        f'<title>{label}</title>{_paper()}<g class="wave">{lines}</g></svg>'
    )
    return Strip(last.device_id, until_ms, picture)


def _end_ms(piece: WaveformPiece) -> int:
    return piece.taken_at_ms + round((len(piece.samples) - 1) * 1000 / piece.rate_hz)


def _lines(pieces: Sequence[WaveformPiece], until_ms: int, middle_uv: float) -> Iterator[list[str]]:
    line: list[str] = []
    goes_on_at = 0.0
    for piece in sorted(pieces, key=lambda one: one.taken_at_ms):
        at = STRIP_SECONDS - (until_ms - piece.taken_at_ms) / 1000
        if line and abs(at - goes_on_at) <= JOINED_SECONDS:
            at = goes_on_at
        elif line:
            yield line
            line = []
        for place, sample in enumerate(piece.samples):
            seconds = at + place / piece.rate_hz
            height = HEIGHT_MM / 2 - (sample - middle_uv) / 1000 * MM_A_MILLIVOLT
            if seconds >= 0:
                line.append(f"{seconds * MM_A_SECOND:.2f},{min(max(height, 0), HEIGHT_MM):.2f}")
        goes_on_at = at + len(piece.samples) / piece.rate_hz
    yield line


def _paper() -> str:
    small = _grid(range(WIDTH_MM + 1), range(HEIGHT_MM + 1))
    large = _grid(range(0, WIDTH_MM + 1, 5), range(0, HEIGHT_MM + 1, 5))
    return f'<path class="small" d="{small}"/><path class="large" d="{large}"/>'


def _grid(across: range, down: range) -> str:
    return "".join([f"M{x} 0V{HEIGHT_MM}" for x in across] + [f"M0 {y}H{WIDTH_MM}" for y in down])
