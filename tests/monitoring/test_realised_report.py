"""The performance report: per version, role, hour and segment."""

import orjson

from server.monitoring.cohorts import COHORT_SECONDS
from server.monitoring.joining import Series, SeriesKey
from server.monitoring.locating import Version
from server.monitoring.prediction_blocks import Role
from server.monitoring.realised import NEGATIVE, POSITIVE, LabelCounts, NumberPair, Pair, Task
from server.monitoring.realised_figures import PairedCounts
from server.monitoring.realised_report import (
    SHOWN_COHORTS,
    cohorts_of,
    describe_pairs,
    describe_versions,
    warnings,
)

LIVE, CANARY = Version("m", "1", "a"), Version("m", "2", "b")
WEEK = 7 * 86400.0


def series(rows: int, right: int, predicted: int, *, is_number: bool = False) -> Series:
    """Return a series with labels of some of its rows."""
    counts = LabelCounts()
    counts.add(
        [
            NumberPair(1.0, 1.0 if at < right else 2.0)
            if is_number
            else Pair(POSITIVE, POSITIVE if at < right else NEGATIVE, 0.75)
            for at in range(rows)
        ],
        [5.0] * rows,
    )
    return Series(predicted, counts)


def key(
    hour: int,
    *,
    of: Version = LIVE,
    role: Role = Role.LIVE,
    segment: str = "",
    is_acted_on: bool = False,
    task: Task = Task.BINARY,
) -> SeriesKey:
    """Return the key of a series."""
    return SeriesKey(of, task, role, segment, is_acted_on, hour)


SERIES = {
    key(10): series(80, 60, 100),
    key(10, is_acted_on=True): series(10, 10, 0),
    key(11): series(10, 10, 100),
    key(10, segment="sex=f"): series(30, 30, 40),
    key(10, segment="sex=f", is_acted_on=True): series(5, 5, 0),
    key(10, of=CANARY, role=Role.CANARY): series(0, 0, 7),
}


def test_rows_that_were_acted_on_count_for_coverage_and_not_for_figures() -> None:
    """Of the hour: 90 of 100 have labels, and 60 of the 80 that were not acted on are right."""
    hours = cohorts_of(SERIES)

    first, second = hours[LIVE, Task.BINARY, Role.LIVE]
    assert (first.start_seconds, first.predicted, first.labelled) == (36000.0, 100, 90)
    assert (first.counts.rows, first.counts.right) == (80, 60)
    assert second.coverage == 0.1


def test_everything_is_told_of_each_version_and_role() -> None:
    """Figures of all rows, by hour, by segment, of what was acted on; and it is JSON."""
    told = describe_versions(SERIES, 11.5 * COHORT_SECONDS, WEEK)

    assert orjson.loads(orjson.dumps(told[LIVE])) == told[LIVE]
    (role,) = told[LIVE]["roles"]
    assert (role["role"], role["task"]) == ("live", "binary")
    assert (role["predicted"], role["labelled"], role["coverage"]) == (200, 100, 0.5)
    assert role["figures"]["accuracy"] == round(70 / 90, 6)
    assert role["acted_on"]["figures"]["accuracy"] == 1.0
    assert [one["is_mature"] for one in role["cohorts"]] == [True, False]
    assert role["cohorts"][0]["figures"]["accuracy"] == 0.75
    (segment,) = role["segments"]
    assert (segment["segment"], segment["predicted"], segment["labelled"]) == ("sex=f", 40, 35)
    assert segment["figures"]["accuracy"] == 1.0
    assert role["label_delay_seconds"] == {"median": 10.0, "p90": 10.0}
    assert role["calibration"][0]["rows"] == 90
    assert {
        one["label"]: one["rows"] for one in role["confusion"] if one["answer"] == NEGATIVE
    } == {POSITIVE: 20}
    (canary,) = told[CANARY]["roles"]
    assert (canary["role"], canary["predicted"], canary["labelled"]) == ("canary", 7, 0)
    assert set(canary["figures"].values()) == {None}


def test_a_regression_has_its_own_figures() -> None:
    """And neither calibration nor confusion; only the last hours are told one by one."""
    many = {key(hour, task=Task.REGRESSION): series(4, 3, 4, is_number=True) for hour in range(60)}

    (role,) = describe_versions(many, 60 * COHORT_SECONDS, WEEK)[LIVE]["roles"]

    assert role["figures"]["mae"] == 0.25
    assert "calibration" not in role
    assert "confusion" not in role
    assert len(role["cohorts"]) == SHOWN_COHORTS
    assert role["cohorts"][-1]["start_seconds"] == 59 * COHORT_SECONDS


def test_labels_that_one_role_gets_more_often_are_warned_of() -> None:
    """In the hours in which both answered; a few rows, or a small difference, are no reason."""

    def found(canary: tuple[int, int], live: tuple[int, int], before: tuple[int, int]) -> list[str]:
        return warnings(
            {
                key(9): series(before[0], 0, before[1]),
                key(10): series(live[0], 0, live[1]),
                key(10, of=CANARY, role=Role.CANARY): series(canary[0], 0, canary[1]),
            },
            "1",
        )

    (told,) = found((450, 500), (300, 500), (0, 500))
    assert told.startswith("90% of the rows of canary 2 have labels, and 60% of those of live 1")
    assert found((300, 500), (300, 500), (500, 500)) == []
    assert found((90, 100), (300, 500), (0, 0)) == []
    assert found((310, 500), (300, 500), (0, 0)) == []
    assert warnings({}, None) == []


def test_pairs_are_told_by_version() -> None:
    """Who was right where both answered."""
    assert describe_pairs({(LIVE, CANARY): PairedCounts(4, 3, 2, 1)}) == [
        {
            "live": "1",
            "candidate": "2",
            "both_right": 4,
            "live_only_right": 3,
            "candidate_only_right": 2,
            "neither_right": 1,
        }
    ]
