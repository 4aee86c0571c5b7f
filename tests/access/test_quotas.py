"""A caller's own limit: a rate, a burst, and when the next request is within it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.access.principals import Principal
from server.access.quotas import MAX_CALLERS, Quotas, caller_of


def test_a_burst_is_let_through_and_then_the_rate() -> None:
    """Three at once, then one each half second."""
    quotas = Quotas(2.0, 3)

    assert [quotas.take("a", 10.0) for _ in range(4)] == [0, 0, 0, 1]
    assert [quotas.take("a", 10.5) for _ in range(2)] == [0, 1]
    assert [quotas.take("a", 99.0) for _ in range(4)] == [0, 0, 0, 1]


def test_callers_do_not_touch_each_other() -> None:
    """What one has used up is not taken from another."""
    quotas = Quotas(1.0, 1)

    assert [quotas.take(name, 0.0) for name in "aabb"] == [0, 1, 0, 1]


def test_whoever_waits_as_told_is_let_through() -> None:
    """A request each ten seconds: the wait is exact, in whole seconds."""
    quotas = Quotas(0.1, 1)
    quotas.take("a", 0.0)

    assert quotas.take("a", 0.5) == 10
    assert quotas.take("a", 8.5) == 2
    assert quotas.take("a", 10.0) == 0


@given(
    per_second=st.floats(0.01, 1000),
    burst=st.integers(1, 100),
    gaps=st.lists(st.floats(0, 5), max_size=200),
)
def test_nobody_gets_more_than_burst_and_rate(
    per_second: float, burst: int, gaps: list[float]
) -> None:
    """Over any time from the first request on; and who waits as told is never refused again."""
    quotas, now, taken = Quotas(per_second, burst), 0.0, 0
    for gap in gaps:
        now += gap
        wait = quotas.take("a", now)
        taken += not wait

        assert taken <= burst + now * per_second + 1e-6
        if wait:
            now += wait
            assert quotas.take("a", now) == 0
            taken += 1


def test_the_table_is_bounded() -> None:
    """Many callers cost a bounded number of entries; who asked last is kept."""
    quotas = Quotas(1.0, 1)
    for number in range(MAX_CALLERS + 5):
        quotas.take(f"c{number}", 0.0)
        quotas.take("often", 0.0)

    assert len(quotas) == MAX_CALLERS
    assert quotas.take("often", 0.0) == 1
    assert quotas.take("c0", 0.0) == 0


def test_a_clock_that_steps_back_gives_nothing() -> None:
    """No tokens come from a negative time."""
    quotas = Quotas(1.0, 1)
    quotas.take("a", 10.0)

    assert quotas.take("a", 9.0) == pytest.approx(1)


def test_a_caller_is_its_key_or_its_address() -> None:
    """All addresses of one key share its quota; without a key, those of one IPv6 network do."""
    key = Principal("shop", [], key_id="k1")

    assert caller_of(key, "10.0.0.1") == caller_of(key, "10.0.0.2") == "key k1"
    assert caller_of(None, "10.0.0.1") == "address 10.0.0.1"
    assert caller_of(None, "2001:db8::1") == caller_of(None, "2001:db8::2")
    assert caller_of(Principal("page", []), "10.0.0.1") == "address 10.0.0.1"
