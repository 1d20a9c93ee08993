"""XXTEA (Wheeler and Needham, 1998), the cipher with which some cuffs let a hub in. It keeps no secret of ours."""

import struct

_DELTA = 0x9E3779B9
_MASK = 0xFFFFFFFF
KEY_BYTES = 16


def encrypt(data: bytes, key: bytes) -> bytes:
    """At least two words of 4 bytes, little-endian, under a key of 16 bytes. ValueError for other lengths."""
    if len(data) < 8 or len(data) % 4 or len(key) != KEY_BYTES:
        raise ValueError("XXTEA takes whole words, two at least, and a key of 16 bytes")
    words = list(struct.unpack(f"<{len(data) // 4}I", data))
    keys = struct.unpack("<4I", key)
    count = len(words)
    total, before = 0, words[-1]
    for _ in range(6 + 52 // count):
        total = (total + _DELTA) & _MASK
        lane = total >> 2 & 3
        for place in range(count):
            after = words[(place + 1) % count]
            mixed = ((before >> 5 ^ after << 2) + (after >> 3 ^ before << 4)) ^ (
                (total ^ after) + (keys[place & 3 ^ lane] ^ before)
            )
            before = words[place] = (words[place] + mixed) & _MASK
    return struct.pack(f"<{count}I", *words)
