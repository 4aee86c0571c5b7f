"""A shadow beside a live regression, labelled row by row, through the product's own counts.

Decides how large the errors of both are and how much they are alike: two versions that learned from
nearly the same rows err together. Errors have heavy tails (Student's t of three degrees), as money
and times do. Answers and labels are made up, so that the truth is known; who is nearer and the
verdict are the product's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np

from server.monitoring.nearness import NearnessCounts, nearness
from server.monitoring.realised import NumberPair
from server.release.evidence import ShadowEvidence
from server.release.gate_settings import GateName, GateSettings, NearnessGate
from server.release.gates import Report
from server.release.shadow_gates import judge_shadow
from server.release.shadow_rules import Tolerance

LOOK_ROWS = 100
"""Between two looks; one row of each request."""
TAIL_DEGREES = 3.0
MEAN, SPREAD = 100.0, 20.0
"""Of the labels."""
ROUNDING = 1e-7

ALONE = GateSettings(
    off=tuple(name for name in get_args(GateName) if name != "nearness"),
    nearness=NearnessGate(required=True),
)


@dataclass(frozen=True, slots=True)
class Regression:
    """How a candidate's errors are beside the live ones."""

    size: float = 1.0
    """Of the candidate's errors to the live ones, in standard deviations."""
    alike: float = 0.9
    """Correlation of both errors; 1 is the same model."""
    rows: int = 20_000
    settings: GateSettings = ALONE

    def __call__(self, generator: np.random.Generator) -> Iterator[tuple[int, Report]]:
        """Run once: yield the labels that have come, and what the gate says."""
        counts = NearnessCounts()
        for _ in range(0, self.rows, LOOK_ROWS):
            counts = counts.plus(self._seen(generator))
            report = judge_shadow(
                ShadowEvidence(), self.settings, has_labels=False, nearness=counts
            )
            yield counts.rows, report

    def _seen(self, generator: np.random.Generator) -> NearnessCounts:
        """Return what the labels until the next look say."""
        ours, own = generator.standard_t(TAIL_DEGREES, (2, LOOK_ROWS))
        theirs = self.size * (self.alike * ours + np.sqrt(1.0 - self.alike**2) * own)
        labels = generator.normal(MEAN, SPREAD, LOOK_ROWS)
        counts = NearnessCounts()
        for label, live, candidate in zip(
            labels.tolist(),
            (labels + ours).tolist(),
            ((labels + theirs) * (1.0 + ROUNDING)).tolist(),
            strict=True,
        ):
            one, other = NumberPair(label, live), NumberPair(label, candidate)
            counts = counts.plus(nearness(one, other, Tolerance()))
        return counts
