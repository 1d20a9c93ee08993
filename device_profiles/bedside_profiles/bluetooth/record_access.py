"""The Record Access Control Point (2A52): how a hub asks glucose meters and sensors for what they have stored.

The device answers on the same characteristic, by indication, after it has notified the records themselves. That there
are none is a normal answer. The request that deletes records is understood and never written: what a device holds is
the last copy of a reading that the hub has not stored.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from bedside_profiles.cursor import Cursor
from bedside_profiles.numbers import encode_date_time
from bedside_profiles.profile import Decoded, EncodeError, Fact, sig_uuid

NAME = "bluetooth.record_access"
CONTROL_POINT = sig_uuid(0x2A52)

_COUNT_ANSWER, _RESPONSE, _COMBINED_ANSWER = 5, 6, 8
_NO_OPERATOR = 0
_COUNT_BYTES = (2, 1, 4)
"""The standard says two; meters with one and with four are known."""

RESPONSES = (
    "reserved",
    "success",
    "operation_not_supported",
    "invalid_operator",
    "operator_not_supported",
    "invalid_operand",
    "no_records_found",
    "abort_unsuccessful",
    "procedure_not_completed",
    "operand_not_supported",
)
SUCCESS, NO_RECORDS_FOUND = 1, 6


class Operation(IntEnum):
    """What a hub may ask for."""

    REPORT = 1
    DELETE = 2
    ABORT = 3
    COUNT = 4
    REPORT_AND_COUNT = 7


class Operator(IntEnum):
    """Which records are meant."""

    NONE = 0
    ALL = 1
    UP_TO = 2
    FROM = 3
    BETWEEN = 4
    FIRST = 5
    LAST = 6


class Filter(IntEnum):
    """What the bounds count: the sequence number of a glucose record (the minutes of a session), or its time."""

    NUMBER = 1
    TIME = 2


_BOUNDS = {Operator.UP_TO: 1, Operator.FROM: 1, Operator.BETWEEN: 2}


@dataclass(frozen=True, slots=True)
class RecordRequest:
    """One request of a hub. `bounds` are the operands of an operator that has them, the lower first."""

    operation: Operation
    operator: Operator = Operator.ALL
    filter: Filter | None = None
    bounds: tuple[int, ...] | tuple[datetime | None, ...] = ()

    @classmethod
    def from_bytes(cls, payload: bytes) -> "RecordRequest":
        """Raises `DecodeError`."""
        cursor = Cursor(NAME, payload)
        codes = cursor.unsigned(1, "operation"), cursor.unsigned(1, "operator")
        try:
            operation, operator = Operation(codes[0]), Operator(codes[1])
        except ValueError as error:
            raise cursor.error(f"no request: {error}") from error
        if (operation is Operation.ABORT) != (operator is Operator.NONE):
            raise cursor.error("only an abort has no operator")
        if operator not in _BOUNDS:
            cursor.end()
            return cls(operation, operator)
        kind = cursor.unsigned(1, "filter")
        bounds: list[int] = []
        moments: list[datetime | None] = []
        for _ in range(_BOUNDS[operator]):
            if kind == Filter.NUMBER:
                bounds.append(cursor.unsigned(2, "bound"))
            elif kind == Filter.TIME:
                moments.append(cursor.date_time("bound"))
            else:
                raise cursor.error(f"no filter: {kind}")
        cursor.end()
        return cls(operation, operator, Filter(kind), tuple(bounds) or tuple(moments))

    def to_bytes(self) -> bytes:
        """What a hub writes. Raises `EncodeError`, for a deletion always."""
        if self.operation is Operation.DELETE:
            raise EncodeError("a hub deletes no records")
        if (self.operation is Operation.ABORT) != (self.operator is Operator.NONE):
            raise EncodeError("only an abort has no operator")
        if len(self.bounds) != _BOUNDS.get(self.operator, 0) or (self.filter is None) != (not self.bounds):
            raise EncodeError(f"{len(self.bounds)} bounds do not fit this operator")
        head = bytes((self.operation, self.operator))
        if self.filter is None:
            return head
        return head + bytes((self.filter,)) + b"".join(map(_bound, self.bounds))


def _bound(bound: int | datetime | None) -> bytes:
    if not isinstance(bound, int):
        return encode_date_time(bound)
    try:
        return bound.to_bytes(2, "little")
    except OverflowError as error:
        raise EncodeError(f"{bound} does not fit into 16 bits") from error


def decode_answer(payload: bytes) -> Decoded:
    """What a device answers, as facts. Raises `DecodeError`, also for a request: no device sends one."""
    cursor = Cursor(NAME, payload)
    operation = cursor.unsigned(1, "operation")
    if operation not in (_COUNT_ANSWER, _RESPONSE, _COMBINED_ANSWER):
        raise cursor.error(f"operation {operation} is no answer")
    if cursor.unsigned(1, "operator") != _NO_OPERATOR:
        raise cursor.error("an answer has no operator")
    if operation != _RESPONSE:
        if cursor.left not in _COUNT_BYTES:
            raise cursor.error(f"a count of {cursor.left} bytes")
        return Decoded(facts=(Fact("record_count", cursor.unsigned(cursor.left, "count")),))
    asked, code = cursor.unsigned(1, "request"), cursor.unsigned(1, "response code")
    cursor.end()
    said = RESPONSES[code] if code < len(RESPONSES) else "reserved"
    return Decoded(
        facts=(
            Fact("request_operation", asked),
            Fact("response_code", code),
            Fact("response", said),
            Fact("success", code in (SUCCESS, NO_RECORDS_FOUND)),
        )
    )


def encode_count(count: int) -> bytes:
    """A device's answer to `Operation.COUNT`, for the simulator."""
    return bytes((_COUNT_ANSWER, _NO_OPERATOR)) + count.to_bytes(2, "little")


def encode_response(operation: Operation, code: int = SUCCESS) -> bytes:
    """A device's answer to any other operation, or its refusal of a count, for the simulator."""
    return bytes((_RESPONSE, _NO_OPERATOR, operation, code))
