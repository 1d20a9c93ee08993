"""The Bluetooth SIG's Device Information Service (0x180A): who made a device, and which one it is."""

from bedside_profiles.cursor import Cursor
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Decoded, Fact, Service, sig_uuid

NAME = "bluetooth.device_information"
SERVICE = sig_uuid(0x180A)
MODEL_NUMBER = sig_uuid(0x2A24)

TEXTS = {
    MODEL_NUMBER: "model_number",
    sig_uuid(0x2A25): "serial_number",
    sig_uuid(0x2A26): "firmware_revision",
    sig_uuid(0x2A27): "hardware_revision",
    sig_uuid(0x2A28): "software_revision",
    sig_uuid(0x2A29): "manufacturer_name",
}
SYSTEM_ID, REGULATORY_CERTIFICATION, PNP_ID = (sig_uuid(short) for short in (0x2A23, 0x2A2A, 0x2A50))
_VENDOR_SOURCES = {1: "bluetooth_sig", 2: "usb"}


def decode(characteristic: str, payload: bytes) -> Decoded:
    """One value as facts. Raises `DecodeError`."""
    if characteristic in TEXTS:
        return Decoded(facts=(Fact(TEXTS[characteristic], decode_text(payload)),))
    cursor = Cursor(NAME, payload)
    if characteristic == SYSTEM_ID:
        number = cursor.take(8, "system id")
        cursor.end()
        # The two halves, each with its last byte first, make one EUI-64.
        return Decoded(facts=(Fact("system_id", number[::-1].hex()),))
    if characteristic == PNP_ID:
        source = cursor.unsigned(1, "vendor source")
        vendor, product, version = (cursor.unsigned(2, what) for what in ("vendor", "product", "version"))
        cursor.end()
        return Decoded(
            facts=(
                Fact("vendor_source", _VENDOR_SOURCES.get(source, f"reserved_{source}")),
                Fact("vendor_id", vendor),
                Fact("product_id", product),
                Fact("product_version", version),
            )
        )
    if characteristic == REGULATORY_CERTIFICATION:
        return Decoded(facts=(Fact("regulatory_certification", payload.hex()),))
    raise DecodeError(NAME, f"no characteristic of this service: {characteristic}", payload)


def decode_text(payload: bytes) -> str:
    """The text, without what devices fill it up with: it ends at the first NUL. Raises `DecodeError`."""
    try:
        text = payload.lstrip(b"\0").split(b"\0", 1)[0].decode("utf-8")
    except UnicodeDecodeError as error:
        raise DecodeError(NAME, "no UTF-8 text", payload) from error
    return "".join(character for character in text if character.isprintable()).strip()


def encode_text(text: str) -> bytes:
    """The value of one of `TEXTS`."""
    return text.encode("utf-8")


SERVICE_PROFILE = Service(
    NAME,
    "Name plate",
    SERVICE,
    (*TEXTS, SYSTEM_ID, REGULATORY_CERTIFICATION, PNP_ID),
    decode,
)
