"""Read a reference profile that anybody may have written.

Decides that what comes out can be counted with: every field is there and within bounds, lists have
the lengths that belong together, columns of one side have one type, and nothing is larger than a
profile can be. A hash that is not that of the content is refused: the file was changed by hand, or
damaged.

Does not know whether the profile fits a model (`fitting.py`).
"""

from collections.abc import Sequence

import numpy as np
import orjson

from server.monitoring.columns import Column, Kind, Layout, Side
from server.monitoring.hours import Cycle
from server.monitoring.json_fields import MAX_COUNT, MAX_TEXT, Fields, shown
from server.monitoring.profile import (
    FORMAT,
    CategoryProfile,
    ColumnProfile,
    NumberProfile,
    Profile,
    ScoreProfile,
    Source,
)
from server.monitoring.seasons import HourCounts
from server.monitoring.taking import LABEL, PROJECTED, RANKED, SUMMARIES, VALUE
from server.operator_errors import ProfileInvalid
from server.statistics.bins import FLOAT_TYPES, Bins
from server.statistics.categories import MAX_KEPT, MAX_RARE, Categories, CategoryCounts
from server.statistics.histogram import ColumnCounts
from server.statistics.smooth_test import MAX_COMPONENTS
from server.tensors import DATATYPES

MAX_BYTES = 16 << 20
MAX_COLUMNS = 4096
MAX_BINS = 64
MAX_HOUR_COUNTS = 2_000_000
"""Of all columns and hours together; 8 MB in memory, and as much in the file."""

_NUMBER_TAKES = frozenset({*RANKED, *SUMMARIES, *PROJECTED})

MAX_HOUR_ROWS = 2**31 - 1


def read_profile(content: bytes) -> Profile:
    """Read what `Profile.to_json` wrote.

    Raises:
        ProfileInvalid: it is not that; names the field, what was expected and what came.

    """
    if len(content) > MAX_BYTES:
        raise ProfileInvalid(f"it has more than {MAX_BYTES >> 20} MiB")
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ProfileInvalid(f"it is not JSON: {str(error)[:100]}") from None
    fields = Fields(value, "")
    if fields.count("format") != FORMAT:
        raise ProfileInvalid(f"format: expected {FORMAT}; another release has written it")
    stated = fields.text("hash")
    source = fields.member("created_from")
    columns = tuple(_read_column(one) for one in fields.members("columns", MAX_COLUMNS))
    _check_together(columns)
    score = fields.optional_member("score")
    hours = _read_hours(fields.member("hours"), columns) if fields.has("hours") else None
    profile = Profile(
        model=fields.text("model"),
        version=fields.text("version"),
        digest=fields.text("digest"),
        created_from=Source(source.text("name"), source.count("rows"), source.text("sha256")),
        is_self_reference=fields.flag("is_self_reference"),
        columns=columns,
        score=None if score is None else _read_score(score, columns),
        hours=hours,
    )
    source.done()
    fields.done()
    if profile.hash != stated:
        raise ProfileInvalid("hash: it is not that of the content; the file was changed or damaged")
    return profile


def _read_column(fields: Fields) -> ColumnProfile:
    name = fields.text("name")
    fields.where = f"column {shown(name)}"
    column = Column(
        name=name,
        kind=Kind(fields.text("kind", list(Kind))),
        side=Side(fields.text("side", list(Side))),
        tensor=fields.text("tensor"),
        datatype=fields.text("datatype", list(DATATYPES)),
        take=fields.text("take"),
    )
    _check_take(column, fields)
    profile = (
        _read_number(column, fields) if column.kind.is_number else _read_category(column, fields)
    )
    fields.done()
    return profile


def _check_take(column: Column, fields: Fields) -> None:
    """Hold a column to what can be taken out of a tensor of its type."""
    take, is_text = column.take, DATATYPES[column.datatype].is_text
    place = take.removeprefix(VALUE)
    if take.startswith(VALUE) and place.isascii() and place.isdecimal() and len(place) < 10:
        fits = not (is_text and column.kind.is_number)
    else:
        fits = not is_text and (take in _NUMBER_TAKES if column.kind.is_number else take == LABEL)
    if not fits:
        raise ProfileInvalid(
            f"{fields.where}.take: {shown(take)} of {column.datatype} is no {column.kind.value}"
        )


def _read_number(column: Column, fields: Fields) -> NumberProfile:
    bins = _read_bins(fields.member("bins"))
    counts = ColumnCounts(
        fields.counts("counts", bins.count),
        *(fields.count(name) for name in ("missing", "negative_infinities", "positive_infinities")),
        *(fields.count(name) for name in ("below", "above")),
    )
    rows = [counts.missing, counts.negative_infinities, counts.positive_infinities, counts.finite]
    counts.rows = _sum(rows, fields)
    if counts.below + counts.above > counts.finite:
        raise ProfileInvalid(f"{fields.where}: more rows are out of range than in the bins")
    return NumberProfile(
        column=column,
        bins=bins,
        counts=counts,
        mean=fields.optional_number("mean"),
        sd=fields.optional_number("sd", 0.0),
        minimum=fields.optional_number("minimum"),
        maximum=fields.optional_number("maximum"),
        distinct=fields.optional_count("distinct"),
        importance=fields.optional_number("importance", 0.0, 1.0),
        inflation=tuple(fields.numbers("inflation", MAX_COMPONENTS, 1.0)),
        missing_inflation=fields.number("missing_inflation", 1.0),
    )


def _read_bins(fields: Fields) -> Bins:
    written = {
        "dtype": fields.text("dtype", FLOAT_TYPES),
        "edges": fields.numbers("edges", MAX_BINS - 1),
        "min": fields.optional_number("min"),
        "max": fields.optional_number("max"),
    }
    fields.done()
    try:
        return Bins.from_json(written)
    except ValueError as error:
        raise ProfileInvalid(f"{fields.where}: {error}") from None


def _read_category(column: Column, fields: Fields) -> CategoryProfile:
    categories = _read_categories(fields.member("categories"))
    counts = CategoryCounts(
        fields.counts("counts", len(categories.kept)),
        other=fields.count("other"),
        missing=fields.count("missing"),
    )
    counts.rows = _sum([*counts.kept.tolist(), counts.other, counts.missing], fields)
    return CategoryProfile(
        column=column,
        categories=categories,
        counts=counts,
        seen_once=fields.count("seen_once"),
        importance=fields.optional_number("importance", 0.0, 1.0),
        inflation=fields.number("inflation", 1.0),
        missing_inflation=fields.number("missing_inflation", 1.0),
    )


def _read_categories(fields: Fields) -> Categories:
    written = {"kept": fields.take("kept"), "rare": fields.take("rare")}
    for name, most in (("kept", MAX_KEPT), ("rare", MAX_RARE)):
        words = written[name]
        if not isinstance(words, list) or len(words) > most:
            raise ProfileInvalid(
                f"{fields.where}.{name}: expected a list of at most {most} texts, "
                f"got {shown(words)}"
            )
        if any(isinstance(word, str) and len(word) > MAX_TEXT for word in words):
            raise ProfileInvalid(f"{fields.where}.{name}: a text has over {MAX_TEXT} characters")
    written["is_open"] = fields.flag("is_open")
    fields.done()
    try:
        return Categories.from_json(written)
    except (TypeError, ValueError) as error:
        raise ProfileInvalid(f"{fields.where}: {error}") from None


def _sum(counts: list[int], fields: Fields) -> int:
    total = sum(counts)
    if total > MAX_COUNT:
        raise ProfileInvalid(f"{fields.where}: {total} rows are more than there can be")
    return total


def _check_together(columns: Sequence[ColumnProfile]) -> None:
    """Hold columns to each other: names of their own, origins of their own, one type a side."""
    names = {one.column.name for one in columns}
    origins = {one.column.origin for one in columns}
    layout = Layout.of(one.column for one in columns)
    if min(len(names), len(origins)) < len(columns):
        raise ProfileInvalid("columns: two have the same name, or come from the same value")
    types: dict[tuple[Side, str], str] = {}
    for one in columns:
        column = one.column
        if types.setdefault((column.side, column.tensor), column.datatype) != column.datatype:
            raise ProfileInvalid(f"columns: tensor {shown(column.tensor)} has two datatypes")
        wanted = (layout.inputs if column.side is Side.INPUT else layout.outputs).dtype
        if isinstance(one, NumberProfile) and one.bins.dtype != wanted:
            raise ProfileInvalid(
                f"column {shown(column.name)}.bins.dtype: expected {wanted}, as the columns beside "
                f"it need, got {one.bins.dtype}"
            )


def _read_score(fields: Fields, columns: Sequence[ColumnProfile]) -> ScoreProfile:
    name = fields.text("column")
    of = {one.column.name: one for one in columns}.get(name)
    if not isinstance(of, NumberProfile) or of.column.kind is not Kind.PROBABILITY:
        raise ProfileInvalid(f"{fields.where}.column: {shown(name)} is no column of probabilities")
    positive = fields.take("positive")
    if positive is not None and (not isinstance(positive, str) or len(positive) > MAX_TEXT):
        raise ProfileInvalid(f"{fields.where}.positive: expected a text or null")
    score = ScoreProfile(
        column=name,
        positive=positive,
        positives=fields.counts("positives", of.bins.count),
        labelled=fields.counts("labelled", of.bins.count),
        answered=fields.counts("answered", of.bins.count),
        hits=fields.counts("hits", of.bins.count),
    )
    fields.done()
    positives, answered, hits = score.positives, score.answered, score.hits
    if np.any(np.maximum(positives, answered) > score.labelled):
        raise ProfileInvalid(f"{fields.where}: a bin has more positive rows than labelled ones")
    fewest = positives + answered - score.labelled
    if np.any(hits > np.minimum(positives, answered)) or np.any(hits < fewest):
        raise ProfileInvalid(f"{fields.where}: the counts of a bin do not go together")
    return score


def _read_hours(fields: Fields, columns: Sequence[ColumnProfile]) -> HourCounts:
    cycle = Cycle(fields.text("cycle", list(Cycle)))
    rows = fields.counts("rows", cycle.hours)
    if rows.sum() > MAX_HOUR_ROWS:
        raise ProfileInvalid(f"{fields.where}.rows: more than {MAX_HOUR_ROWS} rows")
    widths = [hour_width(one) for one in columns]
    if cycle.hours * sum(widths) > MAX_HOUR_COUNTS:
        raise ProfileInvalid(
            f"{fields.where}: {cycle.hours} hours of so many columns are more than "
            f"{MAX_HOUR_COUNTS} counts"
        )
    tables = fields.tables("counts", cycle.hours, widths)
    for place, table in enumerate(tables):
        if not np.array_equal(table.sum(axis=1), rows):
            raise ProfileInvalid(f"{fields.where}.counts[{place}]: not as many as the hours' rows")
    fields.done()
    return HourCounts(cycle, rows, tuple(tables))


def hour_width(one: ColumnProfile) -> int:
    """Return how many numbers each hour of a column has."""
    return one.bins.count + 3 if isinstance(one, NumberProfile) else len(one.categories.kept) + 2
