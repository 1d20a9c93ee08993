"""Access tokens for people: ES256 JWTs and the key set that checks them. The only importer of joserfc in identity."""

import json
import uuid
from datetime import datetime

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from bedside_cloud.contracts.identity import AUDIENCE, ISSUER, Role
from bedside_cloud.engines.certificates.authority import PrivateKey, key_pem

LIFE_SECONDS = 8 * 3600
"""One shift: there is no refresh yet, and a nurse must not lose the screen in the middle of one. It can be
taken back before."""


class Tokens:
    """Signs with one key, named by its thumbprint."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = ECKey.import_key(key_pem(key), {"use": "sig", "alg": "ES256"})
        self._key.ensure_kid()

    def issue(self, person_id: str, name: str, role: Role, now: datetime, series: int = 0) -> str:
        """A token for one log-in of one person, in the series that the database had when the password was read."""
        issued_at = int(now.timestamp())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": person_id,
            "name": name,
            "role": role.value,
            "iat": issued_at,
            "exp": issued_at + LIFE_SECONDS,
            "jti": str(uuid.uuid4()),
            "series": series,
        }
        return jwt.encode({"alg": "ES256", "kid": self._key.kid}, claims, self._key)

    def key_set(self) -> str:
        """The JSON Web Key Set: the public half."""
        return json.dumps(KeySet([self._key]).as_dict(private=False))
