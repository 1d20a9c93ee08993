"""AES-128 in CCM mode (FIPS 197, RFC 3610), for the advertisements of scales: 24 bytes, a few a minute.

Pure Python, because the profiles stand on the standard library alone, which has no AES. It is not hardened against
somebody who measures how long it takes; who can do that on the hub has the key already.
"""

from hmac import compare_digest

BLOCK_BYTES = 16
_ROUNDS = 10


def _double(value: int) -> int:
    return (value << 1 ^ 0x1B) & 0xFF if value & 0x80 else value << 1


def _substitutions() -> bytes:
    """The S-box: in the field, the inverse; then the affine map of FIPS 197, 5.1.1."""
    box = bytearray(256)
    power = inverse = 1
    while True:
        # 3 generates the field: `power` runs through all of it, `inverse` through the inverses.
        power ^= _double(power)
        for shift in (1, 2, 4):
            inverse ^= inverse << shift & 0xFF
        inverse ^= 0x09 if inverse & 0x80 else 0
        rotations = (inverse << turn | inverse >> (8 - turn) for turn in range(1, 5))
        mapped = inverse
        for rotated in rotations:
            mapped ^= rotated & 0xFF
        box[power] = mapped ^ 0x63
        if power == 1:
            break
    box[0] = 0x63
    return bytes(box)


_SUBSTITUTE = _substitutions()
_DOUBLE = bytes(_double(value) for value in range(256))
_SHIFT_ROWS = tuple([(place + 4 * (place % 4)) % BLOCK_BYTES for place in range(BLOCK_BYTES)])
"""Where each byte of the state comes from; the state stands column by column."""


def _expand(key: bytes) -> list[bytes]:
    words = [key[at : at + 4] for at in range(0, BLOCK_BYTES, 4)]
    constant = 1
    while len(words) < 4 * (_ROUNDS + 1):
        word = words[-1]
        if len(words) % 4 == 0:
            word = word[1:] + word[:1]
            word = bytes(_SUBSTITUTE[byte] for byte in word)
            word = bytes((word[0] ^ constant,)) + word[1:]
            constant = _double(constant)
        words.append(_xor(words[-4], word))
    return [b"".join(words[at : at + 4]) for at in range(0, len(words), 4)]


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(one, other, strict=False))


def _mix(column: bytes) -> bytes:
    total = column[0] ^ column[1] ^ column[2] ^ column[3]
    return bytes(column[row] ^ total ^ _DOUBLE[column[row] ^ column[(row + 1) % 4]] for row in range(4))


class Aes128:
    """One key. Only the direction that CCM needs."""

    def __init__(self, key: bytes) -> None:
        if len(key) != BLOCK_BYTES:
            raise ValueError(f"a key has {BLOCK_BYTES} bytes, not {len(key)}")
        self._round_keys = _expand(key)

    def encrypt(self, block: bytes) -> bytes:
        """One block of 16 bytes."""
        state = _xor(block, self._round_keys[0])
        for round_key in self._round_keys[1:-1]:
            state = self._shifted(state)
            state = b"".join(_mix(state[at : at + 4]) for at in range(0, BLOCK_BYTES, 4))
            state = _xor(state, round_key)
        return _xor(self._shifted(state), self._round_keys[-1])

    @staticmethod
    def _shifted(state: bytes) -> bytes:
        return bytes(_SUBSTITUTE[state[place]] for place in _SHIFT_ROWS)


def seal(key: bytes, nonce: bytes, text: bytes, header: bytes, tag_bytes: int) -> bytes:
    """The encrypted text and its tag. `header` is authenticated only. ValueError for sizes that RFC 3610 forbids."""
    cipher = Aes128(key)
    tag = _tag(cipher, nonce, text, header, tag_bytes)
    return _counted(cipher, nonce, text, 1) + _counted(cipher, nonce, tag, 0)


def open_sealed(key: bytes, nonce: bytes, sealed: bytes, header: bytes, tag_bytes: int) -> bytes | None:
    """The text; None when the tag is wrong: another key, another nonce, or changed bytes. ValueError as `seal`."""
    if len(sealed) < tag_bytes:
        return None
    cipher = Aes128(key)
    text = _counted(cipher, nonce, sealed[: len(sealed) - tag_bytes], 1)
    tag = _counted(cipher, nonce, sealed[len(sealed) - tag_bytes :], 0)
    return text if compare_digest(tag, _tag(cipher, nonce, text, header, tag_bytes)) else None


def _tag(cipher: Aes128, nonce: bytes, text: bytes, header: bytes, tag_bytes: int) -> bytes:
    length_bytes = 15 - len(nonce)
    if not 2 <= length_bytes <= 8 or tag_bytes not in {4, 6, 8, 10, 12, 14, 16} or len(header) >= 0xFF00:
        raise ValueError("sizes that CCM does not have")
    flags = (0x40 if header else 0) | (tag_bytes - 2) // 2 << 3 | length_bytes - 1
    chain = bytes((flags,)) + nonce + len(text).to_bytes(length_bytes, "big")
    if header:
        chain += _padded(len(header).to_bytes(2, "big") + header)
    chain += _padded(text)
    mac = bytes(BLOCK_BYTES)
    for at in range(0, len(chain), BLOCK_BYTES):
        mac = cipher.encrypt(_xor(mac, chain[at : at + BLOCK_BYTES]))
    return mac[:tag_bytes]


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK_BYTES)


def _counted(cipher: Aes128, nonce: bytes, data: bytes, first: int) -> bytes:
    """The data, xored with the encrypted counter blocks from `first` on. It undoes itself."""
    length_bytes = 15 - len(nonce)
    out = b""
    for number, at in enumerate(range(0, len(data), BLOCK_BYTES), start=first):
        counter = bytes((length_bytes - 1,)) + nonce + number.to_bytes(length_bytes, "big")
        out += _xor(data[at : at + BLOCK_BYTES], cipher.encrypt(counter))
    return out
