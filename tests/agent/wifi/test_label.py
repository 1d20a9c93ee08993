"""The name and password of the hub's own network: kept, readable aloud, and not the hub's id."""

from pathlib import Path

from bedside_agent.wifi.label import label_of


def test_it_is_the_same_each_time_and_readable_by_the_hub_alone(tmp_path: Path) -> None:
    first = label_of(tmp_path, "hub-0001")
    assert label_of(tmp_path, "hub-0001") == first
    assert (tmp_path / "hotspot").stat().st_mode & 0o777 == 0o600
    assert first.ssid.startswith("Bedside-")
    assert len(first.ssid) == 12
    assert "0001" not in first.ssid
    assert 8 <= len(first.password) <= 63
    assert first.qr_text() == f"WIFI:T:WPA;S:{first.ssid};P:{first.password};;"


def test_two_hubs_of_one_home_are_told_apart(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    a, b = label_of(one, "hub-0001"), label_of(two, "hub-0002")
    assert a.ssid != b.ssid
    assert a.password != b.password
