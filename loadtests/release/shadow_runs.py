"""A shadow beside a live classifier, request by request, through the product's own comparison.

Decides how a candidate differs: in which share of the rows the label flips, and how much rows of
one request are alike in that. Rows are made up, so that the truth is known; kinds, pairs, slowness
and verdicts are the product's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from server.release.evidence import SCORE_BINS, ShadowEvidence
from server.release.gate_settings import GateSettings
from server.release.gates import Report
from server.release.shadow_gates import judge_shadow
from server.release.shadow_rules import NO_RULES
from server.shadow.comparison import compare
from server.shadow.pairs import drawn_rows, kind_counts
from server.shadow.slowness import Slowness
from server.wire.record import NamedTensor

LOOK_REQUESTS = 100
"""Between two looks."""
TIMED_BATCHES = 5
"""Of these, those that the live version runs again."""
ROUNDING = 1e-7


@dataclass(frozen=True, slots=True)
class Candidate:
    """How a candidate differs from the live version, and how it is asked."""

    flips: float = 0.0
    """Share of the rows whose label is another one."""
    rows: int = 1
    """Of each request."""
    alike: float = 0.0
    """Correlation of flips within a request, from 0 to below 1."""
    by_row: bool = False
    """Count every row as a pair, which is wrong: to show what that does."""
    requests: int = 20_000
    settings: GateSettings = field(default_factory=GateSettings)

    def __call__(self, generator: np.random.Generator) -> Iterator[tuple[int, Report]]:
        """Run once: yield the pairs that were seen, and what the gates say."""
        evidence, slowness = ShadowEvidence(), Slowness()
        for _ in range(0, self.requests, LOOK_REQUESTS):
            evidence.add(self._seen(generator))
            for seconds in generator.lognormal(-7.0, 0.2, (TIMED_BATCHES, 2)):
                slowness.note(evidence, LOOK_REQUESTS, *seconds.tolist())
            report = judge_shadow(evidence, self.settings, has_labels=True)
            yield evidence.pairs.total(), report

    def _seen(self, generator: np.random.Generator) -> ShadowEvidence:
        """Return what the requests until the next look show."""
        request_rows = np.full(LOOK_REQUESTS, self.rows)
        total = int(request_rows.sum())
        scores = generator.beta(2.0, 2.0, total).astype(np.float32)
        live = np.stack([scores, 1.0 - scores], axis=1)
        flips = generator.random(total) < np.repeat(self._shares(generator), self.rows)
        candidate = np.where(flips[:, None], live[:, ::-1], live)
        candidate = candidate * np.float32(1.0 + ROUNDING)
        kinds = compare([_tensor(live)], [_tensor(candidate)], NO_RULES, total)
        drawn = drawn_rows(request_rows, np.ones(LOOK_REQUESTS, bool), generator)
        drawn = np.arange(total) if self.by_row else drawn
        live_scores, candidate_scores = (
            np.histogram(one[drawn].max(axis=1), SCORE_BINS, (0.0, 1.0))[0].tolist()
            for one in (live, candidate)
        )
        return ShadowEvidence(
            pairs=kind_counts(kinds[drawn]),
            noise=kind_counts(np.zeros(1, np.int8)),
            candidate_scores=candidate_scores,
            live_scores=live_scores,
            sampled_batches=1,
        )

    def _shares(self, generator: np.random.Generator) -> np.ndarray:
        """Return the share of flips of each request: the same for all, or more alike within one."""
        if not self.alike or not self.flips:
            return np.full(LOOK_REQUESTS, self.flips)
        strength = (1.0 - self.alike) / self.alike
        return generator.beta(self.flips * strength, (1.0 - self.flips) * strength, LOOK_REQUESTS)


def _tensor(array: np.ndarray) -> NamedTensor:
    return NamedTensor("scores", "FP32", array)
