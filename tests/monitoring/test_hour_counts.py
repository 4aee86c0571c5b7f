"""Counts by hour are exact, whatever the chunks."""

from collections import Counter

import numpy as np
import pytest

from server.monitoring import hour_counts
from server.monitoring.columns import Blocks
from server.monitoring.hour_counts import HourTable
from server.monitoring.hours import Cycle, hours_of
from server.statistics.bins import reference_bins
from server.statistics.categories import reference_categories
from server.statistics.histogram import Fold, count_column
from tests.support.seasons import DAY, MIDNIGHT

EDGES = reference_bins(np.random.default_rng(1).standard_normal(1000))


def _table() -> HourTable:
    return HourTable(Fold([EDGES]), 1, Cycle.DAY)


def test_rows_are_counted_in_their_hours_whatever_the_chunks() -> None:
    """Each hour's counts are those of its rows alone, in any order and in any pieces."""
    rng = np.random.default_rng(2)
    seconds = MIDNIGHT + rng.random(3000) * 5 * DAY
    values = rng.standard_normal((3000, 1))
    values[::50], values[1::50] = np.nan, np.inf
    words = [None if one < 0.1 else "a" if one < 0.6 else "b" for one in rng.random(3000)]
    table = _table()
    for start, end in ((0, 1), (1, 1700), (1700, 3000)):
        block = Blocks(end - start, values[start:end], [words[start:end]])
        table.add(block, seconds[start:end])

    categories = reference_categories(Counter(words), 200)
    numbers, kinds = table.number(0), table.category(0, categories)
    hours = hours_of(Cycle.DAY, seconds)
    for hour in range(24):
        chosen = np.flatnonzero(hours == hour)
        counts = count_column(EDGES, values[chosen])
        expected = [*counts.bins.tolist(), counts.missing, counts.negative_infinities,
                    counts.positive_infinities]  # fmt: skip
        assert numbers[hour].tolist() == expected
        own = Counter(words[at] for at in chosen.tolist())
        kept = [own[word] for word in categories.kept]
        assert kinds[hour].tolist() == [*kept, 0, own[None]]
    assert table.rows.tolist() == np.bincount(hours, minlength=24).tolist()


def test_words_beyond_the_bound_count_as_rare_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """No row is lost, and the words that came first are counted exactly."""
    monkeypatch.setattr(hour_counts, "MAX_WORDS", 2)
    table = _table()
    words: list[str | None] = ["a", "b", "a", "c", "d", None, "a"]
    table.add(Blocks(7, np.zeros((7, 1)), [words]), np.full(7, MIDNIGHT))

    categories = reference_categories(Counter({"a": 300, "b": 300}), 200)
    assert table.category(0, categories)[0].tolist() == [3, 1, 2, 1]
