"""Small reference profiles, whole and of every sort of column."""

from dataclasses import replace

import numpy as np

from server.monitoring.columns import Column, Kind, Side, layout_of
from server.monitoring.profile import (
    CategoryProfile,
    NumberProfile,
    Profile,
    ScoreProfile,
    Source,
)
from server.statistics.bins import probability_bins, reference_bins
from server.statistics.categories import Categories, CategoryCounts
from server.statistics.histogram import count_column
from server.statistics.smooth_test import smooth_basis
from server.tensors import DATATYPES, Signature, TensorSpec

ROWS = 400
FEATURES = {"x": ["age", "bmi"]}
SIGNATURE = Signature(
    (
        TensorSpec("x", DATATYPES["FP32"], (-1, 2)),
        TensorSpec("sex", DATATYPES["BYTES"], (-1, 1)),
    ),
    (
        TensorSpec("p", DATATYPES["FP32"], (-1, 2)),
        TensorSpec("label", DATATYPES["INT64"], (-1,)),
    ),
)


def number_profile(column: Column, seed: int = 0) -> NumberProfile:
    """A numeric column with reference rows of its own."""
    values = np.random.default_rng(seed).beta(2, 2, ROWS).astype(np.float32)
    values[:10] = np.nan
    is_probability = column.kind is Kind.PROBABILITY
    bins = probability_bins("float32") if is_probability else reference_bins(values, "float32")
    counts = count_column(bins, values)
    components = smooth_basis(counts.bins).scores.shape[1]
    return NumberProfile(
        column=column,
        bins=bins,
        counts=counts,
        mean=0.5,
        sd=0.125,
        minimum=0.01,
        maximum=0.99,
        distinct=None,
        importance=None if column.side is Side.OUTPUT else 0.25,
        inflation=(1.5,) * components,
        missing_inflation=1.25,
    )


def category_profile(column: Column) -> CategoryProfile:
    """A column of two words, and of rare ones."""
    counts = CategoryCounts(np.array([250, 140]), other=6, missing=4, rows=ROWS)
    return CategoryProfile(
        column=column,
        categories=Categories(("female", "0"), frozenset({"x", "y"})),
        counts=counts,
        seen_once=1,
        importance=0.5,
        inflation=1.0,
        missing_inflation=1.0,
    )


def profile(**changes: object) -> Profile:
    """A profile of SIGNATURE with FEATURES, and a score."""
    layout = layout_of(SIGNATURE, FEATURES, {"p": Kind.PROBABILITY})
    labelled = np.arange(50, dtype=np.int64)
    whole = Profile(
        model="risk",
        version="3",
        digest="ab" * 32,
        created_from=Source("train.csv", ROWS, "cd" * 32),
        is_self_reference=False,
        columns=tuple(
            number_profile(column, seed) if column.kind.is_number else category_profile(column)
            for seed, column in enumerate(layout.columns)
        ),
        score=ScoreProfile("p.score", "1", labelled // 2, labelled, labelled // 3, labelled // 4),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]
