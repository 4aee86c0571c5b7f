"""Gates that labels decide: who was right, who was nearer, and when that says nothing yet."""

import pytest

from server.monitoring.nearness import NearnessCounts
from server.monitoring.realised_figures import PairedCounts
from server.release.gate_settings import AccuracyGate, NearnessGate
from server.release.gates import Reading, Verdict
from server.release.label_gates import NO_ERRORS, judge_accuracy, judge_nearness

MIN_PAIRS, ALPHA = 1000, 0.002


def nearness(live: int, candidate: int, rows: int, gate: NearnessGate | None = None) -> Reading:
    """Judge who was nearer in so many of the rows."""
    counts = NearnessCounts(live, candidate, rows - live - candidate)
    return judge_nearness(counts, gate or NearnessGate(), MIN_PAIRS, ALPHA)


@pytest.mark.parametrize(
    ("losses", "gains", "rows", "expected"),
    [
        (0, 0, 1000, Verdict.PASS),
        (100, 100, 5000, Verdict.PASS),
        (60, 20, 1200, Verdict.FAIL),
        (60, 20, 199, Verdict.INCONCLUSIVE),
        (0, 0, 900, Verdict.INCONCLUSIVE),
    ],
)
def test_labels_judge_who_is_right(losses: int, gains: int, rows: int, expected: Verdict) -> None:
    """Equal versions pass, two in a hundred worse fails; few labels decide nothing."""
    counts = PairedCounts(rows - losses - gains, losses, gains)

    assert judge_accuracy(counts, AccuracyGate(), MIN_PAIRS, ALPHA).verdict is expected


@pytest.mark.parametrize(
    ("live", "candidate", "rows", "expected"),
    [
        (0, 0, 1000, Verdict.PASS),  # The same file twice.
        (1000, 1000, 2000, Verdict.PASS),
        (450, 550, 1000, Verdict.PASS),
        (520, 480, 1000, Verdict.INCONCLUSIVE),
        (1150, 850, 2000, Verdict.FAIL),
        (150, 49, 199, Verdict.INCONCLUSIVE),  # Too few to fail.
        (20, 0, 2000, Verdict.PASS),  # Worse wherever it differs, and hardly anywhere.
        (0, 900, 900, Verdict.INCONCLUSIVE),
    ],
)
def test_labels_judge_who_is_nearer(
    live: int, candidate: int, rows: int, expected: Verdict
) -> None:
    """Farther off in half of the rows passes, in surely more than that fails."""
    assert nearness(live, candidate, rows).verdict is expected


def test_a_reading_says_in_how_many_rows_each_was_nearer() -> None:
    """With the share that decides, what it may be, and how many more labels it takes."""
    found = nearness(520, 480, 1100)

    assert found.words.startswith("nearness: inconclusive; 0.52 (0.4")
    assert "against 0.55, 520 of 1,100 labels; nearer in 480, as near in 100" in found.words
    assert found.more is not None
    assert nearness(520, 480, 1100, NearnessGate(budget=0.2)).verdict is Verdict.PASS


def test_without_labels_there_is_no_data() -> None:
    """Which holds nothing up unless labels are required."""
    for is_required in (False, True):
        gate = NearnessGate(required=is_required)
        found = judge_nearness(NO_ERRORS, gate, MIN_PAIRS, ALPHA)
        assert (found.verdict, found.is_required) == (Verdict.NO_DATA, is_required)
