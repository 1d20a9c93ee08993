"""The page on the hub's own network: which Wi-Fi is the home's, and what its password is. Pure.

It needs no script: the small browsers that telephones open by themselves on such a network often run none.
"""

import html
from collections.abc import Callable
from pathlib import Path
from string import Template

from bedside_agent.signals import sentences
from bedside_agent.signals.sentences import _
from bedside_agent.wifi.setting_up import Answering, Failure, Network, Open, Opening, Settled, State, Trouble, Trying

WORDS = Path(__file__).parent / "words"
TEMPLATE = Template((Path(__file__).parent / "page.html").read_text(encoding="utf-8"))
NAMES = {"en": "English", "es": "Español"}

TITLE = _("Wi-Fi for your monitor")
WHY = _("The monitor measures and warns you as ever. It needs your Wi-Fi to reach your care team.")
CHOOSE = _("Which Wi-Fi is yours?")
NONE_HEARD = _("The monitor hears no Wi-Fi here. Type the name of yours.")
OTHER = _("Another name")
PASSWORD = _("Password of your Wi-Fi")
CONNECT = _("Connect")
AGAIN = _("Look for Wi-Fi again")
TROUBLES = {
    Trouble.WRONG_PASSWORD: _("The password for {network} is wrong. Please type it again."),
    Trouble.OUT_OF_RANGE: _(
        "The monitor cannot hear {network}. Move the monitor nearer to your router, and try again."
    ),
    Trouble.NO_ADDRESS: _("{network} gave the monitor no address. Switch your router off and on, and try again."),
    Trouble.REFUSED: _("The monitor could not join {network}. Check the name and the password, and try again."),
}
TRIES = _("The monitor now tries {network}.")
GOES_AWAY = _(
    "The Wi-Fi of the monitor goes away for about a minute. If it stays away, all is well, and you can close this page."
)
COMES_BACK = _("If it comes back, join it again. This page then says what is wrong.")
LOOKS = _("The monitor looks for Wi-Fi. Join its own Wi-Fi again in half a minute.")


def words(language: str) -> Callable[[str], str]:
    """What translates this page's texts."""
    return sentences.translator(language, WORDS)


def page(state: State, language: str, problem: str = "") -> str:
    """The page in this state as HTML. `problem` is what is wrong with what somebody just typed, in English."""
    say = words(language)
    match state:
        case Open(networks, failure):
            body = _form(networks, failure, problem, language, say)
        case Answering(choice, _until_ms):
            body = _told(TRIES, choice.ssid, say)
        case Trying(ssid):
            body = _told(TRIES, ssid, say)
        case Opening() | Settled() | _:
            body = f'<p role="status">{html.escape(say(LOOKS))}</p>'
    others = [one for one in sentences.languages() if one != language]
    links = [
        f'<a class="language" href="/?lang={one}" lang="{one}" hreflang="{one}">{NAMES[one]}</a>' for one in others
    ]
    return TEMPLATE.substitute(language=language, title=html.escape(say(TITLE)), body=body, languages="".join(links))


def _told(text: str, ssid: str, say: Callable[[str], str]) -> str:
    said = (say(text).format(network=ssid), say(GOES_AWAY), say(COMES_BACK))
    return f'<div role="status">{"".join([f"<p>{html.escape(one)}</p>" for one in said])}</div>'


def _form(
    networks: tuple[Network, ...], failure: Failure | None, problem: str, language: str, say: Callable[[str], str]
) -> str:
    if problem:
        said = say(problem)
    else:
        said = say(TROUBLES[failure.trouble]).format(network=failure.ssid) if failure else ""
    before = failure.ssid if failure else ""
    alert = f'<p class="problem" role="alert" id="problem">{html.escape(said)}</p>' if said else ""
    described = ' aria-describedby="problem"' if said else ""
    return (
        f"{alert}<p>{html.escape(say(WHY))}</p>"
        f'<form method="post" action="/join?lang={language}" autocomplete="off">'
        f"{_list(networks, before, say)}"
        f'<label class="field" for="other">{html.escape(say(OTHER))}</label>'
        f'<input class="text" id="other" name="other" maxlength="32" autocapitalize="none" spellcheck="false"'
        f' value="{_typed(networks, before)}">'
        f'<label class="field" for="password">{html.escape(say(PASSWORD))}</label>'
        # Shown as it is typed: a long password that nobody sees is typed wrong, and nobody looks over a shoulder here.
        f'<input class="text" id="password" name="password" maxlength="64" autocapitalize="none" spellcheck="false"'
        f'{described}><button class="main" type="submit">{html.escape(say(CONNECT))}</button></form>'
        f'<form method="post" action="/look?lang={language}"><button type="submit">{html.escape(say(AGAIN))}</button>'
        "</form>"
    )


def _list(networks: tuple[Network, ...], before: str, say: Callable[[str], str]) -> str:
    if not networks:
        return f"<p>{html.escape(say(NONE_HEARD))}</p>"
    rows = [
        f'<label class="network"><input type="radio" name="ssid" value="{html.escape(one.ssid)}"'
        f"{' checked' if one.ssid == before else ''}> <span>{html.escape(one.ssid)}</span></label>"
        for one in networks
    ]
    return f"<fieldset><legend>{html.escape(say(CHOOSE))}</legend>{''.join(rows)}</fieldset>"


def _typed(networks: tuple[Network, ...], before: str) -> str:
    """What was typed and is not in the list stands there again."""
    return "" if before in {one.ssid for one in networks} else html.escape(before)
