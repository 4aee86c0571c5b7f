"""A column watched over time, as the gateway does: sub-windows, windows, alerts, cumulated sums.

Rows come in order; a sub-window is closed after so many of them, and then every window length is
judged and the cumulated sums of location go on. An alarm is raised when one of these begins to
fire while no other one of the column does.
"""

from dataclasses import dataclass

from loadtests.detection.changes import Kind, Values
from loadtests.detection.product import Counts, Monitored, NumberColumn, monitored
from server.statistics.cumulative import Cusum, add, cusum_rule
from server.statistics.sequential import Alert, AlertRule, AlertState, Evaluation, step
from server.statistics.window import Closing, Ring


@dataclass(frozen=True, slots=True)
class Policy:
    """How a column is watched."""

    sub_window_rows: int = 50
    lengths: tuple[int, ...] = (4, 16, 64)
    """Windows, in sub-windows."""

    alpha: float = 1e-5
    """Of one evaluation of one window."""

    cusum_evaluations_per_alarm: float = 20_000.0
    """Sub-windows between false alarms of the cumulated location, on average."""

    consecutive: int = 2


class Watch:
    """The state of one column's windows and alerts."""

    def __init__(self, column: Monitored, policy: Policy) -> None:
        self._policy, self._column = policy, column
        self._ring: Ring | None = None
        self._alert_rule = AlertRule(alpha=policy.alpha, consecutive=policy.consecutive)
        self._states = [AlertState() for _ in policy.lengths]
        self._sums = Cusum()
        self._is_cumulated = False

    def alarms(self, stream: Values) -> list[int]:
        """Return the rows, counted from 0, after which an alarm was raised."""
        raised, was_firing = [], False
        rows = self._policy.sub_window_rows
        for start in range(0, len(stream) - rows + 1, rows):
            counts = self._column.count(stream[start : start + rows])
            is_firing = self.take(counts, rows, float(start + rows))
            if is_firing and not was_firing:
                raised.append(start + rows - 1)
            was_firing = is_firing
        return raised

    def take(self, counts: Counts, rows: int, now: float) -> bool:
        """Take in the counts of a sub-window, and say whether anything fires."""
        lengths = self._policy.lengths
        if self._ring is None:
            self._ring = Ring(len(counts), 0.0, Closing(max_rows=rows), lengths)
        self._ring.add(counts, rows)
        self._ring.close(now)
        for place, length in enumerate(lengths):
            window = self._ring.window(length)
            verdict = self._column.verdict(window.counts)
            seen = Evaluation(verdict.p, verdict.effect, window.sub_windows * rows)
            self._states[place] = step(self._states[place], seen, self._alert_rule, now)
        is_firing = any(state.alert is Alert.FIRING for state in self._states)
        return self._cumulate(counts) or is_firing

    def _cumulate(self, counts: Counts) -> bool:
        """Add up the location; a sum that is over stays so until it has come down to half."""
        if not isinstance(self._column, NumberColumn):
            return False
        policy = self._policy
        rule = cusum_rule(
            self._column.basis, policy.cusum_evaluations_per_alarm, policy.sub_window_rows
        )
        self._sums = add(self._sums, rule, *self._column.location_sum(counts))
        self._is_cumulated = self._sums.ratio(rule) >= (0.5 if self._is_cumulated else 1.0)
        return self._is_cumulated


def watched(reference: Values, kind: Kind, policy: Policy) -> Watch:
    """Learn a column from reference rows, and begin to watch it."""
    return Watch(monitored(reference, kind), policy)
