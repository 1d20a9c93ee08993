"""From the declared map to permissions."""

import pytest

from bedside_cloud.contracts.service_map import SERVICES, ServiceEntry
from bedside_cloud.engines.permissions import permissions_of

ENTRIES = {entry.name: entry for entry in SERVICES}


def test_a_row_becomes_what_it_says_and_its_own_inbox() -> None:
    entry = ServiceEntry(name="one", sees=(), publishes=("a",), subscribes=("b",), requests=("c",))
    permissions = permissions_of(entry)
    assert permissions.publish == ("a", "c")
    assert permissions.subscribe == ("b", "_INBOX.one.>")


def test_streams_can_be_made_and_read_but_not_deleted() -> None:
    entry = ServiceEntry(name="one", sees=(), streams=("ALARMS",))
    publish = permissions_of(entry).publish
    assert "$JS.API.STREAM.CREATE.ALARMS" in publish
    assert not [subject for subject in publish if "DELETE" in subject or "PURGE" in subject or "READINGS" in subject]


@pytest.mark.parametrize("name", ENTRIES)
def test_nobody_but_a_hub_may_speak_on_a_lane_that_comes_from_hubs(name: str) -> None:
    up = {f"bedside.v1.hubs.*.{lane}" for lane in ("alarms", "readings", "waveforms", "events", "status", "replies")}
    assert not up & set(permissions_of(ENTRIES[name]).publish)
    assert not [subject for subject in permissions_of(ENTRIES[name]).publish if subject in (">", "bedside.>")]
