"""Tokens of an identity provider (JWT, RFC 7519): who shows one, and what it allows.

Decides which algorithms are taken (RS256, ES256, EdDSA: they need the provider's private key), that
a token has to name its issuer, us as its audience, its subject and its end, and how roles stand in
it. A key says by itself for which algorithm it is; what a token says of it is not believed. Is told
the keys and the time. Needs the extra `jwt`, which is imported when tokens are configured.
"""

from typing import TYPE_CHECKING, Any

import orjson

from server.access.principals import Principal, is_name
from server.access.roles import GIVEN_ROLES, Role
from server.settings import Settings

if TYPE_CHECKING:
    from jwt import PyJWK

ALGORITHMS = ("RS256", "ES256", "EdDSA")
MAX_TOKEN_BYTES = 8192
MAX_KEYS = 100
LEEWAY_SECONDS = 30.0
"""How much the provider's clock may be ahead of ours."""


class Tokens:
    """The provider's keys, and what its tokens must say."""

    def __init__(self, settings: Settings) -> None:
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self._claim = settings.jwt_roles_claim
        self._keys: dict[str, PyJWK] = {}

    def use(self, content: bytes) -> int:
        """Take the keys of a JWKS (RFC 7517) in place of those before; return how many fit.

        Raises:
            ValueError: it is no JWKS, or none of its keys can be used here.

        """
        import jwt

        try:
            document = orjson.loads(content)
            entries = document["keys"][:MAX_KEYS]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise ValueError("it is no JWKS: an object with a list of 'keys'") from None
        found: dict[str, PyJWK] = {}
        for entry in entries:
            try:
                key = jwt.PyJWK.from_dict(entry)
            except (jwt.PyJWTError, AttributeError, KeyError, TypeError, ValueError):
                continue  # Such as one for encryption, or of a kind that is not known here.
            if key.algorithm_name in ALGORITHMS and key.public_key_use in (None, "sig"):
                found[str(key.key_id or "")] = key
        if not found:
            raise ValueError(f"none of its keys is one for {', '.join(ALGORITHMS)}")
        self._keys = found
        return len(found)

    def find(self, token: bytes, now_seconds: float) -> tuple[Principal | None, str]:
        """Return who shows a token, or nobody and the reason, which is for the log only."""
        import jwt

        if len(token) > MAX_TOKEN_BYTES:
            return None, "too long"
        try:
            name = jwt.get_unverified_header(token).get("kid", "")
            key = self._keys.get(name) if isinstance(name, str) else None
            if key is None:
                return None, "signed with a key that is not known"
            # Times are checked here: the library would look at a clock of its own.
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            return None, type(error).__name__
        return self._principal(claims, now_seconds)

    def _principal(
        self, claims: dict[str, Any], now_seconds: float
    ) -> tuple[Principal | None, str]:
        subject, ends, begins = claims["sub"], claims["exp"], claims.get("nbf", 0)
        if not (isinstance(subject, str) and is_name(subject)):
            return None, "its subject is no name"
        if not (_is_time(ends) and _is_time(begins)):
            return None, "its times are no numbers"
        if ends <= now_seconds:
            return None, "expired"
        if begins > now_seconds + LEEWAY_SECONDS:
            return None, "not good yet"
        roles, models = read_roles(claims.get(self._claim))
        return Principal(subject, roles, models, float(ends)), ""


def read_roles(claim: Any) -> tuple[frozenset[Role], frozenset[str] | None]:
    """Return the roles in a claim, a list or a text with spaces, and the models that it names.

    `predict` is for all models, `predict:NAME` for one. What else is in it is not for us.
    """
    words = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    texts = [word for word in words if isinstance(word, str)]
    named = {word.removeprefix("predict:") for word in texts if word.startswith("predict:")}
    roles = {Role(word) for word in texts if word in GIVEN_ROLES}
    if not named or Role.PREDICT in roles:
        return frozenset(roles), None
    return frozenset({*roles, Role.PREDICT}), frozenset(named)


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_token(shown: bytes) -> bool:
    """Whether this has the form of such a token: three parts with dots between them."""
    return shown.count(b".") == 2
