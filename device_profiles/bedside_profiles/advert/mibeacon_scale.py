"""Xiaomi's scales S400 and S200: MiBeacon (service data of 0xFE95), encrypted with a key that the maker's cloud knows.

A MiBeacon is a frame control (2 bytes), a product, a counter, perhaps the address and a capability, an encrypted
object, the counter's further 3 bytes and a tag of 4. It is AES-CCM with the address (backwards), product, counter and
further bytes as nonce, and 11 as header. The object of an S400 (6E16) holds a profile, 32 bits (weight in 0.1 kg:
11, heart rate less 50: 7, impedance in 0.1 Ohm: 14) and a time; that of an S200 (4E16) a profile, the weight in 0.01
kg and a time. An S400 says the impedance at its high frequency in a second object, whose weight of 0 is none.

What is not encrypted is refused: anybody could have said it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bedside_profiles.aes_ccm import open_sealed, seal
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, holding, steps_of
from bedside_profiles.profile import Advert, AdvertProfile, Decoded, EncodeError, Fact, NoReading, sig_uuid
from bedside_profiles.readings import Measurement, Metric, Modality

NAME = "advert.mibeacon_scale"
SIMULATED_ADDRESS = "AA:BB:CC:DD:EE:FF"
SIMULATED_KEY = bytes(range(16))
"""`encode` seals with these. They protect nothing."""

_ENCRYPTED, _HAS_ADDRESS, _HAS_CAPABILITY, _HAS_OBJECT, _MESH = 0x08, 0x10, 0x20, 0x40, 0x80
_CAPABILITY_INPUT_OUTPUT = 0x20
_VERSION_AT, _LOWEST_VERSION = 12, 4
_HEADER = b"\x11"
_TAG_BYTES = 4
_HEAD_BYTES, _ADDRESS_BYTES, _COUNTER_BYTES = 5, 6, 3
_S400 = frozenset({0x30D9, 0x3BD5, 0x48CF, 0x4B05})
_S200 = frozenset({0x45C9, 0x4C04, 0x4DCB})
_S400_OBJECT, _S200_OBJECT = 0x6E16, 0x4E16
_OBJECT_BYTES = 9
_LOWEST_RATE, _NO_RATE = 50, 127
_SIMULATED_CONTROL = 0x5948

_MEMBERS = frozenset({Metric.BODY_WEIGHT, Metric.HEART_RATE, Metric.IMPEDANCE})


@dataclass(frozen=True, slots=True)
class ScaleObject:
    """What is inside: `weight` in 0.1 kg (S400) or 0.01 kg (S200), `rate` in beats a minute less 50, `impedance` in
    0.1 Ohm; 0 stands for none."""

    kind: int
    profile: int
    weight: int
    rate: int = 0
    impedance: int = 0
    time: int = 0

    @classmethod
    def from_bytes(cls, frame: bytes, text: bytes) -> "ScaleObject":
        """The decrypted `text` of `frame`. Raises `DecodeError`."""
        if len(text) < 3 or text[2] != len(text) - 3:
            raise DecodeError(NAME, "the object's length is not its own", frame)
        kind, content = int.from_bytes(text[:2], "little"), text[3:]
        if kind not in {_S400_OBJECT, _S200_OBJECT}:
            raise DecodeError(NAME, f"an object {kind:04x}, which is no weighing", frame)
        if len(content) != _OBJECT_BYTES:
            raise DecodeError(NAME, f"a weighing of {len(content)} bytes", frame)
        bits, time = int.from_bytes(content[1:5], "little"), int.from_bytes(content[5:9], "little")
        if kind == _S200_OBJECT:
            return cls(kind, content[0], bits, time=time)
        return cls(kind, content[0], bits & 0x7FF, bits >> 11 & 0x7F, bits >> 18, time)

    def to_bytes(self) -> bytes:
        """The text before it is encrypted. Raises `EncodeError`."""
        if not (0 <= self.weight <= 0x7FF and 0 <= self.rate <= 0x7F and 0 <= self.impedance <= 0x3FFF):
            raise EncodeError("more than the object has bits for")
        bits = self.weight | self.rate << 11 | self.impedance << 18
        content = bytes((self.profile,)) + bits.to_bytes(4, "little") + self.time.to_bytes(4, "little")
        return self.kind.to_bytes(2, "little") + bytes((len(content),)) + content

    def decoded(self) -> Decoded:
        """The weighing."""
        members = Members(Modality.SPOT, device_user=self.profile)
        facts = [Fact("profile", self.profile), Fact("time_unix_s", self.time)]
        if self.kind == _S400_OBJECT and self.weight == self.rate == 0 and self.impedance:
            return members.decoded(*facts, Fact("impedance_high_ohm", self.impedance / 10))
        members.add(Metric.BODY_WEIGHT, self.weight / (10 if self.kind == _S400_OBJECT else 100))
        if self.weight and self.rate == _NO_RATE:
            members.withhold(Metric.HEART_RATE, NoReading.NOT_A_NUMBER)
        elif self.weight and self.rate:
            members.add(Metric.HEART_RATE, float(self.rate + _LOWEST_RATE))
        if self.weight and self.impedance:
            members.add(Metric.IMPEDANCE, self.impedance / 10)
        return members.decoded(*facts)


def decode(advert: Advert) -> Decoded:
    """One MiBeacon. Raises `DecodeError`, also without the key or with another one."""
    payload = advert.payload
    if len(payload) < _HEAD_BYTES:
        raise DecodeError(NAME, f"a MiBeacon of {len(payload)} bytes", payload)
    control = int.from_bytes(payload[:2], "little")
    product = int.from_bytes(payload[2:4], "little")
    if control & _MESH or control >> _VERSION_AT < _LOWEST_VERSION:
        raise DecodeError(NAME, "a MiBeacon of a kind that scales do not use", payload)
    if product not in _S400 | _S200:
        raise DecodeError(NAME, f"product {product:04x} is no scale that is known", payload)
    if not control & _HAS_OBJECT:
        return Decoded(facts=(Fact("idle", True),))
    if not control & _ENCRYPTED:
        raise DecodeError(NAME, "not encrypted", payload)
    address, at = _address(advert, control)
    if advert.bind_key is None:
        raise DecodeError(NAME, "encrypted, and no key for it", payload)
    if len(advert.bind_key) != len(SIMULATED_KEY):
        raise DecodeError(NAME, "a key has 16 bytes", payload)
    tail = _COUNTER_BYTES + _TAG_BYTES
    if len(payload) < at + tail:
        raise DecodeError(NAME, "cut off", payload)
    nonce = address + payload[2:5] + payload[-tail:-_TAG_BYTES]
    text = open_sealed(advert.bind_key, nonce, payload[at:-tail] + payload[-_TAG_BYTES:], _HEADER, _TAG_BYTES)
    if text is None:
        raise DecodeError(NAME, "the tag is wrong: another key, or bytes that were changed", payload)
    return ScaleObject.from_bytes(payload, text).decoded()


def _address(advert: Advert, control: int) -> tuple[bytes, int]:
    """The address backwards, and where the object begins."""
    payload, at = advert.payload, _HEAD_BYTES
    said = None
    if control & _HAS_ADDRESS:
        said, at = payload[at : at + _ADDRESS_BYTES], at + _ADDRESS_BYTES
    if control & _HAS_CAPABILITY:
        more = bool(at < len(payload) and payload[at] & _CAPABILITY_INPUT_OUTPUT)
        at += 2 if more else 1
    heard = None
    if advert.address is not None:
        try:
            heard = bytes.fromhex(advert.address.replace(":", ""))[::-1]
        except ValueError as error:
            raise DecodeError(NAME, "the address is none", payload) from error
    if said is not None and heard is not None and said != heard:
        raise DecodeError(NAME, "it names another address than its own", payload)
    address = said or heard
    if address is None or len(address) != _ADDRESS_BYTES:
        raise DecodeError(NAME, "encrypted, and no address for it", payload)
    return address, at


def sealed(inside: ScaleObject, address: str, key: bytes, counter: int = 1) -> bytes:
    """The service data that holds it. `address` is upper case with colons. Raises `EncodeError`."""
    product = min(_S400 if inside.kind == _S400_OBJECT else _S200)
    head = _SIMULATED_CONTROL.to_bytes(2, "little") + product.to_bytes(2, "little") + bytes((counter & 0xFF,))
    further = (counter >> 8).to_bytes(_COUNTER_BYTES, "little")
    nonce = bytes.fromhex(address.replace(":", ""))[::-1] + head[2:5] + further
    text = seal(key, nonce, inside.to_bytes(), _HEADER, _TAG_BYTES)
    return head + text[:-_TAG_BYTES] + further + text[-_TAG_BYTES:]


def encode(measurements: Sequence[Measurement]) -> bytes:
    """Service data of an S400 that says these, sealed for `SIMULATED_ADDRESS` with `SIMULATED_KEY`."""
    first = holding(measurements, _MEMBERS, user=True)
    rate = steps_of(measurements, Metric.HEART_RATE)
    inside = ScaleObject(
        _S400_OBJECT,
        0 if first is None else first.device_user or 0,
        steps_of(measurements, Metric.BODY_WEIGHT, 10) or 0,
        0 if rate is None else rate - _LOWEST_RATE,
        steps_of(measurements, Metric.IMPEDANCE, 10) or 0,
    )
    return sealed(inside, SIMULATED_ADDRESS, SIMULATED_KEY)


PROFILE = AdvertProfile(
    name=NAME,
    label="Xiaomi Body Composition Scale S400 or Smart Scale S200",
    service_uuid=sig_uuid(0xFE95),
    company=None,
    decode=decode,
    encode=encode,
    needs_bind_key=True,
)
