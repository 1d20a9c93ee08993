"""An enrolment server as RFC 7030 describes it, with TLS, on loopback."""

import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from tests.support.certificates import Authority


@dataclass
class EstServer:
    """Certifies one request for each claim, and any of who shows a certificate of the authority.

    `answer` replaces what it would say to a request: (status, body).
    """

    authority: Authority
    claims: dict[str, str]
    port: int = 0
    answer: tuple[int, bytes] | None = None
    paths: list[str] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)

    def cacerts(self) -> bytes:
        return _pkcs7(self.authority.root.certificate)

    def simpleenroll(self, user: str, password: str, request: bytes) -> tuple[int, bytes]:
        if self.answer is not None:
            return self.answer
        if self.claims.get(user) != password:
            return 401, b"no such claim"
        del self.claims[user]
        return self._certified(request)

    def simplereenroll(self, shown: object, request: bytes) -> tuple[int, bytes]:
        if self.answer is not None:
            return self.answer
        return self._certified(request) if shown else (401, b"no certificate")

    def _certified(self, request: bytes) -> tuple[int, bytes]:
        leaf = self.authority.sign_request(request)
        public = leaf.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.keys.append(public)
        return 200, _pkcs7(leaf, self.authority.issuing.certificate)


def _pkcs7(*certificates: object) -> bytes:
    return base64.encodebytes(
        pkcs7.serialize_certificates(list(certificates), serialization.Encoding.DER)  # type: ignore[arg-type]
    )


@contextmanager
def est_server(authority: Authority, claims: dict[str, str], directory: Path, *, port: int = 0) -> Iterator[EstServer]:
    """Serve until the end of the block."""
    server = EstServer(authority, claims)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.paths.append(self.path)
            self._say(200, server.cacerts())

        def do_POST(self) -> None:
            server.paths.append(self.path)
            request = base64.b64decode(self.rfile.read(int(self.headers["content-length"])))
            if self.path.endswith("simplereenroll"):
                assert isinstance(self.connection, ssl.SSLSocket)
                self._say(*server.simplereenroll(self.connection.getpeercert(), request))
                return
            user, _, password = base64.b64decode(self.headers["authorization"].split()[1]).decode().partition(":")
            self._say(*server.simpleenroll(user, password, request))

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    context: ssl.SSLContext = authority.server_context(directory, authority.leaf("est"))
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(directory / "ca.pem")
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as http:
        http.socket = context.wrap_socket(http.socket, server_side=True)
        server.port = http.server_address[1]
        serving = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield server
        finally:
            http.shutdown()
            serving.join()
