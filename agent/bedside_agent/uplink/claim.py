"""The claim that a technician scans or pastes: where to enrol, as whom, and which root to trust. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from bedside_agent.errors import AgentError
from bedside_profiles.errors import MalformedError
from bedside_profiles.pairing_code import PATTERN
from bedside_profiles.wire.topics import check_hub_id

SCHEME = "bedside:1?"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FIELDS = ("est", "broker", "hub", "claim", "ca")


class ClaimError(AgentError):
    """The claim text is not one; says what is wrong with it and never repeats its code."""

    def __init__(self, what: str) -> None:
        super().__init__(
            what,
            cause="it was cut off or mistyped",
            fix="bedside-cloud fleet claim new --hub-id HUB on the cloud's machine, and paste the whole line in quotes",
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """`code` works once. `ca_sha256` is the SHA-256 of the root certificate (DER), lower-case hexadecimal. `pairing` is
    the code on the same label that opens the patient's page to telephones, None where there is none."""

    est_url: str
    broker_host: str
    broker_port: int
    hub_id: str
    code: str
    ca_sha256: str
    pairing: str | None = None

    def __repr__(self) -> str:
        return f"Claim(hub_id={self.hub_id!r}, est_url={self.est_url!r}, code=***)"


def parse_claim(text: str) -> Claim:
    """The claim in `bedside:1?est=…&broker=…&hub=…&claim=…&ca=…`; ClaimError otherwise."""
    text = text.strip()
    if not text.startswith(SCHEME):
        raise ClaimError(f"the claim does not begin with {SCHEME}")
    fields = dict(parse_qsl(text.removeprefix(SCHEME)))
    missing = [name for name in _FIELDS if not fields.get(name)]
    if missing:
        raise ClaimError(f"the claim lacks {', '.join(missing)}")
    est, broker, hub, code, ca = [fields[name] for name in _FIELDS]
    return make_claim(est, broker, hub, code, ca, fields.get("pair"))


def claim_text(claim: Claim) -> str:
    """The text that `parse_claim` reads."""
    host = f"[{claim.broker_host}]" if ":" in claim.broker_host else claim.broker_host
    fields = (claim.est_url, f"{host}:{claim.broker_port}", claim.hub_id, claim.code, claim.ca_sha256)
    pairing = {} if claim.pairing is None else {"pair": claim.pairing}
    return SCHEME + urlencode({**dict(zip(_FIELDS, fields, strict=True)), **pairing})


def make_claim(est: str, broker: str, hub: str, code: str, ca: str, pairing: str | None = None) -> Claim:
    """A claim from its parts; ClaimError if one of them cannot be right."""
    parts = urlsplit(est)
    if parts.scheme != "https" or not parts.hostname:
        raise ClaimError("the enrolment address is not an https address")
    host, port = parse_address(broker)
    fingerprint = ca.lower().replace(":", "")
    if not _SHA256.fullmatch(fingerprint):
        raise ClaimError("the root's fingerprint is not a SHA-256 (64 hexadecimal digits)")
    try:
        check_hub_id(hub)
    except MalformedError as cause:
        raise ClaimError(f"the hub's id is not {cause.reason.partition(': ')[2]}") from cause
    if pairing is not None and not PATTERN.fullmatch(pairing):
        raise ClaimError("the pairing code is not four groups of four letters and digits")
    return Claim(est.rstrip("/"), host, port, hub, code, fingerprint, pairing)


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT, the host of an IPv6 address in brackets; ClaimError otherwise."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.path:
        raise ClaimError("the broker is not given as HOST:PORT")
    return host, port
