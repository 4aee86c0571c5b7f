"""Columns watched over time by the gateway's own observer, told what time it is.

The first rows are learned from, as a version without a profile learns them; after them, rows come
in sub-windows of equal size, one every ten seconds, and each is evaluated as it is closed. All
columns are one model's, and share the budget of false alarms.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from loadtests.detection.changes import Kind, Values
from server.monitoring.columns import Blocks
from server.monitoring.drift import Limits
from server.monitoring.observer import Observer, Pace
from server.monitoring.self_reference import SelfReference
from server.statistics.budget import MONTH_SECONDS
from server.statistics.sequential import Alert
from server.tensors import DATATYPES, Array, Signature, TensorSpec

EVALUATION_SECONDS = 10.0

Columns = Mapping[str, Values]
"""Rows of each column, shape (rows,)."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How columns are watched; the defaults are the product's, but for the budget."""

    sub_window_rows: int = 100
    rows_per_false_alarm: float = 1e6
    """For which the budget is made, over all columns together."""

    @property
    def limits(self) -> Limits:
        """What follows for the observer."""
        rows_per_month = MONTH_SECONDS / EVALUATION_SECONDS * self.sub_window_rows
        return Limits(
            alarms_per_month=rows_per_month / self.rows_per_false_alarm,
            evaluation_seconds=EVALUATION_SECONDS,
            evaluation_rows=self.sub_window_rows,
        )


class Watch:
    """Columns, and what their alerts are at."""

    def __init__(self, references: Columns, kinds: Mapping[str, Kind], policy: Policy) -> None:
        self._kinds, self._policy = kinds, policy
        inputs = tuple(
            TensorSpec(name, DATATYPES["BYTES" if kind is Kind.CATEGORY else "FP64"], (-1, 1))
            for name, kind in kinds.items()
        )
        rows = len(next(iter(references.values())))
        # A model answers something; texts of any number are not watched.
        answer = TensorSpec("answer", DATATYPES["BYTES"], (-1, -1))
        reference = SelfReference(Signature(inputs, (answer,)), {}, rows)
        reference.add(self._tensors(references), {"answer": np.full((rows, 1), "", object)})
        profile, _ = reference.build("watched", "1", "")
        self._group = profile.layout.groups[0]
        pace = Pace(policy.sub_window_rows, EVALUATION_SECONDS)
        self._observer = Observer(profile, policy.limits, pace, 0.0)
        self._now = 0.0
        self._is_firing = False

    def _tensors(self, columns: Columns) -> dict[str, Array]:
        return {
            name: _words(rows) if self._kinds[name] is Kind.CATEGORY else rows[:, np.newaxis]
            for name, rows in columns.items()
        }

    def blocks(self, columns: Columns) -> Blocks:
        """Return rows as the observer takes them."""
        return self._group.blocks(self._tensors(columns))

    def raised(self, columns: Columns) -> bool:
        """Take in one sub-window; say whether an alert began to fire where none did before."""
        blocks, was_firing = self.blocks(columns), self._is_firing
        self._now += EVALUATION_SECONDS
        self._observer.take(blocks.rows, blocks, None)
        if self._observer.tick(self._now):
            question = self._observer.question(self._now)
            self._observer.step(question, question.answer(), self._now)
            states = (alert.state.alert for alert in self._observer.alerts.values())
            self._is_firing = any(state is Alert.FIRING for state in states)
        return self._is_firing and not was_firing

    def alarms(self, columns: Columns, onset: int) -> list[int]:
        """Return the rows, counted from 0, with which an alarm was raised.

        The first one from row `onset` on is the last: what comes later tells nothing more.
        """
        rows = len(next(iter(columns.values())))
        step = self._policy.sub_window_rows
        found = []
        for start in range(0, rows - step + 1, step):
            if self.raised({name: one[start : start + step] for name, one in columns.items()}):
                found.append(start + step - 1)
                if found[-1] >= onset:
                    break
        return found


def _words(rows: Values) -> Array:
    """Return categories, which are numbers here, as texts of shape (rows, 1)."""
    names, places = np.unique(rows, return_inverse=True)
    texts = np.array([f"c{name:g}" for name in names.tolist()], object)
    return texts[places].reshape(-1, 1)


def watched(reference: Values, kind: Kind, policy: Policy) -> Watch:
    """Watch one column, `x`."""
    return Watch({"x": reference}, {"x": kind}, policy)
