"""What BlueZ answers when something cannot be done: its names and words, which bleak tells apart."""

from bumble import att
from bumble.core import BaseBumbleError
from dbus_fast import DBusError

_ATT = att.ErrorCode

_NAMED = {
    _ATT.READ_NOT_PERMITTED: ("NotPermitted", "Read not permitted"),
    _ATT.WRITE_NOT_PERMITTED: ("NotPermitted", "Write not permitted"),
    _ATT.INSUFFICIENT_AUTHENTICATION: ("NotPermitted", "Not paired"),
    _ATT.INSUFFICIENT_ENCRYPTION: ("NotPermitted", "Not paired"),
    _ATT.INSUFFICIENT_ENCRYPTION_KEY_SIZE: ("NotPermitted", "Not paired"),
    _ATT.INSUFFICIENT_AUTHORIZATION: ("NotAuthorized", "Operation Not Authorized"),
    _ATT.INVALID_OFFSET: ("InvalidArguments", "Invalid offset"),
    _ATT.INVALID_ATTRIBUTE_LENGTH: ("InvalidArguments", "Invalid Length"),
    _ATT.REQUEST_NOT_SUPPORTED: ("NotSupported", "Operation is not supported"),
}


def refusal(name: str, words: str) -> DBusError:
    """`org.bluez.Error.<name>`."""
    return DBusError(f"org.bluez.Error.{name}", words)


def not_ready() -> DBusError:
    """The adapter is off."""
    return refusal("NotReady", "Resource Not Ready")


def in_progress() -> DBusError:
    """The same is already being done."""
    return refusal("InProgress", "In Progress")


def not_connected() -> DBusError:
    """The link has ended, before the call or under it."""
    return refusal("Failed", "Not connected")


def from_the_air(error: BaseBumbleError) -> DBusError:
    """An answer of the device, as `create_gatt_dbus_error` in BlueZ words it."""
    if not isinstance(error, att.ATT_Error):
        return refusal("Failed", f"{type(error).__name__}: {error}")
    code = error.error_code
    name, words = _NAMED.get(att.ErrorCode(code), ("Failed", f"Operation failed with ATT error: 0x{code:02x}"))
    return refusal(name, words)
