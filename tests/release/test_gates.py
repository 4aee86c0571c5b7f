"""What gates say together, in words and as JSON, and how a forecast is written."""

import math
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.release.gates import (
    ALPHA_FAIL,
    FAIL_PAIRS,
    Reading,
    Report,
    Verdict,
    alpha_fail,
    answer,
    counted,
    rate_question,
    rounded,
    unsure,
)

readings = st.lists(
    st.builds(
        Reading,
        st.sampled_from(["errors", "slow", "scores"]),
        st.sampled_from(list(Verdict)),
        is_required=st.booleans(),
    ),
    max_size=5,
)


def ask(events: int, total: int, budget: float = 0.02, min_pairs: int = 1000) -> Reading:
    """Judge a rate."""
    return answer(rate_question("errors", events, total, budget, ALPHA_FAIL, min_pairs))


@given(readings)
def test_all_that_are_required_must_pass_and_one_is_enough_to_fail(some: list[Reading]) -> None:
    """Whatever the others say; a report without gates proves nothing."""
    report = Report(tuple(some))

    if any(one.verdict is Verdict.FAIL for one in some):
        assert report.verdict is Verdict.FAIL
    elif report.verdict is Verdict.PASS:
        assert any(one.is_required for one in some)
        assert all(one.verdict is Verdict.PASS for one in some if one.is_required)
    elif report.verdict is Verdict.NO_DATA:
        assert all(one.verdict is Verdict.NO_DATA for one in some if one.is_required)
    may_go_on = report.verdict is Verdict.PASS or not any(one.is_required for one in some)
    assert bool(report.unproven) == (report.verdict is Verdict.FAIL or not may_go_on)


def test_a_rate_passes_fails_or_is_open() -> None:
    """Within its budget, beyond it, between, and without any pair."""
    assert ask(10, 5000).verdict is Verdict.PASS
    assert ask(200, 5000).verdict is Verdict.FAIL
    assert ask(18, 1000).verdict is Verdict.INCONCLUSIVE
    assert ask(0, 0) == Reading("errors", Verdict.NO_DATA, limit=0.02)


def test_a_burst_decides_nothing() -> None:
    """Nothing passes below the least number of pairs, and nothing fails below 200."""
    assert ask(0, 999).verdict is Verdict.INCONCLUSIVE
    assert ask(0, 1000).verdict is Verdict.PASS
    assert ask(FAIL_PAIRS - 1, FAIL_PAIRS - 1).verdict is Verdict.INCONCLUSIVE
    assert ask(FAIL_PAIRS, FAIL_PAIRS).verdict is Verdict.FAIL


def test_what_is_open_says_how_much_more_it_takes() -> None:
    """If all goes on as it was; nothing is forecast that is too far away."""
    near, far = ask(10, 1000), ask(20, 1000)

    assert near.more is not None
    assert 500 <= near.more <= 2000
    assert ask(10 * 3, 3000).verdict is Verdict.PASS
    assert far.more is None


def test_words_name_what_was_seen_and_what_it_is_held_to() -> None:
    """One line for an operator."""
    assert ask(10, 1000).words == (
        "errors: inconclusive; 0.01 (0.00241 to 0.0262) against 0.02, 10 of 1,000 pairs; "
        "about 1,300 more pairs needed"
    )
    assert ask(0, 0).words == "errors: no data"


def test_a_reading_is_written_as_json() -> None:
    """Also where a ratio has no upper end, for which JSON has no word."""
    reading = replace(ask(10, 1000), high=math.inf)
    value = orjson.loads(orjson.dumps(reading.to_json()))

    assert value["high"] is None
    assert value["verdict"] == "inconclusive"
    assert value["events"] == 10
    assert value["words"] == reading.words


def test_what_cannot_be_relied_on_is_open() -> None:
    """Unless there is nothing that could be."""
    assert unsure(ask(0, 1000), "why").verdict is Verdict.INCONCLUSIVE
    assert unsure(ask(0, 0), "why").verdict is Verdict.NO_DATA


@pytest.mark.parametrize(("number", "shown"), [(0.2, 1), (99, 99), (101, 110), (12_345, 13_000)])
def test_a_forecast_has_two_digits(number: float, shown: int) -> None:
    """Rounded up."""
    assert rounded(number) == shown


def test_small_helpers() -> None:
    """The chance of a false failure is shared by the gates; kinds are listed by their number."""
    assert alpha_fail(["a", "b"]) == ALPHA_FAIL / 2
    assert alpha_fail([]) == ALPHA_FAIL
    assert counted({"nan": 2, "error": 3, "shape": 0}) == "3 error, 2 nan"
