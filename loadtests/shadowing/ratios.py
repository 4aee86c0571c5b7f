"""The ratio of paired measurements, and how sure it is. Pure.

Decides by resampling pairs: neighbours in time share what else the machine did, so that pairs vary
less than the two sides do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Ratio:
    """A ratio, and between what it lies."""

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.3f} ({self.low:.3f} to {self.high:.3f})"


def paired_ratio(with_it: Sequence[float], without: Sequence[float]) -> Ratio:
    """Return the median of the ratios of pairs, with its interval by the bootstrap."""
    ratios = np.array(with_it, np.float64) / np.array(without, np.float64)
    generator = np.random.default_rng(0)
    drawn = generator.choice(ratios, (RESAMPLES, len(ratios)))
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(np.median(drawn, axis=1), [tail, 100.0 - tail])
    return Ratio(float(np.median(ratios)), float(low), float(high))
