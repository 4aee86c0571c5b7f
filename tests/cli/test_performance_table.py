"""The performance report in a terminal."""

import io
from typing import Any

from rich.console import Console

from server.cli.performance_table import performance_view
from server.monitoring.cohorts import COHORT_SECONDS
from server.monitoring.joining import Series, SeriesKey
from server.monitoring.locating import Version
from server.monitoring.prediction_blocks import Role
from server.monitoring.realised import (
    NEGATIVE,
    POSITIVE,
    AnyPair,
    LabelCounts,
    NumberPair,
    Pair,
    Task,
)
from server.monitoring.realised_figures import PairedCounts
from server.monitoring.realised_report import describe_pairs, describe_versions

ONE, TWO = Version("m", "1", "a"), Version("m", "2", "b")


def report(task: Task = Task.BINARY, delay: float = 5.0, acted_on: int = 0) -> dict[str, Any]:
    """Return the report of a version of which three quarters of the labelled rows are right."""
    counts = LabelCounts()
    pairs: dict[Task, AnyPair] = {
        Task.BINARY: Pair(POSITIVE, POSITIVE, 0.75),
        Task.MULTICLASS: Pair("a", "a"),
        Task.REGRESSION: NumberPair(1.0, 2.0),
    }
    pair = pairs[task]
    other: AnyPair = Pair(POSITIVE, NEGATIVE, 0.25) if task is Task.BINARY else pair
    counts.add([pair, pair, pair, other], [delay] * 4)
    series = {
        SeriesKey(ONE, task, Role.LIVE, "", False, 480_000): Series(10, counts),
        SeriesKey(ONE, task, Role.LIVE, "sex=[f]", False, 480_000): Series(5, counts),
    }
    if acted_on:
        acted = LabelCounts()
        acted.add([pair] * acted_on)
        series[SeriesKey(ONE, task, Role.LIVE, "", True, 480_000)] = Series(0, acted)
    told = describe_versions(series, 480_000.5 * COHORT_SECONDS, 7 * 86400.0)
    figures = {"accuracy": 0.9, "f1": None}
    estimated = {"assumption": "scores mean the same", "live": figures, "reference": figures}
    return {
        "model": "m",
        "live": "1",
        "versions": [{"version": "1", "is_live": True, "estimated": estimated, **told[ONE]}],
        "pairs": describe_pairs({(ONE, TWO): PairedCounts(4, 3, 2, 1)}),
        "warnings": ["coverage differs"],
    }


def shown(told: dict[str, Any], *, with_hours: bool = False) -> str:
    """Return what is printed."""
    out = io.StringIO()
    Console(file=out, width=200).print(performance_view(told, with_hours=with_hours))
    return out.getvalue()


def test_a_version_is_shown_with_coverage_delay_and_figures() -> None:
    """By labels, estimated with what that assumes, of the reference, by segment."""
    text = shown(report())

    assert "m version 1, live: 4 of 10 rows have labels (40%), half of them within 10 s" in text
    rows = {line.split("  ")[0]: line.split() for line in text.splitlines()}
    assert rows["by labels"][2:4] == ["4", "0.75"]
    assert rows["estimated"][1] == "0.9"
    assert rows["reference"][1] == "0.9"
    assert rows["sex=[f]"][1:3] == ["4", "0.75"]
    assert "the estimate assumes: scores mean the same" in text
    assert "1 beside 2, on the same rows: 4 both right, 3 live only right" in text
    assert "coverage differs" in text


def test_hours_say_whether_they_can_be_judged() -> None:
    """An hour that goes on has not all of its labels yet."""
    text = shown(report(), with_hours=True)

    (line,) = [line for line in text.splitlines() if line.startswith("2024-10-04")]
    assert line.split()[1:4] == ["00:00", "10", "40%,"]
    assert "not yet all" in line


def test_other_tasks_have_their_own_figures() -> None:
    """Of numbers the errors, of more classes macro F1; labels that took long are told as such."""
    numbers = shown(report(Task.REGRESSION, delay=1e9))
    assert "rmse" in numbers
    assert "within more than a week" in numbers
    assert "macro f1" in shown(report(Task.MULTICLASS))


def test_rows_that_were_acted_on_are_told_apart() -> None:
    """They are counted in the title and have a line of their own."""
    text = shown(report(acted_on=3))

    assert "3 were acted on, and are not in the figures" in text
    assert any(line.startswith("acted on") for line in text.splitlines())


def test_a_model_of_which_nothing_is_kept_says_so() -> None:
    """No table without rows."""
    nothing = {"model": "[m]", "versions": [], "warnings": [], "pairs": []}

    assert shown(nothing) == "nothing is kept of [m] yet\n"
