"""Which key a token is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.access import keys
from server.access.key_file import new_token
from server.access.keyring import Keyring
from server.access.keys import Key
from server.access.roles import Role

ID, TOKEN = new_token()
SHA = keys.digest(TOKEN.encode())
OLD_ID, OLD_TOKEN = new_token()
GOOD = Key(ID, "shop", (Role.PREDICT,), sha256=SHA, expires_seconds=100.0)
OLD = Key(
    OLD_ID, "shop", (Role.PREDICT,), sha256=keys.digest(OLD_TOKEN.encode()), expires_seconds=50.0
)
GATEWAY = Key("certif01", "gateway", (Role.OPERATE,), certificate="spiffe://a/b")
RING = Keyring([GOOD, OLD, GATEWAY])


def test_two_keys_of_one_owner_are_good_while_they_are_changed() -> None:
    """The new one is handed out before the old one ends."""
    found = [RING.find(token.encode(), 49.0)[0] for token in (TOKEN, OLD_TOKEN)]

    assert [one and one.name for one in found] == ["shop", "shop"]
    assert RING.find(OLD_TOKEN.encode(), 50.0) == (None, "expired")


@given(st.integers(0, len(TOKEN) - 1), st.integers(0, 255))
def test_a_token_with_any_byte_changed_is_nobodys(place: int, byte: int) -> None:
    """Not at the start, not at the end, not in the id."""
    changed = bytearray(TOKEN.encode())
    changed[place] = byte
    is_same = bytes(changed) == TOKEN.encode()

    assert (RING.find(bytes(changed), 0.0)[0] is not None) == is_same


@pytest.mark.parametrize(
    "token",
    [b"", b"tg_", SHA.encode(), b"tg_certif01_" + b"x" * 43],
    ids=["nothing", "prefix", "hash", "certificate"],
)
def test_nothing_else_is_a_key(token: bytes) -> None:
    """Not what the file holds of a key, and not a certificate's entry."""
    assert RING.find(token, 0.0) == (None, "unknown")


def test_a_revoked_key_is_nobodys() -> None:
    """At once, whatever its expiry says."""
    revoked = Key(ID, "shop", (Role.PREDICT,), sha256=SHA, revoked_seconds=1.0)

    assert Keyring([revoked]).find(TOKEN.encode(), 0.0) == (None, "revoked")
    assert Keyring([revoked]).for_id(ID, 0.0) is None


def test_a_certificate_is_found_by_any_of_its_names() -> None:
    """In the order in which it has them."""
    found = RING.for_certificate(["CN=x", "spiffe://a/b"], 0.0)

    assert found is not None
    assert found.name == "gateway"
    assert RING.for_certificate(["CN=x"], 0.0) is None
    assert RING.for_certificate([], 0.0) is None


def test_a_session_asks_by_id() -> None:
    """And ends with its key."""
    found = RING.for_id(ID, 99.0)

    assert found is not None
    assert found.key_id == ID
    assert RING.for_id(ID, 100.0) is None
    assert RING.for_id("nobody00", 0.0) is None


def test_the_next_expiry_is_that_of_a_key_that_is_still_good() -> None:
    """Those that have passed, and those without one, do not count."""
    assert [RING.next_expiry(now) for now in (0.0, 50.0, 100.0)] == [50.0, 100.0, None]
