"""MessagePack bodies: the only importer of msgpack.

Limits are checked before anything is built, so that a hostile body costs its sender more than its reader.
"""

from typing import cast

import msgpack

from bedside_profiles.errors import UndecodableError

MAX_BODY_BYTES = 256 * 1024
"""Largest batch. The broker cuts a client above 1 MiB; a batch must also pass a slow link in seconds."""

MAX_ITEMS = 65_536
"""Longest array or map: far above what a batch of 256 KiB holds."""

type_error = (ValueError, TypeError, msgpack.UnpackException, RecursionError)


def encode_map(value: dict[str, object]) -> bytes:
    """`value` as MessagePack; ValueError if it is larger than `MAX_BODY_BYTES`."""
    body = cast("bytes", msgpack.packb(value, use_bin_type=True))
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"a body of {len(body)} bytes is above {MAX_BODY_BYTES}")
    return body


def decode_map(body: bytes) -> dict[str, object]:
    """The map in `body`; UndecodableError for anything that is not one map with text keys within the limits."""
    if len(body) > MAX_BODY_BYTES:
        raise UndecodableError(f"{len(body)} bytes are above the limit of {MAX_BODY_BYTES}")
    try:
        value = msgpack.unpackb(
            body,
            raw=False,
            strict_map_key=True,
            max_str_len=MAX_BODY_BYTES,
            max_bin_len=MAX_BODY_BYTES,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_ITEMS,
            max_ext_len=0,
        )
    except type_error as cause:
        raise UndecodableError("not a MessagePack map") from cause
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise UndecodableError("not a MessagePack map with text keys")
    return value
