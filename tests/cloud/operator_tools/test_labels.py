"""Labels of hubs: rendered as a printer does, read as a telephone does."""

import pypdfium2
import pytest
import zxingcpp

from bedside_agent.uplink.claim import parse_claim
from bedside_cloud.identity.claims import new_claim
from bedside_cloud.operator_tools.labels import Label, labels_pdf
from bedside_profiles.pairing_code import new_pairing_code

QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
"""As a telephone's camera looks for it: in so many dots a reader of everything finds bar codes that nobody drew."""

DOTS_PER_POINT = 300 / 72
"""A cheap office printer."""


def label(number: int, host: str = "cloud.example.org") -> Label:
    hub_id, code = f"ward-{number:03}", new_claim()
    text = f"bedside:1?est=https://{host}:8443&broker={host}:8883&hub={hub_id}&claim={code}&ca={'ab' * 32}"
    pairing = new_pairing_code()
    return Label(hub_id, code, text, "2026-12-24 12:00 UTC", f"http://bedside.local/?pair={pairing}", pairing)


@pytest.mark.parametrize(("count", "pages"), [(1, 1), (10, 1), (11, 2), (23, 3)])
def test_every_label_is_read_from_its_page(count: int, pages: int) -> None:
    labels = [label(number) for number in range(count)]
    document = pypdfium2.PdfDocument(labels_pdf(labels))
    assert len(document) == pages
    read: list[str] = []
    for page in document:
        read += [one.text for one in zxingcpp.read_barcodes(page.render(scale=DOTS_PER_POINT).to_pil(), formats=QR)]
    assert sorted(read) == sorted([text for one in labels for text in (one.text, one.page)])
    claims = [text for text in read if text.startswith("bedside:")]
    assert {parse_claim(text).hub_id for text in claims} == {one.hub_id for one in labels}


def test_the_words_beside_it_are_the_claim_for_who_cannot_scan() -> None:
    one = label(7)
    words = pypdfium2.PdfDocument(labels_pdf([one]))[0].get_textpage().get_text_range()
    assert one.hub_id in words
    assert "-".join(words.split("Good once")[0].split()[1:]).replace("\r\n", "-") == one.code
    assert one.good_until in words
    assert "".join(words.split("own Wi-Fi:")[1].replace("\ufffe", "-").split()) == one.pairing


@pytest.mark.parametrize("host", ["x" * 60 + ".example", "[2001:db8:1:2:3:4:5:6]"])
def test_long_names_fit(host: str) -> None:
    one = label(1, host)
    page = pypdfium2.PdfDocument(
        labels_pdf([Label("h" * 63, one.code, one.text, one.good_until, one.page, one.pairing)])
    )[0]
    read = {code.text for code in zxingcpp.read_barcodes(page.render(scale=DOTS_PER_POINT).to_pil(), formats=QR)}
    assert read == {one.text, one.page}
    textpage = page.get_textpage()
    rights = [textpage.get_charbox(at)[2] for at in range(textpage.count_chars())]
    assert max(rights) <= 297.6, "nothing is printed over the right edge of its label"
