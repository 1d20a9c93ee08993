"""Topics and subjects, both ways."""

import pytest

from bedside_profiles.errors import MalformedError
from bedside_profiles.wire.topics import DownLane, UpLane, check_hub_id, parse_topic, subject, topic


@pytest.mark.parametrize("lane", [*UpLane, *DownLane])
def test_a_topic_and_its_subject_name_the_same(lane: UpLane | DownLane) -> None:
    assert topic("hub-1", lane) == f"bedside/v1/hubs/hub-1/{lane.value}"
    assert parse_topic(topic("hub-1", lane)) == ("hub-1", lane)
    assert parse_topic(subject("hub-1", lane)) == ("hub-1", lane)


@pytest.mark.parametrize("hub_id", ["", "-a", "a-", "A", "a.b", "a/b", "a b", "a" * 65, "*", ">", "#", "a\n", "é"])
def test_what_could_mean_another_topic_is_no_hub_id(hub_id: str) -> None:
    with pytest.raises(MalformedError):
        check_hub_id(hub_id)
    with pytest.raises(MalformedError):
        topic(hub_id, UpLane.ALARMS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bedside",
        "bedside/v2/hubs/a/alarms",
        "bedside/v1/hubs/a",
        "bedside/v1/hubs/a/x",
        "bedside/v1/hubs/a/alarms/b",
    ],
)
def test_other_topics_are_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_topic(text)
