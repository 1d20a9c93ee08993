"""What an advertiser may be."""

import pytest

from bedside_profiles.catalogue import ADVERTS, CATALOGUE
from bedside_profiles.profile import AdvertProfile, BleProfile
from bedside_profiles.recognising import recognised

BLUETOOTH = [profile for profile in CATALOGUE if isinstance(profile, BleProfile)]


@pytest.mark.parametrize("profile", BLUETOOTH, ids=lambda profile: profile.name)
def test_each_is_among_those_that_its_service_and_name_may_be(profile: BleProfile) -> None:
    name = max(profile.names, key=len, default="Any Device")
    found = recognised(f"{name.upper()} 12", [profile.service_uuid])
    assert profile in found


@pytest.mark.parametrize("profile", ADVERTS, ids=lambda profile: profile.name)
def test_each_that_only_advertises_is_known_by_its_data(profile: AdvertProfile) -> None:
    services = [] if profile.service_uuid is None else [profile.service_uuid]
    companies = [] if profile.company is None else [profile.company]
    name = max(profile.names, key=len, default=None)
    assert profile in recognised(name, [], services, companies)


def test_an_unknown_service_is_nobody() -> None:
    assert recognised("Treadmill", ["00001826-0000-1000-8000-00805f9b34fb"], [], [0xFFFF]) == ()
    assert recognised(None, []) == ()
