"""Evidence of candidates, made of what matters to a test."""

from collections import Counter

import numpy as np

from server.release.canary_evidence import CanaryEvidence, Requests
from server.release.evidence import SCORE_BINS, ShadowEvidence


def shadow_evidence(
    pairs: int = 5000, noise: int = 200, judged: int = 500, **kinds: int
) -> ShadowEvidence:
    """Return evidence of `pairs` pairs that are the same but for the given kinds."""
    different = Counter(kinds)
    scores = spread(pairs)
    return ShadowEvidence(
        pairs=Counter(same=pairs - different.total()) + different,
        noise=Counter(same=noise),
        judged_batches=judged,
        candidate_scores=scores,
        live_scores=list(scores),
        sampled_batches=pairs,
    )


def spread(rows: int, shift: float = 0.0) -> list[int]:
    """Return a histogram of scores around a half, moved by a share of their range."""
    edges = np.linspace(0.0, 1.0, SCORE_BINS + 1)
    middle = 0.5 + shift
    cumulative = rows / (1.0 + np.exp(-(edges - middle) / 0.05))
    counts = np.diff(np.round(cumulative)).astype(int)
    counts[-1] += rows - counts.sum()
    return [int(count) for count in counts]


def requests(total: int, failures: int = 0, slow: int = 0, unkeyed: int | None = None) -> Requests:
    """Return requests, all of them without a key unless told."""
    return Requests(total, failures, total, slow, total if unkeyed is None else unkeyed)


def canary_evidence(
    canary: Requests, live: Requests, weight_bp: int = 500, slow_seconds: float = 0.05
) -> CanaryEvidence:
    """Return evidence of a canary at its first step."""
    evidence = CanaryEvidence(slow_seconds)
    evidence.add(0, weight_bp, canary, live)
    return evidence
