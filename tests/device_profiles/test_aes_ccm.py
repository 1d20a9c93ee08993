"""The cipher of the scales, held to its specifications and to the library that the agent has."""

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.aes_ccm import Aes128, open_sealed, seal

keys = st.binary(min_size=16, max_size=16)
nonces = st.binary(min_size=7, max_size=13)
tag_sizes = st.sampled_from([4, 6, 8, 10, 12, 14, 16])

RFC_3610_KEY = bytes(range(0xC0, 0xD0))
RFC_3610 = [
    ("00000003020100a0a1a2a3a4a5", 31, "588c979a61c663d2f066d0c2c0f989806d5f6b61dac38417e8d12cfdf926e0"),
    ("00000004030201a0a1a2a3a4a5", 32, "72c91a36e135f8cf291ca894085c87e3cc15c439c9e43a3ba091d56e10400916"),
    ("00000005040302a0a1a2a3a4a5", 33, "51b1e5f44a197d1da46b0f8e2d282ae871e838bb64da8596574adaa76fbd9fb0c5"),
]


def test_the_block_of_fips_197() -> None:
    cipher = Aes128(bytes(range(16)))
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert cipher.encrypt(block).hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"


@pytest.mark.parametrize(("nonce", "packet_bytes", "sealed"), RFC_3610)
def test_the_packets_of_rfc_3610(nonce: str, packet_bytes: int, sealed: str) -> None:
    packet = bytes(range(packet_bytes))
    found = seal(RFC_3610_KEY, bytes.fromhex(nonce), packet[8:], packet[:8], 8)
    assert found.hex() == sealed
    assert open_sealed(RFC_3610_KEY, bytes.fromhex(nonce), found, packet[:8], 8) == packet[8:]


@given(keys, nonces, st.binary(max_size=70), st.binary(max_size=40), tag_sizes)
def test_it_seals_what_the_library_seals(key: bytes, nonce: bytes, text: bytes, header: bytes, tag_bytes: int) -> None:
    sealed = seal(key, nonce, text, header, tag_bytes)
    assert sealed == AESCCM(key, tag_length=tag_bytes).encrypt(nonce, text, header)
    assert open_sealed(key, nonce, sealed, header, tag_bytes) == text


@given(keys, nonces, st.binary(min_size=4, max_size=40), st.integers(0), st.integers(0, 7))
def test_a_changed_bit_is_refused_as_the_library_refuses_it(
    key: bytes, nonce: bytes, sealed: bytes, at: int, bit: int
) -> None:
    changed = bytearray(seal(key, nonce, sealed, b"\x11", 8))
    changed[at % len(changed)] ^= 1 << bit
    assert open_sealed(key, nonce, bytes(changed), b"\x11", 8) is None
    with pytest.raises(InvalidTag):
        AESCCM(key, tag_length=8).decrypt(nonce, bytes(changed), b"\x11")


def test_sizes_that_ccm_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Aes128(bytes(24))
    with pytest.raises(ValueError, match="CCM"):
        seal(bytes(16), bytes(14), b"", b"", 8)
    with pytest.raises(ValueError, match="CCM"):
        seal(bytes(16), bytes(13), b"", b"", 5)
    assert open_sealed(bytes(16), bytes(13), b"abc", b"", 4) is None
