"""Documents as hubs accept them: signed with the registry's certificate, with its chain below the root."""

from bedside_cloud.engines.certificates.authority import Certificate, Issued, certificate_der
from bedside_cloud.engines.certificates.signing import sign
from bedside_profiles.wire.careplan import CarePlan
from bedside_profiles.wire.codec import encode_map
from bedside_profiles.wire.command import Command
from bedside_profiles.wire.fields import to_map
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import encode
from bedside_profiles.wire.signed import DocumentKind, SignedDocument, signing_input


class Signer:
    """Signs with one key; `chain` is leaf first and ends below the root."""

    def __init__(self, leaf: Issued, chain: list[Certificate]) -> None:
        self._key = leaf.key
        self._chain = tuple(certificate_der(one) for one in chain)

    def signed(self, document: CarePlan | Command) -> bytes:
        """The body of the message on the hub's lane of care plans or of commands."""
        kind = DocumentKind.CARE_PLAN if isinstance(document, CarePlan) else DocumentKind.COMMAND
        body = encode_map(to_map(document))
        signature = sign(self._key, signing_input(kind, body))
        return encode(SignedDocument(SCHEMA_VERSION, kind, body, self._chain, signature))
