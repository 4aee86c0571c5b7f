"""Counts of a candidate beside the live version."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from server.release.evidence import (
    DIFFERENCE_BOUNDS,
    SCORE_BINS,
    Kind,
    ShadowEvidence,
    usual_difference,
)

BINS = len(DIFFERENCE_BOUNDS) + 1
KINDS: st.SearchStrategy[Counter[str]] = st.dictionaries(
    st.sampled_from([kind.value for kind in Kind]), st.integers(1, 1000)
).map(Counter)


@st.composite
def evidence(draw: st.DrawFn) -> ShadowEvidence:
    """Any counts."""
    whole = st.integers(0, 10**6)
    return ShadowEvidence(
        pairs=draw(KINDS),
        rows=draw(KINDS),
        noise=draw(KINDS),
        segments=draw(st.dictionaries(st.sampled_from(["sex=f", "sex=m"]), KINDS)),
        candidate_only_slow=draw(whole),
        timed_batches=draw(whole),
        candidate_cpu_seconds=float(draw(whole)),
        candidate_scores=draw(st.lists(whole, min_size=SCORE_BINS, max_size=SCORE_BINS)),
        findings=Counter(crash=draw(st.integers(1, 9))),
        sampled_batches=draw(whole),
        score_differences=draw(st.lists(whole, min_size=BINS, max_size=BINS)),
        score_difference=float(draw(whole)),
    )


@given(evidence())
def test_counts_survive_being_written_and_read(one: ShadowEvidence) -> None:
    """Evidence that was read is what was written."""
    assert ShadowEvidence.from_json(one.to_json()) == one


@given(evidence(), evidence())
def test_counts_add_up_in_any_order(one: ShadowEvidence, two: ShadowEvidence) -> None:
    """One added to two is two added to one, and every pair is in the sum."""
    left, right = ShadowEvidence(), ShadowEvidence()
    for part in (one, two):
        left.add(part)
    for part in (two, one):
        right.add(part)

    assert left == right
    assert left.pairs.total() == one.pairs.total() + two.pairs.total()
    assert left.segments.keys() == one.segments.keys() | two.segments.keys()


def test_counts_from_before_differences_were_counted_are_read() -> None:
    """A release goes on where it was when the program is a newer one."""
    value = ShadowEvidence(sampled_batches=3).to_json()
    del value["score_differences"], value["score_difference"]

    assert ShadowEvidence.from_json(value) == ShadowEvidence(sampled_batches=3)


def test_a_share_of_the_differences_lies_within_a_bound() -> None:
    """The smallest that covers it; none where nothing was seen, or it is beyond all."""
    seen = [0] * BINS
    assert usual_difference(seen, 0.9) is None
    seen[1], seen[4] = 90, 10
    assert usual_difference(seen, 0.9) == 1e-5
    assert usual_difference(seen, 0.91) == 1e-2
    seen[-1] = 900
    assert usual_difference(seen, 0.9) is None
