"""What labels say of a model's versions, as JSON: the performance report.

Decides what is told of each version and each role in which it answered: how many rows have labels
and how late these came, figures of all of them, hour by hour with whether an hour can be judged
yet, and by segment. Rows that were acted on are told apart: what a prediction has changed does not
say whether it was right. Warns where figures of two roles are not of the same kind of rows.

Does not know what is estimated without labels, nor where counts are kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import Any

from server.monitoring.cohorts import COHORT_SECONDS, Cohort, mature, total
from server.monitoring.joining import Series, SeriesKey
from server.monitoring.locating import Version
from server.monitoring.prediction_blocks import Role
from server.monitoring.realised import LabelCounts, Task
from server.monitoring.realised_figures import (
    PairedCounts,
    calibration,
    delay_seconds,
    figures,
)

Json = dict[str, Any]

SHOWN_COHORTS = 48
"""Hours of each role that are told one by one, the last ones."""

MIN_WARNED_ROWS = 200
MIN_WARNED_DIFFERENCE = 0.05
"""Of coverage: a smaller one is no reason to doubt a comparison."""
_WARNED_DEVIATIONS = 4.0

_DIGITS = 6

Group = tuple[Version, Task, Role]


def cohorts_of(series: Mapping[SeriesKey, Series]) -> dict[Group, list[Cohort]]:
    """Return the hours of each version and role, oldest first; segments are left out."""
    hours: dict[Group, dict[int, list[tuple[SeriesKey, Series]]]] = {}
    for key, one in series.items():
        if not key.segment:
            group = (key.of, key.task, key.role)
            hours.setdefault(group, {}).setdefault(key.hour, []).append((key, one))
    return {
        group: [_cohort(hour, some) for hour, some in sorted(of_hours.items())]
        for group, of_hours in hours.items()
    }


def _cohort(hour: int, some: Iterable[tuple[SeriesKey, Series]]) -> Cohort:
    predicted, labelled, counts = 0, 0, LabelCounts()
    for key, one in some:
        predicted += one.predicted
        labelled += one.counts.rows
        if not key.is_acted_on:
            counts.merge(one.counts)
    return Cohort(hour * COHORT_SECONDS, predicted, labelled, counts)


def describe_versions(
    series: Mapping[SeriesKey, Series], now: float, window_seconds: float
) -> dict[Version, Json]:
    """Return what labels say of each version."""
    told: dict[Version, Json] = {}
    for (of, task, role), cohorts in sorted(cohorts_of(series).items()):
        mine = {
            key: one
            for key, one in series.items()
            if (key.of, key.task, key.role) == (of, task, role)
        }
        version = told.setdefault(of, {"digest": of.digest, "roles": []})
        version["roles"].append(_role(mine, task, role, cohorts, (now, window_seconds)))
    return told


def _role(
    series: Mapping[SeriesKey, Series],
    task: Task,
    role: Role,
    cohorts: Sequence[Cohort],
    when: tuple[float, float],
) -> Json:
    counts = total(cohorts)
    acted_on = LabelCounts()
    for key, one in series.items():
        if key.is_acted_on and not key.segment:
            acted_on.merge(one.counts)
    predicted = sum(cohort.predicted for cohort in cohorts)
    labelled = sum(cohort.labelled for cohort in cohorts)
    told: Json = {
        "role": role.word,
        "task": task.value,
        "predicted": predicted,
        "labelled": labelled,
        "coverage": _short(labelled / predicted if predicted else None),
        "label_delay_seconds": {
            "median": delay_seconds(counts, 0.5),
            "p90": delay_seconds(counts, 0.9),
        },
        "figures": _figures(counts, task),
        "acted_on": {"labelled": acted_on.rows, "figures": _figures(acted_on, task)},
        "cohorts": [
            _cohort_json(cohort, task, is_mature=is_mature)
            for cohort, is_mature in zip(cohorts, mature(cohorts, *when), strict=True)
        ][-SHOWN_COHORTS:],
        "segments": _segments(series, task),
    }
    if task is Task.BINARY:
        told["calibration"] = [
            {name: _short(value) for name, value in point.items()} for point in calibration(counts)
        ]
    if counts.confusion:
        told["confusion"] = [
            {"label": label, "answer": answer, "rows": rows}
            for (label, answer), rows in sorted(counts.confusion.items())
        ]
    return told


def _cohort_json(cohort: Cohort, task: Task, *, is_mature: bool) -> Json:
    return {
        "start_seconds": cohort.start_seconds,
        "predicted": cohort.predicted,
        "labelled": cohort.labelled,
        "coverage": _short(cohort.coverage),
        "is_mature": is_mature,
        "figures": _figures(cohort.counts, task),
    }


def _segments(series: Mapping[SeriesKey, Series], task: Task) -> list[Json]:
    found: dict[str, tuple[int, int, LabelCounts]] = {}
    for key, one in series.items():
        if key.segment:
            predicted, labelled, counts = found.get(key.segment, (0, 0, LabelCounts()))
            if not key.is_acted_on:
                counts.merge(one.counts)
            sums = (predicted + one.predicted, labelled + one.counts.rows, counts)
            found[key.segment] = sums
    return [
        {
            "segment": segment,
            "predicted": predicted,
            "labelled": labelled,
            "coverage": _short(labelled / predicted if predicted else None),
            "figures": _figures(counts, task),
        }
        for segment, (predicted, labelled, counts) in sorted(found.items())
    ]


def describe_pairs(pairs: Mapping[tuple[Version, Version], PairedCounts]) -> list[Json]:
    """Return the rows that two versions answered, by who was right."""
    return [
        {
            "live": live.version,
            "candidate": candidate.version,
            "both_right": counts.both,
            "live_only_right": counts.live_only,
            "candidate_only_right": counts.candidate_only,
            "neither_right": counts.neither,
        }
        for (live, candidate), counts in sorted(pairs.items())
    ]


def warnings(series: Mapping[SeriesKey, Series], live: str | None) -> list[str]:
    """Say where labels of a canary are not as frequent as those of the live version.

    Whoever decides which rows get labels may have decided by the answer; then figures of the two
    are of different rows.
    """
    found = cohorts_of(series)
    told = []
    for (of, task, role), cohorts in sorted(found.items()):
        if role is not Role.CANARY:
            continue
        first = cohorts[0].start_seconds if cohorts else 0.0
        beside = [
            cohort
            for (other, other_task, other_role), some in found.items()
            if (other.version, other_task, other_role) == (live, task, Role.LIVE)
            for cohort in some
            if cohort.start_seconds >= first
        ]
        mine, theirs = _coverage(cohorts), _coverage(beside)
        if _differ(mine, theirs):
            told.append(
                f"{mine[0] / mine[1]:.0%} of the rows of canary {of.version} have labels, and "
                f"{theirs[0] / theirs[1]:.0%} of those of live {live}: their figures may be of "
                "different kinds of rows"
            )
    return told


def _coverage(cohorts: Iterable[Cohort]) -> tuple[int, int]:
    some = list(cohorts)
    return sum(one.labelled for one in some), sum(one.predicted for one in some)


def _differ(one: tuple[int, int], other: tuple[int, int]) -> bool:
    if min(one[1], other[1]) < MIN_WARNED_ROWS:
        return False
    difference = abs(one[0] / one[1] - other[0] / other[1])
    share = (one[0] + other[0]) / (one[1] + other[1])
    spread = sqrt(share * (1.0 - share) * (1.0 / one[1] + 1.0 / other[1]))
    return difference > MIN_WARNED_DIFFERENCE and difference > _WARNED_DEVIATIONS * spread


def _figures(counts: LabelCounts, task: Task) -> Json:
    return {name: _short(value) for name, value in figures(counts, task).items()}


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")
