"""Care plans as hubs accept them: signed with the registry's certificate, with its chain below the root."""

from bedside_cloud.engines.certificates.authority import Certificate, Issued, certificate_der
from bedside_cloud.engines.certificates.signing import sign
from bedside_profiles.wire.careplan import CarePlan
from bedside_profiles.wire.codec import encode_map
from bedside_profiles.wire.fields import to_map
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import encode
from bedside_profiles.wire.signed import DocumentKind, SignedDocument, signing_input


class PlanSigner:
    """Signs with one key; `chain` is leaf first and ends below the root."""

    def __init__(self, leaf: Issued, chain: list[Certificate]) -> None:
        self._key = leaf.key
        self._chain = tuple(certificate_der(one) for one in chain)

    def signed(self, plan: CarePlan) -> bytes:
        """The body of the message on the hub's careplan lane."""
        body = encode_map(to_map(plan))
        signature = sign(self._key, signing_input(DocumentKind.CARE_PLAN, body))
        return encode(SignedDocument(SCHEMA_VERSION, DocumentKind.CARE_PLAN, body, self._chain, signature))
