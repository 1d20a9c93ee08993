"""The page over HTTP, on the hub's own network and nowhere else.

Every other address is answered with a way to it: telephones ask for one of their own to find out whether they are on a
network with a page (RFC 8910 has no means without DHCP options of one's own). What is typed travels over WPA2, in a
body, and is shown again to nobody.
"""

import html
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from bedside_agent.homepage.server import BoundedServer
from bedside_agent.signals import sentences
from bedside_agent.wifi.choosing import LONGEST_FORM_BYTES, NO_NETWORK, NotChosenError, chosen
from bedside_agent.wifi.page import page
from bedside_agent.wifi.setting_up import Choice, Open, State

HTTP_PORT = 80
"""An address that names no port means this one."""


@contextmanager
def serving(
    address: tuple[str, int],
    language: str,
    present: Callable[[], State],
    choose: Callable[[Choice], State],
    look_again: Callable[[], State],
) -> Iterator[int]:
    """Serve while the block runs; its port. OSError when the address cannot be used.

    The functions are called from other threads: `present` gives the state, the others the one that will be.
    """

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version, timeout = "bedside", "", 10

        def do_GET(self) -> None:
            path, wanted = self._asked()
            host = self.headers.get("host", "").partition(":")[0]
            if path != "/" or host != address[0]:
                self._send_to_page(wanted)
                return
            self._say(HTTPStatus.OK, page(present(), wanted))

        def do_POST(self) -> None:
            path, wanted = self._asked()
            is_ours = self.headers.get("sec-fetch-site", "same-origin") == "same-origin"
            state = present()
            if path not in ("/join", "/look") or not is_ours or not isinstance(state, Open):
                self._send_to_page(wanted)
                return
            if path == "/look":
                self._say(HTTPStatus.OK, page(look_again(), wanted))
                return
            try:
                choice = chosen(self._form(), state.networks)
            except NotChosenError as error:
                self._say(HTTPStatus.OK, page(state, wanted, str(error)))
                return
            self._say(HTTPStatus.OK, page(choose(choice), wanted))

        def _form(self) -> bytes:
            length = self.headers.get("content-length", "")
            if not length.isascii() or not length.isdigit() or int(length) > LONGEST_FORM_BYTES:
                raise NotChosenError(NO_NETWORK)
            return self.rfile.read(int(length))

        def _asked(self) -> tuple[str, str]:
            parts = urlsplit(self.path)
            wanted = parse_qs(parts.query).get("lang", [language])[0]
            return parts.path, wanted if wanted in sentences.languages() else language

        def _send_to_page(self, wanted: str) -> None:
            named_port = "" if port == HTTP_PORT else f":{port}"
            where = f"http://{address[0]}{named_port}/?lang={wanted}"
            content = f'<a href="{html.escape(where)}">{html.escape(where)}</a>'.encode()
            self.send_response(HTTPStatus.SEE_OTHER)
            self.send_header("location", where)
            self._rest(content)

        def _say(self, status: HTTPStatus, body: str) -> None:
            self.send_response(status)
            self._rest(body.encode())

        def _rest(self, content: bytes) -> None:
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-length", str(len(content)))
            self.send_header("cache-control", "no-store")
            self.send_header("x-content-type-options", "nosniff")
            self.send_header("referrer-policy", "no-referrer")
            self.send_header(
                "content-security-policy",
                "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none';"
                " base-uri 'none'",
            )
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """What is asked for here may hold what somebody typed."""

    with BoundedServer(address, Handler) as server:
        port = int(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
        thread.start()
        try:
            yield port
        finally:
            server.shutdown()
            thread.join()
