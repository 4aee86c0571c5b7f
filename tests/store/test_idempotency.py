"""Answers by Idempotency-Key."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from server.operator_errors import IdempotencyConflict
from server.store import idempotency
from server.store.idempotency import KEPT_SECONDS, Kept
from server.store.keys import IdempotencyKey
from tests.support.stores import in_memory

REQUEST, KEPT = IdempotencyKey("key-1", "digits", "abc"), Kept(200, b"{}")


@pytest.fixture
def store() -> Iterator[Connection]:
    """A store without rows."""
    with in_memory() as connection:
        yield connection


def test_the_same_request_has_the_same_answer(store: Connection) -> None:
    """A new one has none; nor has the same key for another model."""
    assert idempotency.find(store, REQUEST, 1000.0) is None
    idempotency.keep(store, REQUEST, KEPT, 1000.0)

    assert idempotency.find(store, REQUEST, 1001.0) == KEPT
    assert idempotency.find(store, IdempotencyKey("key-1", "iris", "abc"), 1001.0) is None
    assert idempotency.find(store, IdempotencyKey("key-2", "digits", "abc"), 1001.0) is None


def test_another_request_with_the_key_is_refused(store: Connection) -> None:
    """The text names key and model, and cuts a long key."""
    key = "k" * 200
    idempotency.keep(store, IdempotencyKey(key, "digits", "abc"), KEPT, 1000.0)

    with pytest.raises(IdempotencyConflict, match=r"'k{64}' stood for another .* 'digits'"):
        idempotency.find(store, IdempotencyKey(key, "digits", "other"), 1001.0)


def test_an_answer_is_kept_for_a_day(store: Connection) -> None:
    """After it the key is free, whether or not the old answer has been deleted."""
    idempotency.keep(store, REQUEST, KEPT, 1000.0)
    idempotency.keep(store, IdempotencyKey("key-2", "digits", "abc"), KEPT, 2000.0)
    later = 1000.0 + KEPT_SECONDS

    assert idempotency.find(store, REQUEST, later - 1) == KEPT
    assert idempotency.find(store, IdempotencyKey("key-1", "digits", "other"), later) is None
    assert idempotency.trim(store, later) == 1
    assert idempotency.trim(store, later) == 0
    idempotency.keep(store, IdempotencyKey("key-2", "digits", "other"), Kept(409, b"no"), later)
    found = idempotency.find(store, IdempotencyKey("key-2", "digits", "other"), later)
    assert found == Kept(409, b"no")
