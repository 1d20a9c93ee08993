"""What an advertiser may be, by what it says of itself. Pure."""

from collections.abc import Collection

from bedside_profiles.catalogue import ADVERTS, CATALOGUE
from bedside_profiles.explain import best_named
from bedside_profiles.profile import AdvertProfile, BleProfile


def recognised(
    name: str | None,
    service_uuids: Collection[str],
    data_of_services: Collection[str] = (),
    data_of_companies: Collection[int] = (),
) -> tuple[BleProfile | AdvertProfile, ...]:
    """The profiles that fit, in the catalogue's order; none for a device that the hub does not know.

    Services of several makers are told apart by the words in the name. UUIDs are 128 bit, lower case.
    """
    words = (name or "").lower()
    speaking = [
        profile
        for profile in CATALOGUE
        if isinstance(profile, BleProfile)
        and not {profile.service_uuid, *profile.also_services}.isdisjoint(service_uuids)
    ]
    saying = [
        profile
        for profile in ADVERTS
        if profile.service_uuid in data_of_services
        or (profile.service_uuid is None and profile.company in data_of_companies)
    ]
    return (*best_named(speaking, words), *best_named(saying, words))
