"""Labels for hubs, ready to print: who it is, its claim as QR code and as words. Only importer of reportlab."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from reportlab.graphics import renderPDF
from reportlab.graphics.barcode.qr import QrCodeWidget
from reportlab.graphics.shapes import Drawing
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

WIDTH_MM, HEIGHT_MM = 90, 55
COLUMNS, ROWS = 2, 5
MARGIN_MM = 5
QR_MM = 43
"""Read by a telephone from a hand's width, with a fingerprint and an address in it."""
PAGE_QR_MM = 17


@dataclass(frozen=True, slots=True)
class Label:
    """What one label says. `text` is the whole claim, `good_until` a date for a person, `page` what the family's
    telephones scan."""

    hub_id: str
    code: str
    text: str
    good_until: str
    page: str
    pairing: str
    """The code in that page's address, in words: the password of the Wi-Fi that a hub without a network opens."""


def labels_pdf(labels: Sequence[Label]) -> bytes:
    """A4 pages of ten labels each, with lines to cut along."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=True)
    canvas.setTitle("Bedside hub labels")
    per_page = COLUMNS * ROWS
    for number, label in enumerate(labels):
        place = number % per_page
        if number and place == 0:
            canvas.showPage()
        column, row = place % COLUMNS, place // COLUMNS
        left = (A4[0] - COLUMNS * WIDTH_MM * mm) / 2 + column * WIDTH_MM * mm
        top = A4[1] - (A4[1] - ROWS * HEIGHT_MM * mm) / 2 - row * HEIGHT_MM * mm
        _draw(canvas, label, left, top - HEIGHT_MM * mm)
    canvas.save()
    return out.getvalue()


def _draw(canvas: Canvas, label: Label, left: float, bottom: float) -> None:
    canvas.setLineWidth(0.3)
    canvas.setDash(2, 2)
    canvas.rect(left, bottom, WIDTH_MM * mm, HEIGHT_MM * mm)
    canvas.setDash()
    _qr(canvas, label.text, left + MARGIN_MM * mm, bottom + (HEIGHT_MM - QR_MM) / 2 * mm, QR_MM)
    words = left + (MARGIN_MM + QR_MM + 2) * mm
    line = bottom + (HEIGHT_MM - MARGIN_MM - 5) * mm
    canvas.setFont("Helvetica-Bold", _fitting(label.hub_id, 14))
    canvas.drawString(words, line, label.hub_id)
    canvas.setFont("Courier-Bold", 11)
    for group in _groups(label.code):
        line -= 5.2 * mm
        canvas.drawString(words, line, group)
    canvas.setFont("Helvetica", 7)
    for text in ("Good once, for this hub", f"until {label.good_until}.", "bedside-agent init --claim"):
        line -= 3.6 * mm
        canvas.drawString(words, line, text)
    _qr(canvas, label.page, words - 2 * mm, bottom + mm, PAGE_QR_MM)
    canvas.setFont("Helvetica", 6)
    beside = words + (PAGE_QR_MM + 1) * mm
    for number, text in enumerate(("The family's", "telephones. The", "hub's own Wi-Fi:")):
        canvas.drawString(beside, bottom + (14 - 2.6 * number) * mm, text)
    canvas.setFont("Courier-Bold", 8)
    first, *rest = _groups(label.pairing)
    # It is typed as it stands, with every hyphen.
    for number, text in enumerate((f"{first}-", *rest)):
        canvas.drawString(beside, bottom + (5.8 - 3.2 * number) * mm, text)


def _groups(code: str) -> list[str]:
    """Two groups of the code a line: what a person reads out without losing the place."""
    groups = code.split("-")
    return ["-".join(groups[at : at + 2]) for at in range(0, len(groups), 2)]


def _fitting(text: str, points: int) -> float:
    """A size in which the text stays on the label."""
    return min(points, (WIDTH_MM - 2 * MARGIN_MM - QR_MM - 2) * mm / max(1, len(text)) / 0.62)


def _qr(canvas: Canvas, text: str, left: float, bottom: float, side_mm: float) -> None:
    code = QrCodeWidget(text, barLevel="M")
    x1, y1, x2, y2 = code.getBounds()
    size = side_mm * mm
    drawing = Drawing(size, size, transform=[size / (x2 - x1), 0, 0, size / (y2 - y1), 0, 0])
    drawing.add(code)
    renderPDF.draw(drawing, canvas, left, bottom)
