"""What somebody typed on the page, judged before the hotspot is closed for it. Pure."""

from collections.abc import Sequence
from urllib.parse import parse_qs

from bedside_agent.wifi.setting_up import Choice, Network
from bedside_profiles.errors import BedsideError

LONGEST_FORM_BYTES = 2048
LONGEST_SSID_BYTES = 32
"""IEEE 802.11-2020, section 9.4.2.2."""
SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 63
"""IEEE 802.11-2020, annex J.4: a passphrase is 8 to 63 signs of ASCII."""


class NotChosenError(BedsideError):
    """The text says, in the page's English, what is missing."""


def _(text: str) -> str:
    """Marks a text for translation."""
    return text


NO_NETWORK = _("Please choose a network, or type its name.")
NAME_TOO_LONG = _("The name of the network is too long. Please type it again.")
NO_PASSWORD = _("This network needs a password. It has at least 8 letters or digits.")
PASSWORD_TOO_LONG = _("The password is too long, or has signs that a Wi-Fi password cannot have.")


def chosen(form: bytes, networks: Sequence[Network]) -> Choice:
    """The choice in a submitted form; NotChosenError where it cannot be tried at all."""
    try:
        fields = parse_qs(form.decode("ascii"), keep_blank_values=True, max_num_fields=8, errors="strict")
    except ValueError as cause:
        raise NotChosenError(NO_NETWORK) from cause
    typed, picked = (fields.get(name, [""])[0] for name in ("other", "ssid"))
    return checked(typed.strip() or picked, fields.get("password", [""])[0], networks)


def checked(ssid: str, password: str, networks: Sequence[Network]) -> Choice:
    """The choice of this network; NotChosenError where it cannot be tried at all."""
    if not ssid:
        raise NotChosenError(NO_NETWORK)
    if len(ssid.encode()) > LONGEST_SSID_BYTES:
        raise NotChosenError(NAME_TOO_LONG)
    heard = next((one for one in networks if one.ssid == ssid), None)
    if heard is not None and not heard.is_protected:
        return Choice(ssid, "")
    if not password and heard is None:
        return Choice(ssid, "", is_hidden=True)
    if len(password) < SHORTEST_PASSWORD:
        raise NotChosenError(NO_PASSWORD)
    if not _is_passphrase(password):
        raise NotChosenError(PASSWORD_TOO_LONG)
    return Choice(ssid, password, is_hidden=heard is None)


def _is_passphrase(password: str) -> bool:
    is_key = len(password) == 64 and all(sign in "0123456789abcdefABCDEF" for sign in password)
    return is_key or (len(password) <= LONGEST_PASSWORD and password.isascii() and password.isprintable())
