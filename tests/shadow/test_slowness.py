"""Slow is what takes far longer a row than the live version's first batches of that size."""

from server.release.evidence import ShadowEvidence
from server.shadow.slowness import LEARNED_FROM, Slowness


def learned() -> tuple[Slowness, ShadowEvidence]:
    """Return the state after enough batches of 8 rows that took live 1 to 8 microseconds a row."""
    slowness, evidence = Slowness(), ShadowEvidence()
    for number in range(LEARNED_FROM):
        slowness.note(evidence, 8, 1.0, 8e-6 * (1 + number % 8))
    return slowness, evidence


def test_nothing_is_slow_while_the_threshold_is_learned() -> None:
    """Times add up from the start; batches are judged only after that."""
    _, evidence = learned()

    assert evidence.timed_batches == LEARNED_FROM
    assert evidence.timed_rows == 8 * LEARNED_FROM
    assert evidence.candidate_cpu_seconds == LEARNED_FROM
    assert (evidence.judged_batches, evidence.candidate_only_slow) == (0, 0)


def test_a_batch_counts_where_one_version_alone_was_slow() -> None:
    """A little above the slowest that live was is not slow; both slow says nothing of either."""
    slowness, evidence = learned()
    for candidate, live in ((13, 1), (13, 1), (1, 13), (13, 13), (11, 11)):
        slowness.note(evidence, 8, 8e-6 * candidate, 8e-6 * live)

    assert evidence.candidate_only_slow == 2
    assert evidence.live_only_slow == 1
    assert evidence.judged_batches == 5


def test_batches_of_another_size_have_a_threshold_of_their_own() -> None:
    """A row of a small batch costs more, because the call itself does."""
    slowness, evidence = learned()
    slowness.note(evidence, 1, 1.0, 1e-6)
    slowness.note(evidence, 15, 15e-6 * 13, 1e-6)

    assert evidence.judged_batches == 1
    assert evidence.candidate_only_slow == 1
