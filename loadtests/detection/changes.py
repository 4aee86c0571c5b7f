"""Columns that change, generated and real ones, each with what it is before and what it becomes.

A change names what a person would say had happened. `before` and `after` draw rows by a generator
that they are given, so the same seed makes the same rows. Categories are numbers here, as every
peer takes them; the column says that they are categories.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Values]

REFERENCE_ROWS = 20_000


class Kind(StrEnum):
    """How a column is counted and compared."""

    NUMBER = "number"
    PROBABILITY = "probability"
    CATEGORY = "category"


@dataclass(frozen=True, slots=True)
class Change:
    """A column before and after."""

    name: str
    group: str
    """What changes: location, spread, shape, tail, categories; none for a clean column."""

    kind: Kind
    before: Draw
    after: Draw

    rows: Values | None = None
    """The reference in its order, where it is a given one; otherwise `before` draws it."""

    def reference(self, rng: np.random.Generator) -> Values:
        """Return reference rows, shape (rows,)."""
        return self.before(rng, REFERENCE_ROWS) if self.rows is None else self.rows


def _normal(mean: float = 0.0, deviation: float = 1.0) -> Draw:
    return lambda rng, rows: rng.normal(mean, deviation, rows)


def _lognormal(sigma: float, scale: float = 1.0) -> Draw:
    return lambda rng, rows: scale * rng.lognormal(0.0, sigma, rows)


def _pareto(scale: float = 1.0) -> Draw:
    return lambda rng, rows: scale * (1.0 + rng.pareto(1.5, rows))


def _gamma(scale: float = 1.0) -> Draw:
    return lambda rng, rows: scale * rng.gamma(2.0, 1.0, rows)


def _poisson(rate: float) -> Draw:
    return lambda rng, rows: rng.poisson(rate, rows).astype(np.float64)


def _integers(rng: np.random.Generator, rows: int) -> Values:
    return rng.integers(3, 20, rows).astype(np.float64)


def replaced(rows: int, dose: float, before: Draw, after: Draw, rng: np.random.Generator) -> Values:
    """Return rows before a change, each replaced by one after it with probability `dose`."""
    values = before(rng, rows)
    is_after = rng.random(rows) < dose
    values[is_after] = after(rng, int(is_after.sum()))
    return values


def _ties(scale: float = 1.0) -> Draw:
    """Whole numbers, many of them equal: waiting times in minutes."""
    return lambda rng, rows: np.floor(rng.exponential(30.0 * scale, rows))


def _beta(a: float, b: float, decimals: int = 6) -> Draw:
    return lambda rng, rows: rng.beta(a, b, rows).round(decimals)


def _laplace(scale: float = 1.0) -> Draw:
    return lambda rng, rows: rng.laplace(0.0, scale, rows)


def _bimodal(rng: np.random.Generator, rows: int) -> Values:
    """Two peaks, with the mean and the deviation of a standard normal."""
    peaks = 0.9 * rng.choice([-1.0, 1.0], rows)
    values: Values = peaks + np.sqrt(1.0 - 0.81) * rng.standard_normal(rows)
    return values


def _uniform(rng: np.random.Generator, rows: int) -> Values:
    return rng.uniform(-np.sqrt(3.0), np.sqrt(3.0), rows)


def _skewed(rng: np.random.Generator, rows: int) -> Values:
    """A gamma variable with the mean and the deviation of a standard normal."""
    values: Values = (rng.gamma(2.0, 1.0, rows) - 2.0) / np.sqrt(2.0)
    return values


def _student(rng: np.random.Generator, rows: int) -> Values:
    """Heavy tails with the deviation of a standard normal."""
    values: Values = rng.standard_t(3, rows) / np.sqrt(3.0)
    return values


def _constant(value: float) -> Draw:
    return lambda _, rows: np.full(rows, value)


def _categories(*weights: float) -> Draw:
    shares = np.array(weights) / sum(weights)
    return lambda rng, rows: rng.choice(len(shares), rows, p=shares).astype(np.float64)


def autoregressive(rng: np.random.Generator, rho: float, streams: int, rows: int) -> Values:
    """Return standard normal streams of shape (streams, rows), each row like the one before."""
    values = rng.standard_normal((rows, streams))
    fresh = np.sqrt(1.0 - rho * rho)
    for row in range(1, rows):
        values[row] = rho * values[row - 1] + fresh * values[row]
    return np.ascontiguousarray(values.T)


_ZIPF = [1.0 / rank for rank in range(1, 21)]


def _numeric(name: str, group: str, before: Draw, after: Draw) -> Change:
    return Change(name, group, Kind.NUMBER, before, after)


CHANGES: tuple[Change, ...] = (
    _numeric("normal +.5 sd", "location", _normal(), _normal(0.5)),
    _numeric("normal +1 sd", "location", _normal(), _normal(1.0)),
    _numeric("lognormal(1) x1.5", "location", _lognormal(1.0), _lognormal(1.0, 1.5)),
    _numeric("lognormal(2) x2", "location", _lognormal(2.0), _lognormal(2.0, 2.0)),
    _numeric("pareto(1.5) x2", "location", _pareto(), _pareto(2.0)),
    _numeric("gamma(2) x1.5", "location", _gamma(), _gamma(1.5)),
    _numeric("poisson 4 -> 5.5", "location", _poisson(4.0), _poisson(5.5)),
    _numeric("ties x1.5", "location", _ties(), _ties(1.5)),
    Change("scores up", "location", Kind.PROBABILITY, _beta(2.0, 5.0), _beta(3.0, 4.0)),
    _numeric("normal sd x2", "spread", _normal(), _normal(0.0, 2.0)),
    _numeric("normal sd x.5", "spread", _normal(), _normal(0.0, 0.5)),
    _numeric("laplace x2", "spread", _laplace(), _laplace(2.0)),
    Change("scores certain", "spread", Kind.PROBABILITY, _beta(2.0, 2.0), _beta(0.5, 0.5)),
    _numeric("two peaks, same moments", "shape", _normal(), _bimodal),
    _numeric("uniform, same moments", "shape", _normal(), _uniform),
    _numeric("skewed, same moments", "shape", _normal(), _skewed),
    _numeric("filled in with the mean", "shape", _normal(), _constant(0.0)),
    _numeric("filled in with a value", "shape", _gamma(), _constant(1.0)),
    _numeric("heavy tails, same moments", "tail", _normal(), _student),
    _numeric("upper tail", "tail", _normal(), _normal(2.5, 0.3)),
    _numeric("unit x1000", "tail", _lognormal(1.0), _lognormal(1.0, 1000.0)),
    Change(
        "other shares of 5",
        "categories",
        Kind.CATEGORY,
        _categories(40, 30, 20, 8, 2),
        _categories(20, 30, 30, 12, 8),
    ),
    Change(
        "other shares of 20",
        "categories",
        Kind.CATEGORY,
        _categories(*_ZIPF),
        _categories(*_ZIPF[10:], *_ZIPF[:10]),
    ),
    Change(
        "a rare one grows",
        "categories",
        Kind.CATEGORY,
        _categories(50, 30, 19, 1),
        _categories(0, 0, 0, 1),
    ),
    Change("yes or no", "categories", Kind.CATEGORY, _categories(80, 20), _categories(60, 40)),
    Change(
        "a new one",
        "categories",
        Kind.CATEGORY,
        _categories(50, 30, 20),
        _categories(0, 0, 0, 1),
    ),
)

CLEAN: tuple[Change, ...] = tuple(
    Change(name, "none", kind, draw, draw)
    for name, kind, draw in (
        ("normal", Kind.NUMBER, _normal()),
        ("lognormal(2)", Kind.NUMBER, _lognormal(2.0)),
        ("whole numbers 3 to 19", Kind.NUMBER, _integers),
        ("poisson(2)", Kind.NUMBER, _poisson(2.0)),
        ("ties", Kind.NUMBER, _ties()),
        ("scores", Kind.PROBABILITY, _beta(0.5, 2.0, 2)),
        ("certain scores", Kind.PROBABILITY, _beta(0.1, 2.0)),
        ("2 categories", Kind.CATEGORY, _categories(80, 20)),
        ("5 categories, uneven", Kind.CATEGORY, _categories(40, 30, 20, 8, 2)),
        ("60 categories", Kind.CATEGORY, _categories(*[1.0 / rank for rank in range(1, 61)])),
    )
)

_CARS = (
    ("car_value", Kind.NUMBER),
    ("loan_length", Kind.NUMBER),
    ("salary_range", Kind.CATEGORY),
    ("repaid_loan_on_prev_car", Kind.CATEGORY),
    ("y_pred_proba", Kind.PROBABILITY),
)
_CENSUS = (
    ("AGEP", Kind.NUMBER),
    ("SCHL", Kind.NUMBER),
    ("MAR", Kind.CATEGORY),
    ("RELP", Kind.CATEGORY),
    ("RAC1P", Kind.CATEGORY),
    ("predicted_probability", Kind.PROBABILITY),
)
CAR_COLUMNS = (*_CARS, *((name, Kind.NUMBER) for name in ("debt_to_income_ratio", "driver_tenure")))
"""Columns of the car loans: the five that change at the onset, and two that do not."""


def real_changes(rows: Mapping[str, Values]) -> list[Change]:
    """Return the changes of the data sets that `peers/real_rows.py` writes."""
    found = []
    for source, columns in (("car_loan", _CARS), ("census", _CENSUS)):
        for place, (name, kind) in enumerate(columns):
            reference, before, after = (
                np.ascontiguousarray(rows[f"{source}_{part}"][:, place])
                for part in ("reference", "before", "after")
            )
            change = Change(
                f"{source}: {name}", "real", kind, _pool(before), _pool(after), reference
            )
            found.append(change)
    return found


def _pool(rows: Values) -> Draw:
    """Draw rows without putting back."""
    return lambda rng, count: rng.choice(rows, count, replace=False)


def stream_changes() -> list[Change]:
    """Return changes that begin at once, for streams."""
    normal = _normal()

    def change(name: str, after: Draw) -> Change:
        return Change(name, "stream", Kind.NUMBER, normal, after)

    def mixed(share: float, other: Draw) -> Draw:
        return lambda rng, rows: replaced(rows, share, normal, other, rng)

    swap = next(one for one in CHANGES if one.name == "other shares of 5")
    return [
        change("+.1 sd", _normal(0.1)),
        change("+.25 sd", _normal(0.25)),
        change("+.5 sd", _normal(0.5)),
        change("sd x1.25", _normal(0.0, 1.25)),
        change("two peaks, same moments", _bimodal),
        Change("lognormal(2) x2", "stream", Kind.NUMBER, _lognormal(2.0), _lognormal(2.0, 2.0)),
        change("1 % missing", mixed(0.01, _constant(np.nan))),
        change("1 % x1000", mixed(0.01, _normal(0.0, 1000.0))),
        change("one in 10,000 at 10,000", mixed(1e-4, _constant(1e4))),
        Change("other shares of 5", "stream", Kind.CATEGORY, swap.before, swap.after),
    ]
