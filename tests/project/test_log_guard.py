"""The log guard finds what it is there to find, and nothing else."""

import logging

import pytest
from tests.support.log_guard import PLANTED, Leak

log = logging.getLogger("bedside_agent.some.place")


@pytest.mark.parametrize(
    "message",
    [f"patient {PLANTED[0]} was seen", "spo2=85", "'heart_rate': 120", "value: 97.0"],
)
def test_a_leak_is_found(log_guard: Leak, message: str) -> None:
    log.warning(message)
    assert len(log_guard.found) >= 1
    log_guard.found.clear()


def test_a_leak_in_the_fields_is_found(log_guard: Leak) -> None:
    log.warning("reading.kept", extra={"value": 97.0})
    log.warning("person.added", extra={"who": PLANTED[1]})
    assert len(log_guard.found) == 2
    log_guard.found.clear()


def test_plain_events_pass(log_guard: Leak) -> None:
    log.warning("uplink.connected", extra={"hub": "hub-0001", "waiting": 17})
    log.warning("profile spo2 of device oximeter-1 lost after 30 s")
    assert log_guard.found == []
