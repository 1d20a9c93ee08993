"""The page on the hub's own network, over HTTP: what somebody sees, types and is told, in both languages."""

import html
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode

import httpx
import pytest

from bedside_agent.signals import sentences
from bedside_agent.wifi import page
from bedside_agent.wifi.choosing import NAME_TOO_LONG, NO_NETWORK, NO_PASSWORD, PASSWORD_TOO_LONG
from bedside_agent.wifi.portal import serving
from bedside_agent.wifi.setting_up import (
    Answering,
    Choice,
    Failure,
    Network,
    Open,
    Opening,
    State,
    Trouble,
    Trying,
)

NETWORKS = (Network("Home & <b>garden</b>", 80), Network("Café", 60), Network("Free", 40, is_protected=False))
PASSWORD = "a secret of the home"


@dataclass
class Hub:
    """What the page is told, and what it tells."""

    state: State = field(default_factory=lambda: Open(NETWORKS))
    choices: list[Choice] = field(default_factory=list)
    looks: int = 0
    url: str = ""

    def choose(self, choice: Choice) -> State:
        self.choices.append(choice)
        return Answering(choice, 0)

    def look_again(self) -> State:
        self.looks += 1
        return Opening()

    def get(self, path: str = "/") -> httpx.Response:
        return httpx.get(self.url + path)

    def join(self, lang: str = "en", **fields: str) -> str:
        content = urlencode(fields)
        answer = httpx.post(f"{self.url}/join?lang={lang}", content=content)
        assert answer.status_code == 200
        return html.unescape(answer.text)


@pytest.fixture
def hub() -> Iterator[Hub]:
    one = Hub()
    with serving(("127.0.0.1", 0), "en", lambda: one.state, one.choose, one.look_again) as port:
        one.url = f"http://127.0.0.1:{port}"
        yield one


def test_the_networks_are_listed_and_none_can_write_into_the_page(hub: Hub) -> None:
    text = hub.get().text
    assert "<b>garden" not in text
    for one in NETWORKS:
        assert html.escape(one.ssid) in text
    assert "<script" not in text
    assert "default-src 'none'" in hub.get().headers["content-security-policy"]


def test_a_choice_is_taken_and_its_password_is_shown_to_nobody(hub: Hub) -> None:
    said = hub.join(ssid="Café", password=PASSWORD)
    assert [(one.ssid, one.password, one.is_hidden) for one in hub.choices] == [("Café", PASSWORD, False)]
    assert "The monitor now tries Café." in said
    assert PASSWORD not in said
    hub.join(ssid="Café", other="Hidden", password=PASSWORD)
    hub.join(ssid="Free", password="")
    assert [(one.ssid, one.is_hidden) for one in hub.choices[1:]] == [("Hidden", True), ("Free", False)]
    assert hub.choices[2].password == ""


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, NO_NETWORK),
        ({"ssid": "Café", "password": "short"}, NO_PASSWORD),
        ({"ssid": "Café", "password": "x" * 64}, PASSWORD_TOO_LONG),
        ({"ssid": "Café", "password": "pässwörter"}, PASSWORD_TOO_LONG),
        ({"other": "ä" * 17, "password": PASSWORD}, NAME_TOO_LONG),
        ({"other": "x" * 3000}, NO_NETWORK),
    ],
)
def test_what_cannot_be_tried_is_said_and_the_hotspot_stays(hub: Hub, fields: dict[str, str], problem: str) -> None:
    assert problem in hub.join(**fields)
    assert hub.choices == []


def test_a_key_of_64_digits_is_a_password(hub: Hub) -> None:
    hub.join(ssid="Café", password="0123456789abcdef" * 4)
    assert len(hub.choices) == 1


@pytest.mark.parametrize("trouble", list(Trouble))
@pytest.mark.parametrize("language", ["en", "es"])
def test_what_went_wrong_is_said_in_both_languages(hub: Hub, trouble: Trouble, language: str) -> None:
    hub.state = Open(NETWORKS, Failure("Café", trouble))
    text = html.unescape(hub.get(f"/?lang={language}").text)
    expected = page.words(language)(page.TROUBLES[trouble]).format(network="Café")
    assert expected in text
    assert 'role="alert"' in text
    if language == "es":
        assert page.TROUBLES[trouble].format(network="Café") not in text


def test_every_text_has_its_translation() -> None:
    english = [value for name, value in vars(page).items() if name.isupper() and isinstance(value, str)]
    texts = [*english, *page.TROUBLES.values(), NO_NETWORK, NAME_TOO_LONG, NO_PASSWORD, PASSWORD_TOO_LONG]
    assert len(texts) == 20
    assert set(sentences.languages()) == {"en", "es"}
    say = page.words("es")
    assert [text for text in texts if say(text) == text] == []


def test_a_telephones_question_whether_this_is_the_internet_leads_to_the_page(hub: Hub) -> None:
    for path, host in (("/generate_204", "connectivitycheck.example"), ("/", "captive.example"), ("/other", "")):
        headers = {"host": host} if host else {}
        answer = httpx.get(hub.url + path, headers=headers)
        assert answer.status_code == 303
        assert answer.headers["location"] == f"{hub.url}/?lang=en"


def test_a_page_that_is_sent_twice_or_late_does_nothing(hub: Hub) -> None:
    hub.state = Trying("Café")
    answer = httpx.post(f"{hub.url}/join", content=urlencode({"ssid": "Café", "password": PASSWORD}))
    assert answer.status_code == 303
    assert hub.choices == []
    assert "The monitor now tries Café." in hub.get().text


def test_another_site_chooses_nothing(hub: Hub) -> None:
    content = urlencode({"ssid": "Café", "password": PASSWORD})
    answer = httpx.post(f"{hub.url}/join", content=content, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 303
    assert hub.choices == []


def test_the_list_can_be_had_anew(hub: Hub) -> None:
    assert "looks for Wi-Fi" in httpx.post(f"{hub.url}/look").text
    assert hub.looks == 1
