"""The User Control Point (2A9F) of scales: nothing is said of a person before the person's code was given.

A scale keeps its readings for the user whose index and consent code somebody once set at it. A hub gives both after
each connection; the answer comes on the same characteristic, by indication. Deleting a user is understood, and never
written.
"""

from bedside_profiles.cursor import Cursor
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Decoded, Fact, Service, sig_uuid

NAME = "bluetooth.user_control"
SERVICE = sig_uuid(0x181C)
CONTROL_POINT = sig_uuid(0x2A9F)

_REGISTER, _CONSENT, _DELETE, _RESPONSE = 0x01, 0x02, 0x03, 0x20
HIGHEST_CONSENT_CODE = 9999
RESPONSES = {
    1: "success",
    2: "operation_not_supported",
    3: "invalid_parameter",
    4: "operation_failed",
    5: "user_not_authorised",
}
_SUCCESS, _NOT_AUTHORISED = 1, 5


def decode(characteristic: str, payload: bytes) -> Decoded:
    """A request or an answer, as facts; a consent code is a secret and not among them. Raises `DecodeError`."""
    if characteristic != CONTROL_POINT:
        raise DecodeError(NAME, f"no characteristic of this service: {characteristic}", payload)
    cursor = Cursor(NAME, payload)
    operation = cursor.unsigned(1, "operation")
    if operation == _RESPONSE:
        facts = _answer(cursor)
    elif operation == _REGISTER:
        _consent_code(cursor)
        facts = (Fact("command", "register_user"),)
    elif operation == _CONSENT:
        facts = (Fact("command", "consent"), Fact("user_index", cursor.unsigned(1, "user index")))
        _consent_code(cursor)
    elif operation == _DELETE:
        facts = (Fact("command", "delete_user"),)
    else:
        raise cursor.error(f"operation {operation} is reserved")
    cursor.end()
    return Decoded(facts=facts)


def _answer(cursor: Cursor) -> tuple[Fact, ...]:
    asked, code = cursor.unsigned(1, "request"), cursor.unsigned(1, "response code")
    facts = [
        Fact("request_operation", asked),
        Fact("response_code", code),
        Fact("response", RESPONSES.get(code, "reserved")),
        Fact("success", code == _SUCCESS),
    ]
    if cursor.left and asked == _REGISTER:
        facts.append(Fact("user_index", cursor.unsigned(1, "user index")))
    return tuple(facts)


def _consent_code(cursor: Cursor) -> None:
    code = cursor.unsigned(2, "consent code")
    if code > HIGHEST_CONSENT_CODE:
        raise cursor.error("a consent code above 9999")


def encode_consent(user_index: int, consent_code: int) -> bytes:
    """What gives a user's consent. ValueError for a code above 9999 or an index above 254."""
    if not (0 <= user_index < 0xFF and 0 <= consent_code <= HIGHEST_CONSENT_CODE):
        raise ValueError("the user index is 0 to 254, the consent code 0 to 9999")
    return bytes((_CONSENT, user_index)) + consent_code.to_bytes(2, "little")


def encode_response(operation: int, is_right: bool) -> bytes:
    """A scale's answer to a request, for the simulator."""
    return bytes((_RESPONSE, operation, _SUCCESS if is_right else _NOT_AUTHORISED))


SERVICE_PROFILE = Service(NAME, "User of a scale", SERVICE, (CONTROL_POINT,), decode)
