"""Reference profiles of small models, made from arrays the plain way, and rows to hold to them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.monitoring.columns import Blocks, Kind, Layout, layout_of
from server.monitoring.profile import (
    CategoryProfile,
    ColumnProfile,
    NumberProfile,
    Profile,
    ScoreProfile,
    Source,
)
from server.statistics.bins import probability_bins, reference_bins
from server.statistics.categories import (
    count_categories,
    count_words,
    reference_categories,
)
from server.statistics.histogram import count_column
from server.tensors import DATATYPES, Array, Signature, TensorSpec

SMALLEST_WINDOW_ROWS = 200

Tensors = Mapping[str, Array]


def signature(inputs: Mapping[str, tuple[str, int]], outputs: Mapping[str, tuple[str, int]]) -> Any:
    """Return a signature of tensors by name: datatype and values a row."""

    def specs(side: Mapping[str, tuple[str, int]]) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(name, DATATYPES[datatype], (-1, items))
            for name, (datatype, items) in side.items()
        )

    return Signature(specs(inputs), specs(outputs))


def profile_of(
    layout: Layout,
    inputs: Tensors,
    outputs: Tensors,
    *,
    model: str = "m",
    version: str = "1",
    digest: str = "d",
    importances: Sequence[float | None] = (),
) -> Profile:
    """Return the profile of reference tensors, whose rows are independent."""
    columns: list[ColumnProfile] = []
    for group, tensors in zip(layout.groups, (inputs, outputs), strict=True):
        if not group.columns:
            continue
        blocks = group.blocks(tensors)
        for place, column in enumerate(group.numbers):
            values = blocks.numbers[:, place]
            finite = values[np.isfinite(values)].astype(np.float64)
            is_probability = column.kind is Kind.PROBABILITY
            bins = (
                probability_bins(group.dtype)
                if is_probability
                else reference_bins(values, group.dtype)
            )
            counts = count_column(bins, values)
            made = NumberProfile(
                column,
                bins,
                counts,
                float(finite.mean()) if len(finite) else None,
                float(finite.std()) if len(finite) else None,
                float(finite.min()) if len(finite) else None,
                float(finite.max()) if len(finite) else None,
                None,
                None,
                (),
                1.0,
            )
            columns.append(_with(made, inflation=(1.0,) * len(made.basis().inflation)))
        for column, words in zip(group.words, blocks.words, strict=True):
            counted = count_words(words)
            categories = reference_categories(counted, SMALLEST_WINDOW_ROWS)
            seen_once = sum(rows == 1 for word, rows in counted.items() if word is not None)
            columns.append(
                CategoryProfile(
                    column,
                    categories,
                    count_categories(categories, words),
                    seen_once,
                    None,
                    1.0,
                    1.0,
                )
            )
    for place, importance in enumerate(importances):
        columns[place] = _with(columns[place], importance=importance)
    rows = len(next(iter((inputs or outputs).values())))
    return Profile(
        model, version, digest, Source("train.csv", rows, "0" * 64), False, tuple(columns)
    )


def _with(column: Any, **changes: Any) -> Any:
    values = {name: getattr(column, name) for name in column.__slots__}
    return type(column)(**(values | changes))


def normal_profile(columns: int = 3, rows: int = 20_000, seed: int = 1, **names: Any) -> Profile:
    """Return the profile of independent standard normal inputs and of their sum as the output."""
    x = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    named = {"x": [f"f{place}" for place in range(columns)]}
    layout = layout_of(signature({"x": ("FP32", columns)}, {"y": ("FP32", 1)}), named)
    return profile_of(layout, {"x": x}, {"y": x.sum(axis=1, keepdims=True)}, **names)


def normal_blocks(profile: Profile, x: NDArray[np.float32]) -> tuple[Blocks, Blocks]:
    """Return rows of `normal_profile`'s model as blocks of inputs and outputs."""
    inputs, outputs = profile.layout.groups
    with np.errstate(over="ignore", invalid="ignore"):
        y = x.sum(axis=1, keepdims=True)
    return inputs.blocks({"x": x}), outputs.blocks({"y": y})


def mixed_profile(rows: int = 20_000, seed: int = 2) -> Profile:
    """Return the profile of a number, a whole number, a text, a boolean, and labels that follow."""
    layout = layout_of(
        signature(
            {
                "amount": ("FP32", 1),
                "visits": ("FP32", 1),
                "colour": ("BYTES", 1),
                "member": ("BOOL", 1),
            },
            {"label": ("INT64", 1)},
        ),
        {},
        {"visits": Kind.INTEGER},
    )
    return profile_of(layout, *mixed_rows(np.random.default_rng(seed), rows))


def mixed_rows(rng: np.random.Generator, rows: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return inputs and outputs of `mixed_profile`'s model."""
    amount = rng.lognormal(0.0, 1.0, (rows, 1)).astype(np.float32)
    amount[rng.random((rows, 1)) < 0.02] = np.nan
    visits = rng.poisson(3.0, (rows, 1)).astype(np.float32)
    colour = rng.choice(np.array(["red", "green", "blue"], object), (rows, 1), p=[0.6, 0.3, 0.1])
    member = rng.random((rows, 1)) < 0.4
    label = (visits > 3.0).astype(np.int64)
    return {"amount": amount, "visits": visits, "colour": colour, "member": member}, {
        "label": label
    }


def scored_rows(rng: np.random.Generator, rows: int, scale: float = 1.0) -> tuple[Any, Any, Any]:
    """Return inputs, probabilities and true labels; a small `scale` makes the model unsure."""
    x = scale * rng.standard_normal((rows, 1))
    score = 1.0 / (1.0 + np.exp(-3.0 * x))
    label = (rng.random((rows, 1)) < score).ravel()
    probabilities = np.concatenate([1.0 - score, score], axis=1).astype(np.float32)
    return {"x": x.astype(np.float32)}, {"p": probabilities}, label


def scored_profile(rows: int = 20_000, seed: int = 3) -> Profile:
    """Return the profile of a well calibrated model of two classes, made with labels."""
    tensors = signature({"x": ("FP32", 1)}, {"p": ("FP32", 2)})
    layout = layout_of(tensors, {}, {"p": Kind.PROBABILITY})
    inputs, outputs, label = scored_rows(np.random.default_rng(seed), rows)
    profile = profile_of(layout, inputs, outputs)
    score = outputs["p"][:, 1]
    bins = probability_bins("float32")

    def counted(chosen: Any) -> NDArray[np.int64]:
        return count_column(bins, score[chosen]).bins

    answered = score > 0.5
    made = ScoreProfile(
        "p.score",
        "1",
        positives=counted(label),
        labelled=counted(label >= 0),
        answered=counted(answered),
        hits=counted(answered & label),
    )
    return replace(profile, score=made)
