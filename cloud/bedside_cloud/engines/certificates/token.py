"""A P-256 key that lives in a PKCS#11 token (a hardware security module, a smart card) and never leaves it.

It is named by a PKCS #11 URI (RFC 7512): `pkcs11:token=bedside;object=issuing-1?module-path=…&pin-source=file:…`.
The PIN lies in a file of its own, readable by the services' user alone.
"""

import contextlib
import hashlib
import threading
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from bedside_cloud.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEME = "pkcs11:"
CURVE = "secp256r1"

_IN_TURN = threading.Lock()
"""Modules say that threads may use them at once, and not all can bear it: one at a time in a process."""

Answer = TypeVar("Answer")


class TokenError(OperatorError):
    """The token cannot be used now. Nothing has been signed or made."""


@dataclass(frozen=True, slots=True)
class TokenUri:
    """Where a key is: the token's `label`, the object's `name` in it, the `module` to speak through, the PIN's file."""

    label: str
    name: str
    module: Path
    pin_file: Path

    @classmethod
    def from_text(cls, text: str) -> "TokenUri":
        """Raises `TokenError`. Attributes that are not needed here are passed over, as the RFC wants it."""
        path, _, query = text.strip().removeprefix(SCHEME).partition("?")
        found = dict(part.partition("=")[::2] for part in (*path.split(";"), *query.split("&")) if part)
        values = {name: urllib.parse.unquote(value) for name, value in found.items()}
        missing = [one for one in ("token", "object", "module-path", "pin-source") if not values.get(one)]
        if not text.startswith(SCHEME) or missing:
            raise TokenError(
                "That names no key in a token.",
                f"It has no {', '.join(missing)}." if missing else "It does not begin with pkcs11:.",
                "Write pkcs11:token=LABEL;object=NAME?module-path=/usr/lib/….so&pin-source=file:/etc/bedside/pin",
            )
        pin_file = Path(values["pin-source"].removeprefix("file://").removeprefix("file:"))
        return cls(values["token"], values["object"], Path(values["module-path"]), pin_file)

    def __str__(self) -> str:
        def quoted(value: object) -> str:
            return urllib.parse.quote(str(value), safe="/-._~")

        return (
            f"{SCHEME}token={quoted(self.label)};object={quoted(self.name)}"
            f"?module-path={quoted(self.module)}&pin-source=file:{quoted(self.pin_file)}"
        )


class TokenKey(ec.EllipticCurvePrivateKey):
    """A key in a token, as the builders of certificates and lists take one. Threads take turns.

    A session that was lost is opened once more before `TokenError` says that the token is gone. It must be the
    `expected` key, where that is known: what another one signs would be nobody's.
    """

    def __init__(self, uri: TokenUri, expected: ec.EllipticCurvePublicKey | None = None) -> None:
        self.uri = uri
        self._expected = expected
        self._session: Any = None
        self._key: Any = None
        self._public: ec.EllipticCurvePublicKey | None = None

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return ec.SECP256R1()

    @property
    def key_size(self) -> int:
        """In bits."""
        return self.curve.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The key's public half, as the token has it. Raises `TokenError`."""
        if self._public is None:
            self._public = self._with_session(self._read_public)
        return self._public

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """ECDSA with SHA-256 over `data`, in DER; nothing else is asked for here. Raises `TokenError`."""
        wanted = signature_algorithm.algorithm if isinstance(signature_algorithm, ec.ECDSA) else None
        if not isinstance(wanted, hashes.SHA256):
            raise NotImplementedError("only ECDSA with SHA-256")
        digest = hashlib.sha256(data).digest()
        raw: bytes = self._with_session(lambda: self._signed(digest))
        half = len(raw) // 2
        return utils.encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """An authority's key agrees on nothing."""
        raise NotImplementedError("this key only signs")

    def private_numbers(self) -> NoReturn:
        """They never leave the token."""
        raise NotImplementedError("the key does not leave its token")

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> NoReturn:
        """They never leave the token."""
        raise NotImplementedError("the key does not leave its token")

    def __copy__(self) -> "TokenKey":
        return TokenKey(self.uri, self._expected)

    def __deepcopy__(self, memo: dict[int, Any]) -> "TokenKey":
        return TokenKey(self.uri, self._expected)

    def _signed(self, digest: bytes) -> bytes:
        import pkcs11

        return bytes(self._key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA))

    def _read_public(self) -> ec.EllipticCurvePublicKey:
        import pkcs11
        from pkcs11.util.ec import encode_ec_public_key

        public = self._session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label=self.uri.name)
        loaded = serialization.load_der_public_key(encode_ec_public_key(public))
        if not isinstance(loaded, ec.EllipticCurvePublicKey) or not isinstance(loaded.curve, ec.SECP256R1):
            raise TokenError(f"The key {self.uri.name} is no P-256 key.", "", "Name another object of the token.")
        return loaded

    def _with_session(self, do: "Callable[[], Answer]") -> Answer:
        import pkcs11

        with _IN_TURN:
            had_session = self._session is not None
            try:
                self._open()
                return do()
            except pkcs11.PKCS11Error as cause:
                self._close()
                if not had_session:
                    raise _in_words(self.uri, cause) from cause
            # The session may have been lost with the token, which is back by now.
            try:
                self._open()
                return do()
            except pkcs11.PKCS11Error as cause:
                self._close()
                raise _in_words(self.uri, cause) from cause

    def _open(self) -> None:
        import pkcs11

        if self._session is None:
            self._session = _session(self.uri)
            self._key = self._session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=self.uri.name)
            if self._expected is not None and self._read_public() != self._expected:
                self._close()
                raise TokenError(
                    f"The key {self.uri.name} of the token {self.uri.label} is not the authority's.",
                    "Another key stands under that name.",
                    "Name the object that the authority was made with, or make another one: authority rotate --token.",
                )
        else:
            # A session that was lost is found out here: the library cannot clean up after a signature that it broke.
            _ = self._key[pkcs11.Attribute.LABEL]

    def _close(self) -> None:
        import pkcs11

        session, self._session, self._key = self._session, None, None
        if session is not None:
            with contextlib.suppress(pkcs11.PKCS11Error):
                session.close()


def make_token_key(uri: TokenUri) -> TokenKey:
    """Make a key in the token, which can be neither read nor exported. Raises `TokenError`, also if it is there."""
    pkcs11 = _library()
    with _IN_TURN:
        _make(pkcs11, uri)
    return TokenKey(uri)


def _make(pkcs11: Any, uri: TokenUri) -> None:
    from pkcs11.util.ec import encode_named_curve_parameters

    session: Any = None
    try:
        session = _session(uri, writes=True)
        if list(session.get_objects({pkcs11.Attribute.LABEL: uri.name})):
            there = f"The token {uri.label} has an object {uri.name} already."
            raise TokenError(there, "", "Give another name in object=.")
        parameters = session.create_domain_parameters(
            pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(CURVE)}, local=True
        )
        parameters.generate_keypair(
            store=True,
            label=uri.name,
            id=uri.name.encode()[:32],
            private_template={
                pkcs11.Attribute.SENSITIVE: True,
                pkcs11.Attribute.EXTRACTABLE: False,
                pkcs11.Attribute.SIGN: True,
                pkcs11.Attribute.DERIVE: False,
            },
        )
    except pkcs11.PKCS11Error as cause:
        raise _in_words(uri, cause) from cause
    finally:
        if session is not None:
            session.close()


def _session(uri: TokenUri, *, writes: bool = False) -> Any:
    pkcs11 = _library()
    try:
        pin = uri.pin_file.read_text(encoding="utf-8").strip()
    except OSError as cause:
        raise TokenError(
            f"The PIN of the token {uri.label} cannot be read.",
            f"{uri.pin_file}: {cause.strerror}.",
            "Write it into that file, mode 0600, owned by the user that runs the cloud.",
        ) from cause
    try:
        library = pkcs11.lib(str(uri.module))
    except (pkcs11.PKCS11Error, RuntimeError, OSError) as cause:
        raise TokenError(
            "The token's module cannot be loaded.",
            f"{uri.module}: {cause}.",
            "Install the maker's PKCS#11 module, and name its file in module-path.",
        ) from cause
    if not _is_there(library, uri):
        # A module may look at its slots once: a token that came later is not seen without this.
        library.reinitialize()
    token = library.get_token(token_label=uri.label)
    try:
        return token.open(user_pin=pin, rw=writes)
    except pkcs11.UserAlreadyLoggedIn:
        # Another key of this process's has logged in, for the whole process.
        return token.open(rw=writes)


def _is_there(library: Any, uri: TokenUri) -> bool:
    import pkcs11

    try:
        library.get_token(token_label=uri.label)
    except pkcs11.PKCS11Error:
        return False
    return True


def _library() -> Any:
    try:
        import pkcs11
    except ImportError as cause:
        raise TokenError(
            "Keys in a token need the library python-pkcs11.",
            "It is not installed here.",
            "Install Bedside with its extra: pip install 'bedside[cloud,hsm]'",
        ) from cause
    return pkcs11


def _in_words(uri: TokenUri, cause: Exception) -> TokenError:
    import pkcs11

    if isinstance(cause, pkcs11.PinIncorrect | pkcs11.PinLenRange):
        why, fix = "The PIN is wrong.", f"Correct {uri.pin_file}. Most tokens lock themselves after a few wrong ones."
    elif isinstance(cause, pkcs11.PinLocked):
        why, fix = "Its PIN is locked.", "Unlock it with the maker's tool and the security officer's PIN."
    elif isinstance(cause, pkcs11.NoSuchToken):
        why, fix = "No token of that label is there.", "Plug it in, or look: pkcs11-tool --module MODULE --list-slots"
    elif isinstance(cause, pkcs11.NoSuchKey):
        why, fix = f"It has no key {uri.name}.", "Look: pkcs11-tool --module MODULE --login --list-objects"
    else:
        why = f"It answers {type(cause).__name__}."
        fix = "Look whether it is plugged in and its service runs."
    return TokenError(f"The token {uri.label} cannot be used.", why, fix)
