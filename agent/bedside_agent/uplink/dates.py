"""TLS for a hub that does not know the time: the server's dates are checked against what is known of it.

Nothing but the comparison with the kernel's clock is switched off: chain, name and key are verified by OpenSSL as ever.
"""

import ssl
from datetime import UTC, datetime
from typing import cast

from bedside_agent import trust

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h, for which Python has no name."""


class FloorContext(ssl.SSLContext):
    """A client's context. A server whose certificate had expired before `floor_ms` (UTC) is refused.

    Only its own certificate is looked at: none outlives its issuer. Whether it is valid already cannot be known.
    """

    floor_ms: int = 0


class _FloorSocket(ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        certificate = self.getpeercert(binary_form=True)
        floor = datetime.fromtimestamp(cast("FloorContext", self.context).floor_ms / 1000, UTC)
        if certificate is None or trust.valid_until(certificate) < floor:
            self.close()
            raise ssl.SSLCertVerificationError(f"the server's certificate had expired before {floor:%Y-%m-%d}")


def client_context(floor_ms: int | None) -> ssl.SSLContext:
    """A context that verifies a server. `floor_ms` is None where the kernel knows the time."""
    if floor_ms is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        context = FloorContext(ssl.PROTOCOL_TLS_CLIENT)
        context.floor_ms = floor_ms
        context.sslsocket_class = _FloorSocket
        context.verify_flags |= NO_CHECK_TIME
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
