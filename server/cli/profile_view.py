"""What a reference profile looks like in a terminal.

Decides words, bars and layout only.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from rich.console import RenderableType
from rich.table import Table

from server.cli.plain import plain, visible
from server.monitoring.columns import Kind
from server.monitoring.hours import Cycle
from server.monitoring.profile import CategoryProfile, ColumnProfile, NumberProfile, Profile
from server.monitoring.profiling import Difference
from server.monitoring.seasons import HourCounts, Pools

_LEVELS = "▁▂▃▄▅▆▇█"
_CELLS = 16
_BAR_CELLS = 40
_FEW_ROWS = 1000
_ALIKE = 3.0
_LISTED = 5


def heading(profile: Profile) -> str:
    """Say what the profile is of."""
    rows = f"{profile.created_from.rows:,} rows"
    source = f"{rows} of {visible(profile.created_from.name)}"
    if profile.is_self_reference:
        source = f"{source} (self-reference: nobody has vouched for them)"
    told = (
        f"{visible(profile.model)} {visible(profile.version)}, from {source}, {profile.hash[:12]}"
    )
    return told if profile.hours is None else f"{told}\n{hours_line(profile.hours)}"


def hours_line(hours: HourCounts) -> str:
    """Say by which hours it is kept, and draw how many rows each hour has, the first at 0:00."""
    rows = hours.rows.reshape(-1, 24).sum(axis=0)
    cycle = "day" if hours.cycle is Cycle.DAY else "week"
    return f"by hour of the {cycle} (UTC), rows from 0h to 23h {sparkline(rows.tolist())}"


def summary_table(profile: Profile) -> Table:
    """Return a line for each column."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("COLUMN", "KIND", "MISSING", "VALUES", "SHAPE", "IMPORTANCE", "NOTE"):
        is_number = name in ("MISSING", "IMPORTANCE")
        table.add_column(
            name, justify="right" if is_number else "left", no_wrap=True, overflow="ellipsis"
        )
    for one in profile.columns:
        importance = "" if one.importance is None else f"{one.importance:.2f}"
        table.add_row(
            plain(one.column.name),
            one.column.kind.value,
            _percent(one.counts.missing, one.counts.rows),
            plain(_values(one)),
            sparkline(shape(one)),
            importance,
            ", ".join(remarks(one)),
        )
    return table


def column_view(profile: Profile, name: str) -> Iterator[RenderableType]:
    """Yield one column bin by bin, or category by category; KeyError if there is none."""
    one = profile.column(name)
    column = one.column
    yield plain(f"{column.name}: {column.kind.value}, {column.take} of {column.tensor}")
    yield plain(", ".join([f"{one.counts.rows:,} rows", *remarks(one)]))
    yield ""
    table = Table(box=None, pad_edge=False, header_style="bold")
    rates = _rates(profile, name)
    for title in ("VALUES", "ROWS", "SHARE", "", *(("CAME TRUE",) if rates else ())):
        table.add_column(title, justify="right" if title else "left")
    bars = list(_bars(one))
    most = max((rows for _, rows in bars), default=0)
    for at, (words, rows) in enumerate(bars):
        bar = "█" * round(_BAR_CELLS * rows / most) if most else ""
        rate = [rates[at] if at < len(rates) else ""] if rates else []
        table.add_row(plain(words), f"{rows:,}", _percent(rows, one.counts.rows), bar, *rate)
    yield table


def _bars(one: ColumnProfile) -> Iterator[tuple[str, int]]:
    """Yield what is counted, in words, and its rows."""
    counts = one.counts
    if isinstance(one, NumberProfile):
        is_open = one.column.kind is not Kind.PROBABILITY
        low, high = (one.minimum, one.maximum) if is_open else (one.bins.low, one.bins.high)
        ends = [low, *one.bins.edges, high]
        for (low, high), rows in zip(pairwise(ends), one.counts.bins.tolist(), strict=True):
            yield f"{_short(low)} … {_short(high)}", rows
        yield "-inf", one.counts.negative_infinities
        yield "inf", one.counts.positive_infinities
    else:
        yield from zip(one.categories.kept, one.counts.kept.tolist(), strict=True)
        yield "(rare ones)", one.counts.other
    yield "(missing)", counts.missing


def _rates(profile: Profile, name: str) -> list[str]:
    """Return how often the score came true, by bin; nothing for other columns."""
    score = profile.score
    if score is None or score.column != name:
        return []
    pairs = zip(score.positives.tolist(), score.labelled.tolist(), strict=True)
    return [_percent(positive, labelled) if labelled else "" for positive, labelled in pairs]


def _percent(part: int, whole: int) -> str:
    if not part or not whole:
        return "0 %" if whole else ""
    share = 100 * part / whole
    return f"{share:.0f} %" if share >= 9.95 else f"{share:.1f} %" if share >= 0.1 else "<0.1 %"


def _values(one: ColumnProfile) -> str:
    """Return the range of numbers, or the most frequent categories."""
    if isinstance(one, NumberProfile):
        if one.minimum is None:
            return ""
        ends = (_short(one.minimum), _short(one.maximum))
        return " … ".join(dict.fromkeys(ends))
    shown = [
        f"{word[:24]} {_percent(rows, one.counts.rows)}"
        for word, rows in zip(one.categories.kept[:3], one.counts.kept.tolist(), strict=False)
    ]
    more = len(one.categories.kept) + len(one.categories.rare) - len(shown)
    return ", ".join([*shown, *([f"{more} more"] if more else [])])


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def remarks(one: ColumnProfile) -> list[str]:
    """Say what is odd about a column."""
    found = ["all missing"] if one.counts.missing == one.counts.rows > 0 else []
    if isinstance(one, NumberProfile):
        counts = one.counts
        infinite = counts.negative_infinities + counts.positive_infinities
        found += ["constant"] if one.minimum is not None and one.minimum == one.maximum else []
        found += [f"{infinite:,} infinite"] if infinite else []
        outside = counts.below + counts.above
        found += [f"{outside:,} out of range"] if outside else []
    else:
        known = len(one.categories.kept) + len(one.categories.rare)
        found += ["constant"] if known == 1 else []
        found += ["too many to know new ones"] if one.categories.is_open else []
    return found + ([f"neighbours alike ({_alike(one):.1f})"] if _alike(one) >= _ALIKE else [])


def _alike(one: ColumnProfile) -> float:
    """Return by how much blocks of neighbours vary more than independent rows would."""
    if isinstance(one, NumberProfile):
        return max(one.inflation, default=1.0)
    return one.inflation


def shape(one: ColumnProfile) -> list[float]:
    """Return bars of a column: a few categories or values, or its density over its range.

    The outermost bins of many are left out, for their ends may be far away.
    """
    if isinstance(one, CategoryProfile):
        return [float(rows) for rows in one.counts.kept[:_CELLS]]
    counts, edges = one.counts.bins.tolist(), list(one.bins.edges)
    if one.column.kind is Kind.PROBABILITY:
        ends = [one.bins.low, *edges, one.bins.high]
    elif len(counts) <= _CELLS:
        return [float(rows) for rows in counts] if one.counts.finite else []
    else:
        ends, counts = edges, counts[1:-1]
    width = (ends[-1] - ends[0]) / _CELLS
    if not 0.0 < width < float("inf"):
        return []
    cells = [0.0] * _CELLS
    for (low, high), rows in zip(pairwise(ends), counts, strict=True):
        for cell in range(_CELLS):
            start = ends[0] + cell * width
            overlap = min(high, start + width) - max(low, start)
            if overlap > 0.0:
                cells[cell] += rows * overlap / (high - low)
    return cells


def sparkline(values: Sequence[float]) -> str:
    """Return one character a value, the largest one full; nothing if all are 0."""
    most = max(values, default=0.0)
    if most <= 0.0:
        return ""
    top = len(_LEVELS) - 1
    return "".join(_LEVELS[min(top, int(value / most * len(_LEVELS)))] for value in values)


def _notes_of_hours(profile: Profile) -> list[str]:
    hours = profile.hours
    if hours is None:
        return []
    found = []
    if hours.cycle is Cycle.DAY:
        found.append(
            "hours of all days are taken together: those of the week need two weeks of rows, and "
            "not too many columns"
        )
    bins = [one.bins for one in profile.columns if isinstance(one, NumberProfile)]
    thin = Pools(hours.cycle, hours.rows, bins).thin
    if thin:
        found.append(
            f"{len(thin)} of {hours.cycle.hours} hours have few rows, such as "
            f"{hours.cycle.name_of(thin[0])}: others stand in for them"
        )
    return found


def notes(profile: Profile, differences: Sequence[Difference]) -> list[str]:
    """Say what whoever made the profile should know."""
    found = []
    if profile.created_from.rows < _FEW_ROWS:
        found.append(
            f"{profile.created_from.rows:,} rows are few: small changes will pass for chance"
        )
    found += _notes_of_hours(profile)
    if differences:
        words = [f"'{one.column}' ({one.words})" for one in differences[:_LISTED]]
        more = len(differences) - len(words)
        found.append(
            "the second half of the rows does not look like the first: "
            + ", ".join([*words, *([f"{more} more"] if more else [])])
            + "; if their order means nothing, say so with --unordered"
        )
    if any(_alike(one) >= _ALIKE for one in profile.columns):
        found.append(
            "rows resemble their neighbours, so changes take longer to be certain; if the order of "
            "the rows means nothing, say so with --unordered"
        )
    return found
