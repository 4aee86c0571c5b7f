"""Drift reports as the control port answers them, made by the real parts from generated rows."""

import asyncio
import json
from typing import Any

import numpy as np

from server.controlplane.monitor_report import drift_report
from server.controlplane.watched import Watched
from server.monitoring.drift import Limits
from server.monitoring.observer import Observer, Pace
from tests.support.references import normal_blocks, normal_profile

NOW = 1_700_000_000.0


def report(shift: Any = (0.0, 1.0, 0.0), rows: int = 3000) -> dict[str, Any]:
    """Return the report of a model of as many numbers as `shift` has, moved by so much."""
    width = len(shift)
    profile = normal_profile(width, 5000)
    observer = Observer(profile, Limits(), Pace(), NOW)
    rng = np.random.default_rng(4)
    for step in range(1, 4):
        x = rng.standard_normal((rows // 3, width)) + np.asarray(shift)
        observer.take(rows // 3, *normal_blocks(profile, x.astype(np.float32)))
        if observer.tick(NOW + 10.0 * step):
            question = observer.question(NOW + 10.0 * step)
            observer.step(question, question.answer(), NOW + 10.0 * step)
    watched = Watched("m", "1", "d", profile.hash, observer, rows=rows)
    answer = asyncio.run(drift_report("m", "1", [watched], NOW + 30.0))
    found: dict[str, Any] = json.loads(json.dumps(answer, allow_nan=False))
    return found
