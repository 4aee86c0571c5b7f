"""Which requests may have killed a worker, and which of them did."""

from hypothesis import given
from hypothesis import strategies as st

from server.controlplane.suspects import (
    MAX_SUSPECTS,
    QUARANTINE_SECONDS,
    SUSPECT_SECONDS,
    SuspectTable,
)

HASHES = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)


def test_who_ran_in_a_batch_that_killed_is_a_suspect() -> None:
    """Each may have done it, so none is refused."""
    table = SuspectTable()

    assert table.add("m", ["a", "b"], 0.0, was_alone=False) == []
    assert table.seconds_left(1.0) == {"m": {"a": 0.0, "b": 0.0}}


def test_a_suspect_that_kills_alone_is_quarantined() -> None:
    """It has done it twice; the others of its first batch have not."""
    table = SuspectTable()
    table.add("m", ["a", "b"], 0.0, was_alone=False)

    assert table.add("m", ["a"], 10.0, was_alone=True) == ["a"]
    assert table.seconds_left(110.0) == {"m": {"a": QUARANTINE_SECONDS - 100.0, "b": 0.0}}
    assert table.counts() == (2, 1)


def test_the_first_time_alone_is_no_proof() -> None:
    """Something else may have gone wrong once."""
    table = SuspectTable()

    assert table.add("m", ["a"], 0.0, was_alone=True) == []
    assert table.add("m", ["a"], 1.0, was_alone=True) == ["a"]


def test_models_do_not_share_suspects() -> None:
    """The same rows may be harmless to another model."""
    table = SuspectTable()
    table.add("m", ["a"], 0.0, was_alone=True)

    assert table.add("n", ["a"], 1.0, was_alone=True) == []


def test_time_lets_everybody_go() -> None:
    """Suspects and quarantined alike; whoever kills again later begins anew."""
    table = SuspectTable()
    table.add("m", ["a"], 0.0, was_alone=True)
    table.add("m", ["a"], 1.0, was_alone=True)

    assert not table.expire(QUARANTINE_SECONDS)
    assert table.expire(1.0 + QUARANTINE_SECONDS)
    assert table.seconds_left(5000.0) == {}
    assert table.add("m", ["a"], 5000.0, was_alone=True) == []


def test_the_oldest_are_forgotten_when_there_are_too_many() -> None:
    """Whatever kills workers, the table stays small."""
    table = SuspectTable()
    table.add("m", [str(number) for number in range(MAX_SUSPECTS + 10)], 0.0, was_alone=False)

    assert table.counts() == (MAX_SUSPECTS, 0)
    assert "9" not in table.seconds_left(0.0)["m"]


@given(st.lists(st.tuples(HASHES, st.floats(0.0, SUSPECT_SECONDS)), max_size=20))
def test_nobody_is_quarantined_for_one_death(deaths: list[tuple[list[str], float]]) -> None:
    """However batches are made up, a request that is refused was there at two deaths or more."""
    table, seen, now = SuspectTable(), [], 0.0
    for hashes, later in deaths:
        now += later
        seen += hashes
        for one in table.add("m", hashes, now, was_alone=len(hashes) == 1):
            assert seen.count(one) >= 2
