"""How much of what is sampled is mirrored: less while predictions suffer, and within a budget.

Decides when predictions suffer and what follows: the share is halved each second, and grows by a
tenth after ten calm ones. A shadow process that does next to nothing is not what they suffer from.
Pure: it is told the time, and what was measured.

Concurrency: one owner.
Lifetime: that of control.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LAG_SECONDS = 0.010
"""How late the event loop of a worker may come."""

WAIT_SECONDS = 0.010
"""How long the slowest twentieth of requests may wait in any case."""

WAIT_RUNS = 4.0
"""And how many runs of the model they may wait beside that."""

BUSY_CORES = 0.05
"""Processor time of the shadow process, in cores, below which it disturbs nobody."""

MIN_SHARE = 1 / 64
STEP = 0.1
CALM_SECONDS = 10.0
BURST_SECONDS = 5.0
"""Of the budget that may be saved up."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One second, as control saw it."""

    lag_seconds: float
    """How late a worker's event loop came, at most."""
    waits: NDArray[np.float32]
    """Seconds that requests waited whose batches could be mirrored."""
    run_seconds: float
    """Run time of those batches on average; 0 if there were none."""
    shadow_cores: float
    """Processor time that the shadow process took, in cores."""


def is_suffering(measured: Measured) -> bool:
    """Say whether predictions are slow and the shadow process may be why."""
    if measured.shadow_cores < BUSY_CORES:
        return False
    if measured.lag_seconds > LAG_SECONDS:
        return True
    longest = WAIT_SECONDS + WAIT_RUNS * measured.run_seconds
    return bool(len(measured.waits)) and float(np.quantile(measured.waits, 0.95)) > longest


class Throttle:
    """The share of what is sampled that is mirrored, and the processor time that is left."""

    def __init__(self, cores: float, now: float) -> None:
        self.share = 1.0
        self._cores = cores
        self._tokens_seconds = cores * BURST_SECONDS
        self._calm_since = now
        self._last = now
        self._suffered_before = False

    @property
    def has_budget(self) -> bool:
        """Whether candidates may take processor time now."""
        return self._tokens_seconds > 0

    def note(self, measured: Measured, now: float) -> None:
        """Take a second into account. One alone may be chance; two in a row are not."""
        elapsed, self._last = now - self._last, now
        earned = (self._cores - measured.shadow_cores) * elapsed
        most = self._cores * BURST_SECONDS
        self._tokens_seconds = min(most, self._tokens_seconds + earned)
        suffers = is_suffering(measured)
        if suffers and self._suffered_before:
            self.share = max(MIN_SHARE, self.share / 2)
        if suffers:
            self._calm_since = now
        elif now - self._calm_since >= CALM_SECONDS:
            self.share = min(1.0, self.share + STEP)
            self._calm_since = now
        self._suffered_before = suffers
