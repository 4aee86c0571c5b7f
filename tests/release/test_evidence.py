"""Counts of a candidate beside the live version."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from server.release.evidence import SCORE_BINS, Kind, ShadowEvidence

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
