"""The page over HTTP, on the home's network.

`GET /` in the language asked for; `POST /speak` reads it aloud, `POST /call` asks the care team for a call,
`POST /all-right` tells it that the patient says so, and `POST /test` tries the alarm. `POST /not-mine?of=SEQ` disowns a
single check, from a paired telephone.

The standard library's server in a thread of its own; what it shows comes from the agent's loop. It takes no input but
a language and the code of the label, tells a value to a paired telephone alone, and a page that cannot be made says so
instead of showing an old one.
"""

import asyncio
import html
import re
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import TimeoutError as LateError
from contextlib import contextmanager
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

from bedside_agent.homepage.page import (
    ADDRESS,
    ALL_RIGHT,
    CALL_ME,
    CANNOT_SPEAK,
    NOT_ME,
    NOT_PAIRED,
    NOT_SEEN,
    READ_ALOUD,
    READINGS,
    TEST_ALARM,
    TITLE,
    Page,
    words,
)
from bedside_agent.homepage.pairing import COOKIE, COOKIE_SECONDS, Pairing
from bedside_agent.homepage.values import Line
from bedside_agent.signals import sentences

TEMPLATE = Template((Path(__file__).parent / "page.html").read_text(encoding="utf-8"))
NAMES = {"en": "English", "es": "Español"}
NUMBER = re.compile(r"\+?\d[\d ]*\d")
ANSWER_SECONDS = 3.0
NOT_MINE_PATH = "/not-mine"
MOST_CONNECTIONS = 16
"""At a time: a home has few people, each connection is a thread, and whoever is in the home's network may open one."""

T = TypeVar("T")


class Show(Protocol):
    """The page in a language, with values for a paired telephone."""

    async def __call__(self, language: str, *, is_paired: bool = False) -> Page: ...


Speak = Callable[[str], Awaitable[bool]]
"""Read it aloud in a language; False where nothing can speak."""

Tell = Callable[[], Awaitable[bool]]
"""Tell the care team something; False where there is nobody to tell, or nothing to say."""


Disown = Callable[[int], Awaitable[bool]]
"""Say of the measurement with this first sequence that it was somebody else's; False where it is none that is shown."""


class BoundedServer(ThreadingHTTPServer):
    """Takes no more than so many connections at a time; the next ones are closed at once."""

    daemon_threads = True
    # The page of the hub's own Wi-Fi has an address of its own beside the patient's page, which listens on all of them:
    # the kernel gives a connection to the one that names its address.
    allow_reuse_port = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """One more connection."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            # No thread can be begun: the hub has more to do than to show a page.
            self._room.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()


@contextmanager
def serving(
    address: tuple[str, int],
    language: str,
    show: Show,
    speak: Speak,
    tells: Mapping[str, Tell],
    pairing: Pairing,
    disown: Disown,
) -> Iterator[int]:
    """Serve while the block runs; its port. OSError when the address cannot be used. `tells` has each path's."""
    loop = asyncio.get_running_loop()

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version, timeout = "bedside", "", 10

        def do_GET(self) -> None:
            path, chosen = self._asked()
            if path not in ("/", "/speak", NOT_MINE_PATH, *tells):
                self._say(HTTPStatus.NOT_FOUND, "", "")
                return
            code = parse_qs(urlsplit(self.path).query).get("pair", [""])[0]
            if code:
                self._pair(code, chosen)
                return
            shown = self._from_loop(lambda: show(chosen, is_paired=pairing.knows(self._cookie())))
            if shown is None:
                self._say(HTTPStatus.SERVICE_UNAVAILABLE, html.escape(words(chosen)(NOT_SEEN)), "")
            else:
                nonce = secrets.token_urlsafe(16)
                self._say(HTTPStatus.OK, rendered(shown, chosen, nonce), nonce)

        def do_POST(self) -> None:
            path, chosen = self._asked()
            if (
                path not in ("/speak", NOT_MINE_PATH, *tells)
                or self.headers.get("sec-fetch-site", "same-origin") != "same-origin"
            ):
                self._say(HTTPStatus.NOT_FOUND, "", "")
                return
            of = parse_qs(urlsplit(self.path).query).get("of", [""])[0]
            if path == NOT_MINE_PATH:
                may = pairing.knows(self._cookie()) and of.isascii() and of.isdigit() and len(of) < 19
                done, sorry = may and self._from_loop(lambda: disown(int(of))), NOT_SEEN
            elif path in tells:
                done, sorry = self._from_loop(tells[path]), NOT_SEEN
            else:
                done, sorry = self._from_loop(lambda: speak(chosen)), CANNOT_SPEAK
            if done:
                self.send_response(HTTPStatus.SEE_OTHER)
                self.send_header("location", f"/?lang={chosen}")
                self.send_header("content-length", "0")
                self.end_headers()
            else:
                self._say(HTTPStatus.OK, told(words(chosen)(sorry), chosen), "")

        def _pair(self, code: str, chosen: str) -> None:
            cookie = pairing.pair(code)
            if cookie is None:
                self._say(HTTPStatus.FORBIDDEN, told(words(chosen)(NOT_PAIRED), chosen), "")
                return
            self.send_response(HTTPStatus.SEE_OTHER)
            # The code leaves the address bar, and with it the list of visited pages.
            self.send_header("location", f"/?lang={chosen}")
            self.send_header(
                "set-cookie", f"{COOKIE}={cookie}; Max-Age={COOKIE_SECONDS}; Path=/; HttpOnly; SameSite=Strict"
            )
            self.send_header("cache-control", "no-store")
            self.send_header("content-length", "0")
            self.end_headers()

        def _cookie(self) -> str | None:
            found = SimpleCookie()
            try:
                found.load(self.headers.get("cookie", ""))
            except CookieError:
                return None
            return found[COOKIE].value if COOKIE in found else None

        def _asked(self) -> tuple[str, str]:
            parts = urlsplit(self.path)
            wanted = parse_qs(parts.query).get("lang", [language])[0]
            return parts.path, wanted if wanted in sentences.languages() else language

        def _from_loop(self, work: Callable[[], Awaitable[T]]) -> T | None:
            async def waited() -> T:
                return await work()

            try:
                return asyncio.run_coroutine_threadsafe(waited(), loop).result(ANSWER_SECONDS)
            except (LateError, RuntimeError):
                return None

        def _say(self, status: HTTPStatus, body: str, nonce: str) -> None:
            content = body.encode()
            script = f"'nonce-{nonce}'" if nonce else "'none'"
            self.send_response(status)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-length", str(len(content)))
            self.send_header("cache-control", "no-store")
            self.send_header("x-content-type-options", "nosniff")
            self.send_header("referrer-policy", "no-referrer")
            self.send_header(
                "content-security-policy",
                f"default-src 'none'; style-src 'unsafe-inline'; script-src {script}; connect-src 'self';"
                " form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            )
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Who looks at the page is nobody's business."""

    with BoundedServer(address, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def rendered(shown: Page, language: str, nonce: str) -> str:
    """The page as HTML."""
    say = words(language)
    others = [one for one in sentences.languages() if one != language]
    calls = "".join([f'<p class="calls">{_dialled(html.escape(one))}</p>' for one in shown.calls])
    links = [
        f'<a class="language" href="/?lang={one}" lang="{one}" hreflang="{one}">{NAMES[one]}</a>' for one in others
    ]
    return TEMPLATE.substitute(
        language=language,
        title=html.escape(say(TITLE)),
        tone=shown.tone.value,
        works=html.escape(shown.works),
        last=html.escape(shown.last),
        now=html.escape(shown.now),
        calls=calls,
        values=_values(shown, language, say),
        call=_button(shown.may_answer, "all-right", ALL_RIGHT, language, say)
        + _button(shown.may_call, "call", CALL_ME, language, say),
        test=_button(shown.may_test, "test", TEST_ALARM, language, say, is_large=False),
        read_aloud=html.escape(say(READ_ALOUD)),
        languages="".join(links),
        gone=html.escape(say(NOT_SEEN)),
        address=_address(shown, say),
        nonce=nonce,
    )


def _address(shown: Page, say: Callable[[str], str]) -> str:
    if not shown.address:
        return ""
    return f'<p class="address">{html.escape(say(ADDRESS).format(address=shown.address))}</p>'


def _values(shown: Page, language: str, say: Callable[[str], str]) -> str:
    if not shown.values:
        return ""
    rows = "".join([f"<li>{html.escape(one.text)}{_disowning(one, language, say)}</li>" for one in shown.values])
    return f'<h2>{html.escape(say(READINGS))}</h2><ul class="values">{rows}</ul>'


def _disowning(line: Line, language: str, say: Callable[[str], str]) -> str:
    """A small button for a single check; its name says of which."""
    if line.disown is None:
        return ""
    text = html.escape(say(NOT_ME))
    return (
        f'<form class="disown" method="post" action="not-mine?lang={language}&amp;of={line.disown}">'
        f'<button type="submit" aria-label="{text}: {html.escape(line.text)}">{text}</button></form>'
    )


def _button(
    is_there: bool, path: str, text: str, language: str, say: Callable[[str], str], *, is_large: bool = True
) -> str:
    """There is one where somebody may be told, and none while they are."""
    if not is_there:
        return ""
    size = ' class="call"' if is_large else ""
    return (
        f'<form{size} method="post" action="{path}?lang={language}">'
        f'<button type="submit">{html.escape(say(text))}</button></form>'
    )


def told(sentence: str, language: str) -> str:
    """A page of one sentence, and the way back."""
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{html.escape(sentence)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<style>body{font:1.6rem/1.4 system-ui,sans-serif;margin:1.2rem}</style></head>"
        f'<body><main><h1 style="font-size:1.6rem">{html.escape(sentence)}</h1>'
        f'<p><a href="/?lang={language}">{html.escape(words(language)(TITLE))}</a></p></main></body></html>'
    )


def _dialled(sentence: str) -> str:
    """A telephone number is a link that a telephone dials."""
    return NUMBER.sub(lambda found: f'<a href="tel:{re.sub(" ", "", found[0])}">{found[0]}</a>', sentence)
