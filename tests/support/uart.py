"""What a receiver makes of bytes that a sender says with other settings: a serial line bit by bit, without wires.

As Linux hands it over with what the agent sets: a byte whose parity or stop bit is wrong comes all the same.
"""

from collections.abc import Iterator, Sequence

from bedside_profiles.profile import LineSettings


def heard_as(bursts: Sequence[bytes], said: LineSettings, read: LineSettings, *, idle_bits: int = 20) -> bytes:
    """The bytes that a receiver set to `read` gets of bursts said with `said`, with idle line between two bursts."""
    idle = b"\x01" * idle_bits
    levels = idle + b"".join(b"".join(_bits(byte, said) for byte in burst) + idle for burst in bursts)
    return bytes(_received(levels, read, said_bits_a_read_bit=said.baud / read.baud))


def _bits(byte: int, said: LineSettings) -> bytes:
    """The level of the line, a byte a bit: start, data from the lowest bit on, parity, stop."""
    data = [byte >> place & 1 for place in range(said.data_bits)]
    parity = {"N": [], "E": [sum(data) & 1], "O": [1 - (sum(data) & 1)]}[said.parity]
    return bytes((0, *data, *parity, *[1] * said.stop_bits))


def _received(levels: bytes, read: LineSettings, said_bits_a_read_bit: float) -> Iterator[int]:
    """Each byte begins with a falling edge that is still low half a bit later, and is sampled in its bits' middles."""
    bit = said_bits_a_read_bit
    bits_to_the_stop = 1 + read.data_bits + (read.parity != "N")
    at = 0.0
    while (edge := levels.find(b"\x01\x00", int(at)) + 1) > 0:
        if edge + (bits_to_the_stop + 0.5) * bit >= len(levels):
            return
        if levels[int(edge + bit / 2)]:
            at = edge
            continue
        yield sum(levels[int(edge + (1.5 + place) * bit)] << place for place in range(read.data_bits))
        at = edge + (bits_to_the_stop + 0.5) * bit
