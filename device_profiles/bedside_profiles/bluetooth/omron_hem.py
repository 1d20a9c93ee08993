"""Omron HEM cuffs: the hub reads the cuff's memory over a service of Omron's own; each answer is one block of it.

Older cuffs spread a frame (`omron_frame`) in pieces of 16 bytes over four characteristics, padded with zeros: they are
joined in the order of the channels and cut to the length.

What the blocks hold is `omron_record`'s, where they lie `omron_memory`'s, how they are asked for
`omron_conversation`'s. Each order of the records is a profile of its own, for captures; a cuff that says its model is
understood by that. A cuff whose model is not known gives frames and no value.
"""

from collections.abc import Callable, Sequence

from bedside_profiles.bluetooth.device_information import MODEL_NUMBER
from bedside_profiles.bluetooth.omron_conversation import UNLOCK, OmronConversation
from bedside_profiles.bluetooth.omron_frame import ANSWERS, COMMANDS, KIND_NAMES, READ_ANSWER, OmronFrame
from bedside_profiles.bluetooth.omron_memory import Memory, memory_of
from bedside_profiles.bluetooth.omron_record import (
    BIG_14,
    LITTLE_14,
    LITTLE_16,
    NAME,
    RECORD_BYTES,
    Layout,
    OmronRecord,
    clock_of,
)
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import holding, moment_of, steps_of
from bedside_profiles.profile import BleProfile, Characteristic, Decoded, EncodeError, Fact, Transfer
from bedside_profiles.readings import Measurement, Metric, Quality

SERVICE = "0000fe4a-0000-1000-8000-00805f9b34fb"
"""Of the models since about 2019. Older ones have the same characteristics in `OLDER_SERVICE`."""
OLDER_SERVICE = "ecbe3980-c9a2-11e1-b1bd-0002a5d5c51b"

_MEMBERS = frozenset({Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.PULSE_RATE})
_QUALITIES = frozenset({Quality.IRREGULAR_PULSE, Quality.MOTION, Quality.CUFF_LOOSE, Quality.LOW_BATTERY})


class OmronListener:
    """Joins the pieces of frames. A value of no characteristic is a block of memory that another tool has read out."""

    def __init__(self, layout: Layout | None) -> None:
        self._layout = layout
        self._memory: Memory | None = None
        self._pieces: dict[int, list[bytes]] = {}
        self._several_channels = False

    def feed(self, characteristic: str, payload: bytes) -> tuple[Decoded | DecodeError, ...]:
        """See `profile.Listener`."""
        try:
            if not characteristic:
                return self._block(payload)
            if characteristic == MODEL_NUMBER:
                return self._model(payload)
            if characteristic == UNLOCK:
                return (Decoded(facts=(Fact("unlock", payload.hex()),)),)
            if characteristic not in ANSWERS:
                return (DecodeError(NAME, f"no measurement characteristic: {characteristic}", payload),)
            if not payload:
                return (DecodeError(NAME, "an empty value", payload),)
            return self._piece(ANSWERS.index(characteristic), payload)
        except DecodeError as error:
            return (error,)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Listener`."""
        return self._incomplete() if self._pieces else None

    def _model(self, said: bytes) -> tuple[Decoded, ...]:
        """What the cuff says of itself is believed before what somebody said of it."""
        self._memory = memory_of(said)
        if self._memory is not None:
            self._layout = self._memory.layout
        return (Decoded(facts=(Fact("model", said.split(b"\0")[0].decode("ascii", "replace")),)),)

    def _piece(self, channel: int, payload: bytes) -> tuple[Decoded | DecodeError, ...]:
        self._several_channels |= channel > 0
        before: tuple[DecodeError, ...] = ()
        if channel in self._pieces and self._several_channels:
            before = (self._incomplete(),)
            self._pieces = {channel: [payload]}
        else:
            self._pieces.setdefault(channel, []).append(payload)
        return (*before, *self._joined())

    def _joined(self) -> tuple[Decoded | DecodeError, ...]:
        first = self._pieces.get(0)
        if first is None:
            return ()
        joined = b"".join(first)
        for channel in range(1, len(ANSWERS)):
            if channel not in self._pieces:
                break
            joined += b"".join(self._pieces[channel])
        if len(joined) < joined[0]:
            return ()
        pieces, self._pieces = self._pieces, {}
        try:
            frame = OmronFrame.from_bytes(joined[: joined[0]])
            if any(joined[joined[0] :]) and not self._several_channels:
                raise DecodeError(NAME, "more than padding behind the frame", joined)
        except DecodeError as error:
            if self._several_channels:
                # What came before the beginning may be left over from another frame.
                arrived = list(pieces)
                self._pieces = {channel: pieces[channel] for channel in arrived[arrived.index(0) :]}
                return (error,)
            # What was begun may have lost its end, and the last piece may begin the next frame.
            return (error, *(self._piece(0, first[-1]) if len(first) > 1 else ()))
        return self._frame(frame)

    def _incomplete(self) -> DecodeError:
        joined = b"".join(piece for channel in sorted(self._pieces) for piece in self._pieces[channel])
        return DecodeError(NAME, f"{joined[0]} bytes announced, {len(joined)} received", joined)

    def _frame(self, frame: OmronFrame) -> tuple[Decoded | DecodeError, ...]:
        facts = [
            Fact("type", f"{frame.kind:04x}"),
            Fact("type_name", KIND_NAMES.get(frame.kind, "unknown")),
            Fact("address", frame.address),
            Fact("length", len(frame.data)),
        ]
        layout = self._layout
        if layout is None or frame.kind != READ_ANSWER or not self._holds_records(layout, frame):
            return (Decoded(facts=(*facts, Fact("data", frame.data.hex()), *_clock_facts(frame.data))),)
        outcomes: list[Decoded | DecodeError] = [Decoded(facts=tuple(facts))]
        for at in range(0, len(frame.data), layout.record_bytes):
            try:
                record = OmronRecord.from_bytes(frame.data[at : at + layout.record_bytes], big_endian=layout.big_endian)
            except DecodeError as error:
                outcomes.append(error)
                continue
            if record is not None:
                user = None if self._memory is None else self._memory.user_at(frame.address + at)
                outcomes.append(record.decoded(user))
        return tuple(outcomes)

    def _holds_records(self, layout: Layout, frame: OmronFrame) -> bool:
        where = layout.holds_records if self._memory is None else self._memory.holds
        return where(frame.address, len(frame.data))

    def _block(self, block: bytes) -> tuple[Decoded, ...]:
        facts = _clock_facts(block)
        if facts:
            return (Decoded(facts=facts),)
        if self._layout is None:
            raise DecodeError(NAME, "the model is not known, and with it the order of the record", block)
        if len(block) not in {RECORD_BYTES, self._layout.record_bytes}:
            raise DecodeError(NAME, f"a record has {self._layout.record_bytes} bytes, not {len(block)}", block)
        record = OmronRecord.from_bytes(block, big_endian=self._layout.big_endian)
        if record is None:
            raise DecodeError(NAME, "a record that was never written", block)
        return (record.decoded(),)


def _clock_facts(block: bytes) -> tuple[Fact, ...]:
    clock = clock_of(block)
    return () if clock is None else (Fact("clock", clock.isoformat()),)


def decode_command(written: bytes) -> Decoded:
    """What a hub writes, joined again. Raises `DecodeError`."""
    frame = OmronFrame.from_bytes(written[: written[0]] if written else written)
    return Decoded(
        facts=(
            Fact("type", f"{frame.kind:04x}"),
            Fact("type_name", KIND_NAMES.get(frame.kind, "unknown")),
            Fact("address", frame.address),
        )
    )


def _encode(layout: Layout) -> Callable[[str, Sequence[Measurement]], bytes]:
    def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
        """The answer to a read of one record that says these measurements; without any, of an empty one."""
        if characteristic != ANSWERS[0]:
            raise EncodeError(f"no measurement characteristic: {characteristic}")
        first = holding(measurements, _MEMBERS, quality=_QUALITIES | {Quality.DEVICE_CLOCK_UNSET}, time=True)
        record = b"\xff" * layout.record_bytes
        if first is not None:
            systolic, diastolic, pulse = (
                steps_of(measurements, metric) or 0
                for metric in (Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.PULSE_RATE)
            )
            record = OmronRecord(
                systolic,
                diastolic,
                pulse,
                moment_of(first),
                irregular=Quality.IRREGULAR_PULSE in first.quality,
                moved=Quality.MOTION in first.quality,
                well_wrapped=Quality.CUFF_LOOSE not in first.quality,
                low_battery=Quality.LOW_BATTERY in first.quality,
            ).to_bytes(big_endian=layout.big_endian)
        return OmronFrame(READ_ANSWER, layout.starts[-1], record.ljust(layout.record_bytes, b"\0")).to_bytes()

    return encode


def _encode_nothing(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    raise EncodeError("the records of a model that is not known cannot be written")


def _profile(
    suffix: str, label: str, layout: Layout | None, models: str, *, older: bool = False, words: tuple[str, ...] = ()
) -> BleProfile:
    services = (OLDER_SERVICE, SERVICE) if older else (SERVICE, OLDER_SERVICE)
    return BleProfile(
        name=NAME + suffix,
        label=label,
        service_uuid=services[0],
        characteristics=tuple(
            [Characteristic(uuid, Transfer.NOTIFY, required=uuid == ANSWERS[0]) for uuid in (*ANSWERS, UNLOCK)]
        ),
        listen=lambda: OmronListener(layout),
        encode=_encode_nothing if layout is None else _encode(layout),
        silence_seconds=None,
        names=(*(f"hem-{model}" for model in models.split()), *words),
        commands=COMMANDS,
        converse=OmronConversation,
        reads_first=(MODEL_NUMBER,),
        decode_command=decode_command,
        also_services=services[1:],
    )


BIG_ENDIAN = _profile(
    "_big_endian",
    "Omron cuff, diastolic pressure first (HEM-7600T, HEM-7322T, HEM-6232T and their kin)",
    BIG_14,
    "6161t 6231t 6232t 6233t 7136t 7138jt 7138t 7139t 7270c 7271l 7271p 7271t 7280t 7281t 7282t 7321t 7322t 7325t"
    " 7511t 7530t 7600t 8630t 8732k 8732t",
    older=True,
)

PROFILES = (
    _profile(
        "_14",
        "Omron cuff, records of 14 bytes (HEM-7142T2, HEM-7144T2 and their kin)",
        LITTLE_14,
        "7138k 7140t1 7141t1 7142t1 7142t2 7143t1 7143t2 7144t1 7144t2 7146t 7149t2 716bt2 716ct2 716dt2",
        words=("14-byte record, le",),
    ),
    _profile(
        "_16",
        "Omron cuff, records of 16 bytes (HEM-7155T, HEM-7361T, HEM-7380T1 and their kin)",
        LITTLE_16,
        "1026t2 7150t 7151t 7153jt 7153t 7155t 7156t 7157t 7158t 7159t 7183t1 7188t1 7191t1 7194t1 7196t1 7340t 7341t"
        " 7342t 7343t 7344jt 7344t 7346t 7347t 7349t 7361t 7376t1 7377t1 7380t 7381t1 7382t1 7383t1 7384t1 7385t1"
        " 7386t1 7387t1 7388t1 7389t1",
    ),
    BIG_ENDIAN,
    _profile("", "Omron cuff of a model that is not known", None, "", words=("omron",)),
)
