import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_sim.patients import Scenario, vitals

SEEDS = range(20)


@given(st.integers(0, 2**32), st.sampled_from(Scenario), st.integers(0, 100_000))
def test_the_same_arguments_give_the_same_plausible_patient(seed: int, scenario: Scenario, second: int) -> None:
    now = vitals(seed, scenario, second)
    assert now == vitals(seed, scenario, second)
    assert 75 <= now.spo2 <= 100
    assert 45 <= now.pulse_rate <= 140
    assert 10 <= now.respiratory_rate <= 40
    assert 60 <= now.diastolic < now.mean < now.systolic <= 240
    assert 0 < now.perfusion_index <= 6
    assert all(350 < interval < 1500 for interval in now.rr_intervals_ms)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_desaturation_falls_below_88_within_12_seconds_and_stays_there(seed: int) -> None:
    assert vitals(seed, Scenario.DESATURATION, 0).spo2 > 94
    assert all(vitals(seed, Scenario.DESATURATION, second).spo2 < 88 for second in range(12, 120))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_heart_answers_to_falling_saturation(seed: int) -> None:
    seconds = range(40)
    spo2 = [vitals(seed, Scenario.DESATURATION, second).spo2 for second in seconds]
    pulse = [vitals(seed, Scenario.DESATURATION, second).pulse_rate for second in seconds]
    assert statistics.correlation(spo2, pulse) < -0.9


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stable_patient_raises_no_usual_alarm(seed: int) -> None:
    for second in range(0, 3600, 7):
        now = vitals(seed, Scenario.STABLE, second)
        assert now.spo2 > 94
        assert 55 < now.pulse_rate < 90
        assert 100 < now.systolic < 145


@pytest.mark.parametrize("seed", SEEDS)
def test_a_crisis_passes_200_and_a_recovery_ends_normal(seed: int) -> None:
    assert vitals(seed, Scenario.HYPERTENSIVE_CRISIS, 60).systolic > 190
    assert vitals(seed, Scenario.HYPERTENSIVE_CRISIS, 60).diastolic > 105
    assert vitals(seed, Scenario.RECOVERY, 0).spo2 < 86
    assert vitals(seed, Scenario.RECOVERY, 90).spo2 > 94


@pytest.mark.parametrize("scenario", Scenario)
def test_nothing_jumps(scenario: Scenario) -> None:
    for second in range(300):
        before, after = vitals(3, scenario, second), vitals(3, scenario, second + 1)
        assert abs(after.spo2 - before.spo2) < 3.5
        assert abs(after.pulse_rate - before.pulse_rate) < 12


def test_the_intervals_are_as_many_as_the_beats() -> None:
    beats = sum(len(vitals(5, Scenario.STABLE, second).rr_intervals_ms) for second in range(600))
    mean_rate = statistics.fmean(vitals(5, Scenario.STABLE, second).pulse_rate for second in range(600))
    assert beats == pytest.approx(mean_rate * 10, rel=0.15)


def test_two_seeds_are_two_patients() -> None:
    assert vitals(1, Scenario.STABLE, 0) != vitals(2, Scenario.STABLE, 0)
