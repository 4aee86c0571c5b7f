"""The outbox: one outstanding event for each key, sent until it is delivered or given up."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import Connection

from server.store import outbox
from server.store.outbox import Outcome, Outgoing
from tests.support.stores import in_memory


@pytest.fixture
def connection() -> Iterator[Connection]:
    """A store in memory, in a transaction."""
    with in_memory() as opened:
        yield opened


def due_ids(connection: Connection, now: float) -> list[str]:
    """Return the ids of the events that are due."""
    return [event.event_id for event in outbox.due(connection, now)]


def test_an_event_is_due_until_it_is_delivered(connection: Connection) -> None:
    """It comes with its body, the time it was put in and its failed tries, in order of waiting."""
    assert outbox.next_due_seconds(connection) is None
    assert outbox.put(connection, "e1", "m drift", b"{1}", 10.0)
    assert outbox.put(connection, "e2", "m range", b"{2}", 5.0)

    assert outbox.due(connection, 9.9) == [Outgoing("e2", b"{2}", 5.0, 0)]
    assert due_ids(connection, 10.0) == ["e2", "e1"]
    assert [event.event_id for event in outbox.due(connection, 10.0, limit=1)] == ["e2"]

    outbox.failed(connection, "e2", "500", 30.0)
    assert due_ids(connection, 29.0) == ["e1"]
    assert outbox.next_due_seconds(connection) == 10.0
    assert outbox.due(connection, 30.0)[1] == Outgoing("e2", b"{2}", 5.0, 1)

    outbox.done(connection, "e1")
    outbox.done(connection, "e2")
    assert due_ids(connection, 1e12) == []
    assert outbox.next_due_seconds(connection) is None


def test_a_key_has_one_outstanding_event(connection: Connection) -> None:
    """Delivered or not, the key is taken until what it is about is over; other keys are free."""
    assert outbox.put(connection, "e1", "m drift", b"", 0)
    assert not outbox.put(connection, "e2", "m drift", b"", 1)
    assert outbox.put(connection, "e3", "m range", b"", 1)
    outbox.done(connection, "e1")
    assert not outbox.put(connection, "e2", "m drift", b"", 2)

    assert outbox.settle(connection, "m ", {"m range"}) == 1
    assert outbox.settle(connection, "m ", {"m range"}) == 0
    assert outbox.put(connection, "e2", "m drift", b"", 3)
    assert not outbox.put(connection, "e4", "m range", b"", 3)
    assert due_ids(connection, 9) == ["e3", "e2"]


def test_an_event_is_put_once(connection: Connection) -> None:
    """The same id again is no new event, even when its key is free."""
    assert outbox.put(connection, "e1", "m drift", b"", 0)
    outbox.done(connection, "e1")
    outbox.settle(connection, "m drift", set())

    assert not outbox.put(connection, "e1", "m drift", b"", 1)
    assert outbox.put(connection, "e2", "m drift", b"", 1)


def test_only_keys_of_their_own_kind_are_freed(connection: Connection) -> None:
    """Others that use the outbox have keys of another beginning, whatever characters are in it."""
    outbox.put(connection, "e1", "a%_lert x", b"", 0)
    outbox.put(connection, "e2", "abclert x", b"", 0)

    assert outbox.settle(connection, "a%_lert ", set()) == 1
    assert not outbox.put(connection, "e3", "abclert x", b"", 1)
    assert outbox.put(connection, "e4", "a%_lert x", b"", 1)


def test_a_settled_event_is_still_sent(connection: Connection) -> None:
    """What was over before it could be told is told all the same: the receiver was away."""
    outbox.put(connection, "e1", "m drift", b"", 0)
    outbox.settle(connection, "", set())
    outbox.put(connection, "e2", "m drift", b"", 1)

    assert due_ids(connection, 1) == ["e1", "e2"]


def test_an_event_that_is_given_up_is_counted(connection: Connection) -> None:
    """It is not tried again, and its key stays taken until what it is about is over."""
    for number in range(3):
        outbox.put(connection, f"e{number}", f"k{number}", b"", 0)
    outbox.failed(connection, "e0", "no answer", None)
    outbox.done(connection, "e1")

    assert due_ids(connection, 9) == ["e2"]
    counted = {Outcome.WAITING: 1, Outcome.DELIVERED: 1, Outcome.GIVEN_UP: 1}
    assert outbox.count(connection) == counted
    assert not outbox.put(connection, "e9", "k0", b"", 9)
    outbox.failed(connection, "e1", "late", 5.0)
    outbox.done(connection, "e0")
    assert outbox.count(connection) == counted


def test_only_what_is_over_is_trimmed(connection: Connection) -> None:
    """Events that wait, whose key is taken, or that are recent stay."""
    for number in range(4):
        outbox.put(connection, f"e{number}", f"k{number}", b"", number)
    for number in (1, 2, 3):
        outbox.done(connection, f"e{number}")
    outbox.settle(connection, "k", {"k1"})

    assert outbox.trim(connection, 3) == 1
    assert outbox.count(connection)[Outcome.DELIVERED] == 2
    assert due_ids(connection, 9) == ["e0"]


class Walk(RuleBasedStateMachine):
    """Any order of calls, against a plain model of the outbox."""

    keys = st.sampled_from(["m drift", "m range"])
    numbers = st.integers(0, 5)

    def __init__(self) -> None:
        super().__init__()
        self.opened = in_memory()
        self.connection = self.opened.__enter__()
        self.taken: dict[str, str] = {}
        self.waiting: set[str] = set()
        self.known: set[str] = set()

    def teardown(self) -> None:
        self.opened.__exit__(None, None, None)

    @rule(key=keys, number=numbers)
    def put(self, key: str, number: int) -> None:
        event = f"{key} {number}"
        expected = key not in self.taken and event not in self.known
        assert outbox.put(self.connection, event, key, b"", 0) is expected
        if expected:
            self.taken[key] = event
            self.waiting.add(event)
            self.known.add(event)

    @rule(key=keys)
    def settle(self, key: str) -> None:
        freed = outbox.settle(self.connection, "m ", set(self.taken) - {key})
        assert freed == (self.taken.pop(key, None) is not None)

    @rule(key=keys, number=numbers, is_over=st.booleans())
    def send(self, key: str, number: int, is_over: bool) -> None:
        event = f"{key} {number}"
        if is_over:
            outbox.done(self.connection, event)
            self.waiting.discard(event)
        else:
            outbox.failed(self.connection, event, "500", 0)

    @invariant()
    def what_waits_is_due(self) -> None:
        assert set(due_ids(self.connection, 0)) == self.waiting


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
