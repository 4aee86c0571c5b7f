"""What labels say of models: to monitoring, which raises alerts, and to whoever asks.

Decides how often a version is judged by its labels: when there are new ones, once a minute. What
they say is decided in `monitoring/cohorts.py` and `monitoring/realised_report.py`.

Concurrency: event loop only; reports are worked out on a thread.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from server.controlplane import feedback_work
from server.controlplane.feedback import Feedback
from server.monitoring import realised_report
from server.monitoring.cohorts import Baseline, mature, readings
from server.monitoring.drift import Reading
from server.monitoring.locating import Version
from server.monitoring.observer import LABELS_WINDOW
from server.monitoring.prediction_blocks import Role
from server.store.database import Store

JUDGE_SECONDS = 60.0
"""Between two judgements of a version by its labels, at least."""


class RealisedView:
    """Feedback as others see it."""

    def __init__(
        self,
        feedback: Feedback,
        store: Store,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._feedback = feedback
        self._store = store
        self._clock = clock
        self._judged: dict[Version, tuple[float, int]] = {}
        """When a version was last judged by its labels, and how many there were."""

    def readings(self, of: Version, baseline: Baseline | None) -> list[Reading]:
        """Return what labels say of the accuracy of a live version; nothing if nothing is new.

        `baseline` are the labelled rows of its reference, if it has any.
        """
        mine = {
            key: one
            for key, one in self._feedback.series.items()
            if key.of == of and key.role is Role.LIVE
        }
        labelled = sum(one.counts.rows for one in mine.values())
        now = self._clock()
        judged, before = self._judged.get(of, (0.0, 0))
        if labelled == before or 0.0 <= now - judged < JUDGE_SECONDS:
            return []
        self._judged[of] = (now, labelled)
        groups = realised_report.cohorts_of(mine)
        (_, task, _), cohorts = max(
            groups.items(), key=lambda group: sum(one.labelled for one in group[1])
        )
        is_mature = mature(cohorts, now, self._feedback.keep_seconds)
        ripe = [cohort for cohort, is_ripe in zip(cohorts, is_mature, strict=True) if is_ripe]
        return readings(ripe, task, baseline, LABELS_WINDOW)

    async def report(
        self, model: str, live: str | None, estimated: Mapping[str, object]
    ) -> dict[str, Any]:
        """Return what labels say of a model, beside what is `estimated`, by version.

        Raises:
            StoreUnavailable: counts cannot be read now.

        """
        now, feedback = self._clock(), self._feedback
        work = feedback_work.work_of_series(feedback.since_hour(), model)
        series = await self._store.run(work)
        told = await asyncio.to_thread(
            realised_report.describe_versions, series, now, feedback.keep_seconds
        )
        pairs = {pair: counts for pair, counts in feedback.pairs.items() if pair[0].model == model}
        return {
            "model": model,
            "live": live,
            "generated_seconds": now,
            "versions": [
                {
                    "version": of.version,
                    "is_live": of.version == live,
                    "estimated": estimated.get(of.version),
                    **version,
                }
                for of, version in sorted(told.items())
            ],
            "pairs": realised_report.describe_pairs(pairs),
            "warnings": realised_report.warnings(series, live),
        }
