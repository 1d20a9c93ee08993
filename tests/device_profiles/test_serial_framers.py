"""Every serial framer: whatever happens to its bytes, a right value comes out, or none, and never another exception."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.case import run
from tests.fuzz.choices import Dice
from tests.fuzz.specimens import SPECIMENS, Guard, Members, Specimen

from bedside_profiles.catalogue import CATALOGUE
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Decoded, SerialProfile
from bedside_profiles.readings import METRICS, Measurement

SERIAL = tuple(profile for profile in CATALOGUE if isinstance(profile, SerialProfile))

every_specimen = pytest.mark.parametrize("specimen", SPECIMENS.values(), ids=lambda one: one.profile.name)
every_profile = pytest.mark.parametrize("profile", SERIAL, ids=lambda one: one.name)


def told(profile: SerialProfile, pieces: list[bytes]) -> list[Members]:
    framer = profile.framer()
    outcomes = [outcome for piece in pieces for outcome in framer.feed(piece)]
    return [one.measurements for one in outcomes if isinstance(one, Decoded) and one.measurements]


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(stream[:size])
        stream = stream[size:]
    return [*pieces, stream]


def by_metric(members: Members) -> dict[str, tuple[float | None, str | None]]:
    return {one.metric: (one.value, one.device_time) for one in members}


def test_every_serial_profile_is_fuzzed() -> None:
    assert set(SPECIMENS) == {profile.name for profile in SERIAL}


@every_specimen
@given(seed=st.integers(0, 1 << 30))
@settings(max_examples=25)
def test_reads_what_it_writes(specimen: Specimen, seed: int) -> None:
    members = specimen.spoken(Dice(seed))[0]
    framer = specimen.profile.framer()
    found = [one for one in framer.feed(specimen.encode(members)) if isinstance(one, Decoded) and one.measurements]
    if not found:
        assert specimen.guard is Guard.MEDIAN, "only what has no protection of its own waits for more"
        rest = framer.rest()
        assert isinstance(rest, Decoded)
        found = [rest]
    assert [by_metric(one.measurements) for one in found] == [by_metric(members)]


@every_specimen
@given(seed=st.integers(0, 1 << 30), sizes=st.lists(st.integers(1, 60), max_size=40))
@settings(max_examples=25)
def test_any_split_or_merge_gives_the_same_outcomes(specimen: Specimen, seed: int, sizes: list[int]) -> None:
    stream = b"".join(specimen.encode(members) for members in specimen.spoken(Dice(seed)))
    whole, split = specimen.profile.framer(), specimen.profile.framer()
    outcomes = whole.feed(stream)
    assert outcomes == tuple(one for piece in cut(stream, sizes) for one in split.feed(piece))
    assert not any(isinstance(one, DecodeError) for one in outcomes)
    assert outcomes


@every_specimen
@given(seed=st.integers(0, 1 << 30), noise=st.binary(max_size=60), sizes=st.lists(st.integers(1, 60), max_size=9))
@settings(max_examples=25)
def test_garbage_before_a_stream_costs_nothing_behind_what_it_covers(
    specimen: Specimen, seed: int, noise: bytes, sizes: list[int]
) -> None:
    spoken = specimen.spoken(Dice(seed))
    stream = noise + b"".join(specimen.encode(members) for members in spoken) * 2
    found = told(specimen.profile, cut(stream, sizes))
    last = by_metric(spoken[-1])
    if specimen.guard is Guard.MEDIAN:
        last = by_metric(told(specimen.profile, [b"".join(specimen.encode(members) for members in spoken)])[-1])
    assert by_metric(found[-1]) == last


@every_specimen
def test_a_short_run_of_the_fuzzer(specimen: Specimen) -> None:
    cases = 40 if specimen.guard is Guard.SECOND else 150
    assert sum(run(specimen, Dice(seed)) for seed in range(cases)) > cases


@every_profile
@given(pieces=st.lists(st.binary(max_size=80), max_size=8))
def test_any_bytes_are_answered_with_outcomes(profile: SerialProfile, pieces: list[bytes]) -> None:
    framer = profile.framer()
    outcomes = [*(one for piece in pieces for one in framer.feed(piece)), framer.rest()]
    for one in outcomes:
        if isinstance(one, Decoded):
            assert all(is_possible(member) for member in one.measurements)
        else:
            assert one is None or isinstance(one, DecodeError)


def is_possible(member: Measurement) -> bool:
    facts = METRICS[member.metric]
    return member.value is None or facts.lowest <= member.value <= facts.highest


@every_profile
@given(frame=st.binary(max_size=30))
def test_any_command_is_explained_or_refused(profile: SerialProfile, frame: bytes) -> None:
    if profile.decode_command is None:
        return
    try:
        decoded = profile.decode_command(frame)
    except DecodeError:
        return
    assert decoded.facts
    assert not decoded.measurements


@every_profile
def test_nothing_is_kept_of_a_line_that_speaks_something_else(profile: SerialProfile) -> None:
    framer = profile.framer()
    dice = Dice(1)
    for _ in range(200):
        framer.feed(dice.noise(1000))
    assert sum(len(value) for value in _bytes_within(framer)) < 20_000


def _bytes_within(part: object, depth: int = 4) -> list[bytes]:
    found = []
    for value in getattr(part, "__dict__", {}).values():
        if isinstance(value, bytes | bytearray):
            found.append(bytes(value))
        elif depth and type(value).__module__.startswith("bedside_profiles"):
            found += _bytes_within(value, depth - 1)
    return found
