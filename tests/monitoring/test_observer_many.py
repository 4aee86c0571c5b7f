"""Many columns that move at once: each evaluation judges some of them, and all in turn."""

import numpy as np
import pytest

from server.monitoring import drift, observer
from server.monitoring.drift import Limits
from server.monitoring.observer import Observer, Pace
from server.monitoring.rate_plans import Rule
from server.statistics.sequential import Alert
from tests.support.references import normal_blocks, normal_profile

COLUMNS = 40
PROFILE = normal_profile(COLUMNS, 1000)
MOST_JUDGED, MOST_WATCHED = 20, 10


class Wide:
    """An observer of many columns, and how many of them were judged at each evaluation."""

    def __init__(self) -> None:
        self.observer = Observer(PROFILE, Limits(), Pace(), 0.0)
        self.judged: list[int] = []
        self._now = 0.0
        self._rng = np.random.default_rng(1)

    def run(self, evaluations: int, shift: float) -> None:
        """Take 250 rows before each evaluation, all columns shifted alike."""
        for _ in range(evaluations):
            self._now += 10.0
            x = self._rng.standard_normal((250, COLUMNS)) + shift
            self.observer.take(250, *normal_blocks(PROFILE, x.astype(np.float32)))
            assert self.observer.tick(self._now)
            question = self.observer.question(self._now)
            readings = question.answer()
            self.judged.append(len({place for rule, place in readings if rule is Rule.DRIFT}))
            self.observer.step(question, readings, self._now)

    def drifting(self) -> int:
        """Return how many columns have an alert of drift that fires."""
        alerts = self.observer.alerts.items()
        return sum(
            rule is Rule.DRIFT and alert.state.alert is Alert.FIRING for (rule, _), alert in alerts
        )


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Wide:
    """Return an observer that judges few columns at once."""
    monkeypatch.setattr(drift, "MOST_JUDGED", MOST_JUDGED)
    monkeypatch.setattr(observer, "MOST_WATCHED", MOST_WATCHED)
    return Wide()


def test_all_columns_are_raised_and_cleared_in_turn(wide: Wide) -> None:
    """No evaluation judges more than so many columns, and in the end none is left out."""
    wide.run(8, shift=1.0)
    assert wide.drifting() == COLUMNS + 1
    wide.run(8, shift=0.0)

    assert wide.drifting() == 0
    assert max(wide.judged) <= MOST_JUDGED + MOST_WATCHED


def test_clean_columns_are_hardly_judged(wide: Wide) -> None:
    """What may not matter costs no verdict."""
    wide.run(3, shift=0.0)

    assert max(wide.judged) < 5
