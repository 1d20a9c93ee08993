"""Every message survives its round trip, ignores what it does not know, and refuses all else with a typed error."""

import contextlib
import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tests.support.wire_strategies import messages

from bedside_profiles.errors import MalformedError, UndecodableError, WireError
from bedside_profiles.wire.codec import MAX_BODY_BYTES, decode_map, encode_map
from bedside_profiles.wire.fields import to_map
from bedside_profiles.wire.messages import MESSAGES, decode, encode
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.schema import documents
from bedside_profiles.wire.status import Status

any_message = st.one_of([messages(kind) for kind in MESSAGES])

RECEIPT = {
    "schema": 1,
    "hub_id": "hub-1",
    "generation": "55555555-5555-4555-8555-555555555555",
    "lane": "readings",
    "store_id": "0" * 32,
    "stored": [[1, 5]],
}


@given(any_message)
def test_a_message_survives_its_round_trip(message: Any) -> None:
    assert decode(type(message), encode(message)) == message


@given(
    any_message,
    st.dictionaries(
        st.text(min_size=30, max_size=40), st.integers(-(2**63), 2**63 - 1) | st.text() | st.none(), max_size=3
    ),
)
def test_unknown_fields_are_ignored(message: Any, unknown: dict[str, object]) -> None:
    assert decode(type(message), encode_map({**to_map(message), **unknown})) == message


@given(any_message, st.data())
def test_a_truncated_message_is_refused(message: Any, data: st.DataObject) -> None:
    body = encode(message)
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(WireError):
        decode(type(message), body[:cut])


@given(st.sampled_from(MESSAGES), st.binary(max_size=200))
def test_garbage_is_refused_with_a_typed_error(kind: Any, body: bytes) -> None:
    with pytest.raises(WireError):
        decode(kind, body)


@given(any_message, st.data())
def test_a_changed_byte_is_a_message_or_a_typed_error(message: Any, data: st.DataObject) -> None:
    body = bytearray(encode(message))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        assert isinstance(decode(type(message), bytes(body)), type(message))


@given(any_message)
def test_a_message_fits_its_json_schema(message: Any) -> None:
    schema = documents()[f"{type(message).__name__}.schema.json"]
    Draft202012Validator(schema).validate(_json(to_map(message)))


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return "A" * (-(-len(value) // 3) * 4)
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json(item) for item in value]
    return value


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("schema", 2, "schema"),
        ("schema", True, "schema"),
        ("hub_id", "hub/1", "hub_id"),
        ("hub_id", "hub-1\n", "hub_id"),
        ("hub_id", "", "hub_id"),
        ("generation", "5", "generation"),
        ("lane", "elsewhere", "lane"),
        ("stored", [[1]], "stored[0]"),
        ("stored", [[1, 2**63]], "stored[0][1]"),
        ("stored", [[0, 1]], "stored[0][0]"),
        ("stored", {"1": 2}, "stored"),
        ("complete", 1, "complete"),
        ("rejected", [{"seq": 1, "reason": "a\0b"}], "rejected[0].reason"),
        ("rejected", [{"seq": 1, "reason": "x" * 1025}], "rejected[0].reason"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object, named: str) -> None:
    body = encode_map({**RECEIPT, field: value})
    with pytest.raises(MalformedError) as raised:
        decode(Receipt, body)
    assert raised.value.field == named


def test_a_missing_field_is_named() -> None:
    body = encode_map({name: value for name, value in RECEIPT.items() if name != "generation"})
    with pytest.raises(MalformedError) as raised:
        decode(Receipt, body)
    assert raised.value.field == "generation"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x93\x01\x02\x03",
        b"\x81\x01\x02",
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\x81\xa1\xff\x01",
        b"\x81\xa1a" + b"\x91" * 2000,
        b"\x80\x80",
    ],
    ids=["empty", "unused", "array", "number-key", "map32", "array32", "str32", "ext32", "not-utf8", "deep", "two"],
)
def test_hostile_messagepack_is_refused(body: bytes) -> None:
    with pytest.raises(UndecodableError):
        decode_map(body)


def test_a_body_above_the_limit_is_refused_unread() -> None:
    with pytest.raises(UndecodableError, match="above the limit"):
        decode_map(b"\x80" + b"\0" * MAX_BODY_BYTES)
    with pytest.raises(ValueError, match="above"):
        encode_map({"a": "x" * MAX_BODY_BYTES})


def test_a_number_that_is_not_one_is_refused() -> None:
    from bedside_profiles.wire.careplan import CarePlan

    rule = {"rule_id": "a", "version": 1, "condition": "a", "metric": "spo2", "side": "below", "priority": "high"}
    plan = {
        "schema": 1,
        "plan_id": RECEIPT["generation"],
        "version": 1,
        "hub_id": "hub-1",
        "patient_id": RECEIPT["generation"],
        "issued_at_ms": 0,
        "active": True,
    }
    for limit in (float("nan"), float("inf"), "88", None):
        with pytest.raises(MalformedError) as raised:
            decode(CarePlan, encode_map({**plan, "rules": [{**rule, "limit": limit}]}))
        assert raised.value.field == "rules[0].limit"
    with pytest.raises(MalformedError, match="clear limit"):
        decode(CarePlan, encode_map({**plan, "rules": [{**rule, "limit": 88.0, "clear_limit": 80.0}]}))


def test_every_message_has_a_default_for_what_may_be_absent() -> None:
    for kind in MESSAGES:
        for field in dataclasses.fields(kind):
            assert field.default_factory is dataclasses.MISSING, f"{kind.__name__}.{field.name}"
    assert Status.__dataclass_fields__["devices"].default == ()
