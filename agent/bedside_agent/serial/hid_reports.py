"""A byte stream in USB HID reports, as Bayer's Contour meters carry theirs. Pure.

A report is 64 bytes both ways: `ABC`, how many bytes of the stream follow, at most 60 of them, and zeros. No document
of the maker says so; the free readers of these meters agree on it (Hammarquist's glucodump; glucometerutils).
"""

from collections.abc import Iterator

from bedside_profiles.errors import BedsideError

REPORT_BYTES = 64
MARK = b"ABC"
MOST_CONTENT_BYTES = REPORT_BYTES - len(MARK) - 1


class HidReportError(BedsideError):
    """These bytes are no report of this kind."""


def content_of(report: bytes) -> bytes:
    """The stream's bytes in one report, none in an empty one. Raises `HidReportError`."""
    if len(report) < len(MARK) + 1 or not report.startswith(MARK):
        raise HidReportError("a report that does not begin with ABC")
    size = report[len(MARK)]
    if size > min(MOST_CONTENT_BYTES, len(report) - len(MARK) - 1):
        raise HidReportError(f"a report of {len(report)} bytes that says it holds {size}")
    return report[len(MARK) + 1 :][:size]


def reports_of(data: bytes) -> Iterator[bytes]:
    """The reports that carry `data`, in order."""
    for at in range(0, len(data), MOST_CONTENT_BYTES):
        piece = data[at : at + MOST_CONTENT_BYTES]
        yield (MARK + bytes((len(piece),)) + piece).ljust(REPORT_BYTES, b"\0")
