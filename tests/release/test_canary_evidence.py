"""Counts of a canary by step."""

from hypothesis import given
from hypothesis import strategies as st

from server.release.canary_evidence import CanaryEvidence, Requests

COUNTS = st.builds(Requests, *[st.integers(0, 10**6)] * 5)


@given(st.lists(st.tuples(st.integers(0, 3), COUNTS, COUNTS), max_size=8))
def test_counts_add_up_by_step_and_survive_being_written(
    parts: list[tuple[int, Requests, Requests]],
) -> None:
    """Every request is in the step in which it came, and in the whole."""
    evidence = CanaryEvidence(0.05)
    for step, canary, live in parts:
        evidence.add(step, 100 * (step + 1), canary, live)

    assert CanaryEvidence.from_json(evidence.to_json()) == evidence
    assert evidence.canary.total == sum(canary.total for _, canary, _ in parts)
    for step in range(4):
        of_step = sum(canary.total for place, canary, _ in parts if place == step)
        assert evidence.requests_in(step) == of_step
    for step, counts in evidence.steps.items():
        assert counts.weight_bp == 100 * (step + 1)
