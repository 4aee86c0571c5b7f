"""The form of keys and of the file that holds them."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.access import keys
from server.access.keys import Key
from server.access.principals import Principal
from server.access.roles import GIVEN_ROLES, Role

TOKEN = b"tg_abcd0123_" + b"s" * 43
KEY = Key("abcd0123", "shop", (Role.PREDICT,), ("iris",), keys.digest(TOKEN), created_seconds=1.5)
seconds = st.none() | st.floats(0, 1e11)
entries = st.builds(
    Key,
    st.text(keys.ID_CHARACTERS, min_size=8, max_size=8),
    st.text("abcü ", min_size=1, max_size=9).map(lambda text: f"n{text}n"),
    st.lists(st.sampled_from(GIVEN_ROLES), min_size=1, unique=True).map(tuple),
    st.none() | st.lists(st.text(max_size=9)).map(tuple),
    st.just(keys.digest(TOKEN)),
    st.just(""),
    st.floats(0, 1e11),
    seconds,
    seconds,
)


@given(st.lists(entries, unique_by=lambda key: key.key_id))
def test_what_is_written_is_read_again(written: list[Key]) -> None:
    """Nothing of an entry is lost, and no secret is in it."""
    content = keys.encode(written)

    assert keys.decode(content) == written
    assert TOKEN not in content


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"key_id": "ABCD0123"}, "keys[0].key_id: expected 8 of a-z and 0-9"),
        ({"name": "a\nb"}, "keys[0].name: expected a name"),
        ({"roles": []}, "keys[0].roles: expected some of predict, read-metrics, operate"),
        ({"roles": ["open"]}, "keys[0].roles: expected some of"),
        ({"roles": "predict"}, "keys[0].roles: expected some of"),
        ({"models": "iris"}, "keys[0].models: expected names, or null for all"),
        ({"sha256": "00"}, "keys[0].sha256: expected a SHA-256"),
        ({"sha256": ""}, "keys[0].sha256: expected a SHA-256, or a 'certificate' instead"),
        ({"certificate": "a"}, "keys[0].sha256: expected a SHA-256, or a 'certificate' instead"),
        ({"certificate": 1}, "keys[0].certificate: expected a name in a certificate"),
        ({"expires_seconds": "soon"}, "keys[0].expires_seconds: expected seconds since"),
        ({"secret": "x"}, "keys[0]: 'secret' is no field of an entry"),
    ],
)
def test_an_entry_that_is_wrong_is_named(changes: dict[str, Any], complaint: str) -> None:
    """A file that was edited by hand says where it is wrong; none of it is used."""
    document = orjson.loads(keys.encode([KEY]))
    document["keys"][0] |= changes

    with pytest.raises(ValueError, match=r"keys\[0\]") as wrong:
        keys.decode(orjson.dumps(document))
    assert str(wrong.value).startswith(complaint)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"version":2,"keys":[]}',
        b'{"version":1,"keys":{}}',
        b'{"version":1,"keys":[1]}',
        keys.encode([KEY, KEY]),
    ],
)
def test_what_is_no_file_of_keys_is_refused(content: bytes) -> None:
    """An empty file is not a file without keys: it may be one that is being copied."""
    with pytest.raises(ValueError, match=r"^(it|keys)"):
        keys.decode(content)


def test_a_key_has_a_state_and_stands_for_a_principal() -> None:
    """Revoked wins over expired; a key expires at the moment it says."""
    expiring = Key("abcd0123", "shop", (Role.PREDICT,), expires_seconds=10.0)

    assert [expiring.state(now) for now in (9.9, 10.0)] == ["active", "expired"]
    assert Key("abcd0123", "shop", (), revoked_seconds=1.0).state(0.0) == "revoked"
    assert KEY.principal == Principal("shop", {Role.PREDICT}, {"iris"}, None, "abcd0123")


@pytest.mark.parametrize(
    ("token", "key_id"),
    [
        (TOKEN, "abcd0123"),
        (TOKEN[:-1], ""),
        (TOKEN + b"s", ""),
        (TOKEN + b"\n", ""),
        (b"x" + TOKEN, ""),
        (b"", ""),
        (b"\xff" * 50, ""),
    ],
)
def test_only_a_whole_key_has_an_id(token: bytes, key_id: str) -> None:
    """The id may be logged; whatever else somebody sent in its place may not."""
    assert keys.token_id(token) == key_id
