"""Tokens of an identity provider: which are believed, and what they allow."""

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from server.access.failures import BURST
from server.access.gate import Gate, Peer
from server.access.principals import Principal
from server.access.roles import Role
from server.access.tokens import MAX_TOKEN_BYTES, Tokens, is_token, read_roles
from server.errors import Forbidden, TooManyFailures, Unauthenticated
from server.settings import Settings

ISSUER = "https://login.example"
SETTINGS = Settings(jwt_issuer=ISSUER, jwt_audience="tidegate")
PRIVATE: dict[str, Any] = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
WRITERS: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}
JWKS = json.dumps(
    {
        "keys": [
            {**json.loads(WRITERS[name].to_jwk(key.public_key())), "kid": name, "use": "sig"}
            for name, key in PRIVATE.items()
        ]
        + [{"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}, {"kty": "new"}, 7]
    }
).encode()
CLAIMS = {"iss": ISSUER, "aud": "tidegate", "sub": "zoë", "exp": 1000, "roles": ["operate"]}


def tokens() -> Tokens:
    """Return what knows the provider's keys."""
    known = Tokens(SETTINGS)
    assert known.use(JWKS) == 3
    return known


def signed(name: str = "ES256", kid: str | None = None, **claims: Any) -> bytes:
    """Return a token; a claim of None is left out."""
    said = {key: value for key, value in {**CLAIMS, **claims}.items() if value is not None}
    headers = {"kid": name if kid is None else kid}
    return jwt.encode(said, PRIVATE[name], algorithm=name, headers=headers).encode()


@pytest.mark.parametrize("name", PRIVATE)
def test_a_good_token_is_somebody_until_it_ends(name: str) -> None:
    """With each of the algorithms."""
    expected = Principal("zoë", frozenset({Role.OPERATE}), None, 1000.0)

    assert tokens().find(signed(name), 999.0) == (expected, "")
    assert tokens().find(signed(name), 1000.0) == (None, "expired")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"sub": None},
        {"sub": "a\nb"},
        {"sub": "x" * 101},
        {"exp": None},
        {"nbf": 100},
        {"exp": "soon"},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_us_is_nobodys(claims: dict[str, Any]) -> None:
    """Each claim is needed, and is looked at."""
    assert tokens().find(signed(**claims), 0.0)[0] is None


def test_what_a_token_says_of_its_algorithm_is_not_believed() -> None:
    """Neither `none`, nor a shared secret that is the public key, nor another one's key."""
    none = jwt.encode(CLAIMS, "", algorithm="none", headers={"kid": "ES256"}).encode()
    secret = jwt.encode(CLAIMS, "c" * 40, algorithm="HS256", headers={"kid": "RS256"}).encode()
    shared = jwt.encode(CLAIMS, "c" * 40, algorithm="HS256", headers={"kid": "shared"}).encode()

    for forged in (none, secret, shared, signed("ES256", kid="RS256"), signed(kid="unknown")):
        assert tokens().find(forged, 0.0)[0] is None
    head, body, signature = signed().split(b".")
    assert tokens().find(b".".join((head, body[:-2] + b"Aa", signature)), 0.0)[0] is None


DEEP = base64.urlsafe_b64encode(b"[" * 6000)


@pytest.mark.parametrize(
    "token",
    [b"..", b"a.b.c", b"\xff.\xff.\xff", b"e30.e30.", b"." * 9999, DEEP + b".e30.e30"],
    ids=["empty", "letters", "bytes", "objects", "dots", "deep"],
)
def test_what_is_no_token_is_nobodys(token: bytes) -> None:
    """Whatever it is, nothing raises."""
    assert tokens().find(token, 0.0)[0] is None
    assert tokens().find(b"x" * (MAX_TOKEN_BYTES + 1), 0.0) == (None, "too long")
    assert is_token(token) == (token.count(b".") == 2)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"keys": 1}', b'{"keys": []}', b'{"keys": [{"kty": "oct"}]}'],
)
def test_keys_that_cannot_be_used_leave_those_of_before(content: bytes) -> None:
    """A provider that answers nonsense for a moment locks nobody out."""
    known = tokens()

    with pytest.raises(ValueError, match=r"it is no JWKS|none of its keys"):
        known.use(content)
    assert known.find(signed(), 0.0)[0] is not None


@pytest.mark.parametrize(
    ("claim", "roles", "models"),
    [
        (["predict", "operate"], {"predict", "operate"}, None),
        ("predict read-metrics", {"predict", "read-metrics"}, None),
        (["predict:iris", "predict:digits"], {"predict"}, {"iris", "digits"}),
        (["predict:iris", "predict"], {"predict"}, None),
        (["predict:iris", "operate"], {"predict", "operate"}, {"iris"}),
        (["open", "admin", 7, None], set(), None),
        (None, set(), None),
        ({"predict": True}, set(), None),
    ],
)
def test_roles_stand_in_a_claim(claim: Any, roles: set[str], models: set[str] | None) -> None:
    """What a provider says for other programs gives nothing here."""
    found_roles, found_models = read_roles(claim)

    assert set(map(str, found_roles)) == roles
    assert found_models == models


def test_a_gate_takes_tokens_beside_keys(tmp_path: Path) -> None:
    """Remembers those it has checked, and has nobody make it check too many bad ones."""
    (tmp_path / "jwks.json").write_bytes(JWKS)
    settings = Settings(state_dir=tmp_path, jwt_issuer=ISSUER, jwt_audience="tidegate")
    gate = Gate(settings, clock=lambda: 0.0)
    here = Peer("10.0.0.1")
    asyncio.run(gate.look())

    def admit(token: bytes, role: Role = Role.OPERATE) -> Principal | None:
        return gate.admit(role, "iris", [(b"authorization", b"Bearer " + token)], here)

    good = signed()
    assert gate.is_on
    assert admit(good) == Principal("zoë", frozenset({Role.OPERATE}), None, 1000.0)
    with pytest.raises(Forbidden):
        admit(good, Role.PREDICT)
    for _ in range(BURST):
        with pytest.raises(Unauthenticated):
            admit(signed(aud="other"))
    with pytest.raises(TooManyFailures):
        admit(signed(sub="max"))
    assert admit(good) is not None


def test_a_remembered_token_ends_when_it_says(tmp_path: Path) -> None:
    """At the next look; its file need not change for that."""
    (tmp_path / "jwks.json").write_bytes(JWKS)
    settings = Settings(state_dir=tmp_path, jwt_issuer=ISSUER, jwt_audience="tidegate")
    now = [time.time()]
    gate = Gate(settings, clock=lambda: now[0])
    shown = [(b"authorization", b"Bearer " + signed(exp=int(now[0]) + 60))]
    asyncio.run(gate.look())
    assert gate.admit(Role.OPERATE, None, shown, Peer("")) is not None

    now[0] += 61
    (tmp_path / "jwks.json").unlink()
    asyncio.run(gate.look())
    with pytest.raises(Unauthenticated):
        gate.admit(Role.OPERATE, None, shown, Peer(""))
