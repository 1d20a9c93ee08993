"""The sound itself: its pitch, its harmonics and its pulses, measured in the samples."""

import io
import math
import wave
from array import array

import pytest

from bedside_agent.signals.wave import BURSTS, RATE_HZ, Burst, as_wav, samples, silence, wav
from bedside_profiles.rules.priority import Priority


def power(content: "array[int]", hertz: float) -> float:
    """How much of a frequency there is: one term of the Fourier transform."""
    step = 2 * math.pi * hertz / RATE_HZ
    real = sum(value * math.cos(step * place) for place, value in enumerate(content))
    imaginary = sum(value * math.sin(step * place) for place, value in enumerate(content))
    return math.hypot(real, imaginary) / len(content)


def read(data: bytes) -> "array[int]":
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE_HZ)
        return array("h", file.readframes(file.getnframes()))


def pulses(content: "array[int]") -> list[tuple[float, float]]:
    """Start and length of what is louder than a hundredth, in seconds; 5 ms of silence end a pulse."""
    found: list[tuple[int, int]] = []
    for place, value in enumerate(content):
        if abs(value) < 328:
            continue
        if found and place - found[-1][1] < RATE_HZ // 200:
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return [(first / RATE_HZ, (last - first) / RATE_HZ) for first, last in found]


def test_the_strongest_tone_is_low_and_its_odd_harmonics_are_there() -> None:
    first = read(wav(BURSTS[Priority.HIGH]))[: RATE_HZ // 5]
    spectrum = {hertz: power(first, hertz) for hertz in range(100, 4000, 20)}
    strongest = max(spectrum, key=spectrum.__getitem__)
    assert 500 <= strongest <= 540
    for harmonic in (3, 5, 7):
        assert power(first, harmonic * 520) == pytest.approx(spectrum[520] / harmonic, rel=0.1)
    assert power(first, 2 * 520) < spectrum[520] / 20, "even harmonics are no square wave's"


@pytest.mark.parametrize(("priority", "count"), [(Priority.HIGH, 10), (Priority.MEDIUM, 3), (Priority.LOW, 1)])
def test_the_pulses_stand_where_the_burst_has_them(priority: Priority, count: int) -> None:
    burst = BURSTS[priority]
    heard = pulses(read(wav(burst)))
    assert len(heard) == count
    for (start, length), (wanted_start, wanted_length) in zip(heard, burst.pulses, strict=True):
        assert start == pytest.approx(wanted_start, abs=0.005)
        assert length == pytest.approx(wanted_length, abs=0.01)


def test_high_comes_again_sooner_than_medium_and_medium_sooner_than_low() -> None:
    rests = [BURSTS[priority].rest_seconds for priority in (Priority.HIGH, Priority.MEDIUM, Priority.LOW)]
    assert rests == sorted(rests)


def test_it_does_not_click_and_does_not_clip() -> None:
    content = samples(Burst(((0.0, 0.2),), 1))
    assert max(map(abs, content)) <= 32767 * 0.8 + 1
    assert abs(content[0]) < 300
    assert abs(content[-1]) < 300


def test_silence_is_silent() -> None:
    assert set(read(silence(0.05))) == {0}
    assert read(as_wav(array("h", [1, -2]))) == array("h", [1, -2])
