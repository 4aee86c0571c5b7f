"""Reference profiles: what a model's columns looked like when all was well, as counts.

Decides what is kept of reference data, and its form as JSON. A profile says how its columns come
from tensors, so live rows are counted as its own rows were.

The JSON has one column a line, so that a difference of two profiles shows which columns changed.
Its hash is the SHA-256 of all of it but the hash, in one canonical writing: counts made with
profiles of the same hash add up.

Does not know how a profile is made (`profiling.py`) or read (`profile_reading.py`), nor what a
change means.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

from server.monitoring.columns import Column, Layout
from server.monitoring.seasons import HourCounts
from server.operator_errors import ProfileInvalid
from server.statistics.bins import Bins
from server.statistics.categories import Categories, CategoryCounts
from server.statistics.histogram import ColumnCounts, Counts
from server.statistics.smooth_test import SmoothBasis, smooth_basis

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Source:
    """What a profile was made from."""

    name: str
    """A file's name, or words for live rows."""
    rows: int
    sha256: str
    """Of the file; empty for live rows."""


@dataclass(frozen=True, slots=True, eq=False)
class NumberProfile:
    """A numeric column. All numbers that describe it are None when no value is finite."""

    column: Column
    bins: Bins
    counts: ColumnCounts
    mean: float | None
    sd: float | None
    """Standard deviation of the finite values, divided by their number."""
    minimum: float | None
    maximum: float | None
    distinct: int | None
    """Different finite values in a sample of the rows; None if there are many."""
    importance: float | None
    """Absolute correlation with what the model answers, 0 to 1; None if it cannot be said."""
    inflation: tuple[float, ...]
    """Of each component of the smooth test: how much more means of neighbours vary, at least 1."""
    missing_inflation: float
    """The same of the share of missing values, and so of other rates."""

    def basis(self) -> SmoothBasis:
        """Return what the smooth test has to know of the column."""
        basis = smooth_basis(self.counts.bins)
        inflation = basis.inflation.copy()
        known = self.inflation[: len(inflation)]
        inflation[: len(known)] = known
        return replace(basis, inflation=inflation)

    def to_json(self) -> dict[str, Any]:
        """Return the profile of the column as JSON."""
        counts = self.counts
        return {
            **_column_json(self.column),
            "bins": self.bins.to_json(),
            "counts": counts.bins.tolist(),
            "missing": counts.missing,
            "negative_infinities": counts.negative_infinities,
            "positive_infinities": counts.positive_infinities,
            "below": counts.below,
            "above": counts.above,
            "mean": self.mean,
            "sd": self.sd,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "distinct": self.distinct,
            "importance": self.importance,
            "inflation": list(self.inflation),
            "missing_inflation": self.missing_inflation,
        }


@dataclass(frozen=True, slots=True, eq=False)
class CategoryProfile:
    """A column of categories or booleans."""

    column: Column
    categories: Categories
    counts: CategoryCounts
    seen_once: int
    """Categories with one row: their share is the chance that the next row is of a new one."""
    importance: float | None
    """Correlation ratio with what the model answers, 0 to 1; None if it cannot be said."""
    inflation: float
    """How much more shares of neighbours vary than those of independent rows, at least 1."""
    missing_inflation: float
    """The same of the share of missing values, and so of other rates."""

    def to_json(self) -> dict[str, Any]:
        """Return the profile of the column as JSON."""
        return {
            **_column_json(self.column),
            "categories": self.categories.to_json(),
            "counts": self.counts.kept.tolist(),
            "other": self.counts.other,
            "missing": self.counts.missing,
            "seen_once": self.seen_once,
            "importance": self.importance,
            "inflation": self.inflation,
            "missing_inflation": self.missing_inflation,
        }


ColumnProfile = NumberProfile | CategoryProfile


@dataclass(frozen=True, slots=True, eq=False)
class ScoreProfile:
    """How often what a score says came true, by its bins; made where labels were given."""

    column: str
    """The column of the score."""
    positive: str | None
    """The label that the score is the probability of; None if it is that of being right."""
    positives: Counts
    """Rows with that label, or answered right, by bin, shape (bins,)."""
    labelled: Counts
    """Rows with any label, by bin, shape (bins,)."""
    answered: Counts
    """Labelled rows for which the model answered the positive label, or anything, by bin."""
    hits: Counts
    """Those of them that had it, by bin."""

    def to_json(self) -> dict[str, Any]:
        """Return the profile of the score as JSON."""
        return {
            "column": self.column,
            "positive": self.positive,
            "positives": self.positives.tolist(),
            "labelled": self.labelled.tolist(),
            "answered": self.answered.tolist(),
            "hits": self.hits.tolist(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """The reference of one version of a model."""

    model: str
    version: str
    digest: str
    """Of the model's files that answered."""
    created_from: Source
    is_self_reference: bool
    """Whether it was learned from live rows, of which nobody knows that all was well."""
    columns: tuple[ColumnProfile, ...]
    """In the order of the layout's columns."""
    score: ScoreProfile | None = None
    hours: HourCounts | None = None
    """The same rows by hour, where the data had times."""
    layout: Layout = field(init=False)
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        layout = Layout.of(one.column for one in self.columns)
        if layout.columns != tuple(one.column for one in self.columns):
            raise ProfileInvalid(
                "columns: expected inputs before outputs, and numbers before words"
            )
        object.__setattr__(self, "layout", layout)
        object.__setattr__(self, "hash", _hash(self._described()))

    def column(self, name: str) -> ColumnProfile:
        """Return the profile of a column; KeyError if there is none of that name."""
        for one in self.columns:
            if one.column.name == name:
                return one
        raise KeyError(name)

    def to_json(self) -> bytes:
        """Return the profile as UTF-8 text, one column a line."""
        described = self._described() | {"hash": self.hash}
        lines = [f'"{key}": {_line(value)}' for key, value in described.items()]
        at = next(i for i, line in enumerate(lines) if line.startswith('"columns"'))
        columns = ",\n".join(_line(column) for column in described["columns"])
        lines[at] = f'"columns": [\n{columns}\n]'
        if self.hours is not None:
            at = next(i for i, line in enumerate(lines) if line.startswith('"hours"'))
            lines[at] = _hours_lines(described["hours"])
        return ("{\n" + ",\n".join(lines) + "\n}\n").encode()

    def _described(self) -> dict[str, Any]:
        described: dict[str, Any] = {
            "format": FORMAT,
            "model": self.model,
            "version": self.version,
            "digest": self.digest,
            "created_from": {
                "name": self.created_from.name,
                "rows": self.created_from.rows,
                "sha256": self.created_from.sha256,
            },
            "is_self_reference": self.is_self_reference,
            "columns": [column.to_json() for column in self.columns],
            "score": self.score.to_json() if self.score else None,
        }
        if self.hours is not None:
            described["hours"] = _hours_json(self.hours)
        return described


def _hours_json(hours: HourCounts) -> dict[str, Any]:
    """Return counts by hour; of hours without rows there are none."""
    rows = hours.rows.tolist()
    tables = [
        [line if there else [] for line, there in zip(table.tolist(), rows, strict=True)]
        for table in hours.columns
    ]
    return {"cycle": hours.cycle.value, "rows": rows, "counts": tables}


def _hours_lines(hours: dict[str, Any]) -> str:
    """Write counts by hour, one column a line; short, because there are many."""
    tables = ",\n".join(json.dumps(table, separators=(",", ":")) for table in hours["counts"])
    parts = [f'"{name}": {_line(hours[name])}' for name in ("cycle", "rows")]
    return '"hours": {' + ", ".join(parts) + f', "counts": [\n{tables}\n]}}'


def _column_json(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "kind": column.kind.value,
        "side": column.side.value,
        "tensor": column.tensor,
        "datatype": column.datatype,
        "take": column.take,
    }


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _hash(described: Any) -> str:
    canonical = json.dumps(described, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
