"""The candidates that this process can run, kept in line with what control plans.

Decides what has to be opened, and what stays as it is: a candidate goes on, with what has been
learned of its speed, unless its epoch, its rules or the live version beside it have changed.

Concurrency: event loop only; models are opened on the thread that runs them.
Lifetime: that of the process.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import structlog

from server.engine.session import Session
from server.repository import samples
from server.shadow.runner import CandidateRunner, Opened
from server.wire.shadow import CandidatePlan, ComparisonPlan, Runnable

log = structlog.get_logger()

Key = tuple[str, str]
"""Model and version."""


class Candidates:
    """All candidates of all models."""

    def __init__(self) -> None:
        self.runners: dict[Key, CandidateRunner] = {}
        self.live_digests: dict[str, str] = {}
        """By model: records of other files are not compared."""
        self._opened: dict[tuple[str, Runnable], Opened] = {}
        self._subjects: dict[Key, object] = {}
        self._failed: set[tuple[str, Runnable]] = set()

    def forget_all_but(self, plans: list[ComparisonPlan]) -> None:
        """Let go of what is not planned any more."""
        self.live_digests = {plan.model: plan.live.digest for plan in plans}
        subjects = {
            (plan.model, one.runnable.version): _subject(plan, one)
            for plan in plans
            for one in plan.candidates
        }
        for key in list(self.runners):
            if self._subjects[key] != subjects.get(key):
                del self.runners[key]
        wanted = {
            (plan.model, runnable)
            for plan in plans
            for runnable in (plan.live, *(one.runnable for one in plan.candidates))
        }
        self._opened = {key: one for key, one in self._opened.items() if key in wanted}
        self._failed &= wanted

    def missing(self, plans: list[ComparisonPlan]) -> list[tuple[ComparisonPlan, CandidatePlan]]:
        """Return the candidates that are planned and not there, and have not failed to open."""
        return [
            (plan, one)
            for plan in plans
            for one in plan.candidates
            if (plan.model, one.runnable.version) not in self.runners
            and not {(plan.model, plan.live), (plan.model, one.runnable)} & self._failed
        ]

    def is_open(self, model: str, runnable: Runnable) -> bool:
        """Whether a version has been opened."""
        return (model, runnable) in self._opened

    def put(self, model: str, opened: Opened) -> None:
        """Take a version that has been opened."""
        self._opened[model, opened.runnable] = opened

    def fail(self, model: str, runnable: Runnable) -> None:
        """Note that a version cannot be opened: it is not tried again while it is planned."""
        self._failed.add((model, runnable))

    def add(self, plan: ComparisonPlan, one: CandidatePlan) -> None:
        """Begin with a candidate; it and its live version have been opened."""
        key = (plan.model, one.runnable.version)
        self._subjects[key] = _subject(plan, one)
        self.runners[key] = CandidateRunner(
            one,
            plan.rules,
            self._opened[plan.model, one.runnable],
            self._opened[plan.model, plan.live],
            np.random.default_rng(),
        )
        log.info("candidate_opened", model=plan.model, version=one.runnable.version)

    def epochs(self) -> dict[str, list[str]]:
        """Return the epochs of the candidates that can be run, by model."""
        found: dict[str, list[str]] = {}
        for (model, _), runner in self.runners.items():
            found.setdefault(model, []).append(runner.plan.epoch)
        return found


def _subject(plan: ComparisonPlan, one: CandidatePlan) -> object:
    """Return what a runner is about: with another one, it is another runner."""
    return plan.live, plan.rules, replace(one, score_range=None)


def open_version(runnable: Runnable) -> Opened:
    """Open a version and warm it up; runs on the thread that runs models.

    Raises:
        TidegateError: it cannot be opened, or not be run on the rows that it is warmed up with.

    """
    session = Session.open(Path(runnable.path))
    if runnable.samples:
        inputs = samples.load(Path(runnable.samples), session.signature)
        session.run(inputs)
        if runnable.is_batched:
            session.run(samples.first_rows(inputs, runnable.max_rows))
    return Opened(runnable, session)
