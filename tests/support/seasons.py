"""Rows that follow the clock: everything about them goes up and down within a day."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from server.monitoring.columns import Blocks, Layout, layout_of
from server.monitoring.hours import Cycle
from server.monitoring.profile import Profile, Source
from server.monitoring.profiling import ProfileBuilder
from server.monitoring.sampling import Sampler
from server.tensors import Array
from tests.support.references import signature

MIDNIGHT = 1_767_571_200.0
"""A Monday, UTC."""

DAY = 86_400.0

LAYOUT = layout_of(
    signature({"x": ("FP64", 2), "colour": ("BYTES", 1)}, {"answer": ("FP64", 1)}),
    {"x": ["height", "weight"]},
)
NAMES = [column.name for column in LAYOUT.columns]


def rows_at(
    rng: np.random.Generator, seconds: NDArray[np.float64], shift: float = 0.0
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return inputs and outputs of rows at these moments; `shift` is added to the height."""
    turn = np.sin(2.0 * np.pi * seconds / DAY)
    x = rng.standard_normal((len(seconds), 2)) + turn[:, np.newaxis]
    answer = x[:, :1] + rng.standard_normal((len(seconds), 1))
    x[:, 0] += shift
    x[rng.random(len(seconds)) < 0.1 + 0.08 * turn, 1] = np.nan
    colour = np.where(
        rng.random((len(seconds), 1)) < 0.5 + 0.4 * turn[:, np.newaxis], "red", "blue"
    )
    return {"x": x, "colour": colour.astype(object)}, {"answer": answer}


def blocks_at(
    layout: Layout, rng: np.random.Generator, seconds: NDArray[np.float64], shift: float = 0.0
) -> tuple[Blocks, Blocks]:
    """Return the same as columns."""
    inputs, outputs = rows_at(rng, seconds, shift)
    return layout.inputs.blocks(inputs), layout.outputs.blocks(outputs)


@cache
def profile(cycle: Cycle | None = Cycle.DAY, rows: int = 48_000, days: float = 14.0) -> Profile:
    """Return the profile of rows of some days before MIDNIGHT, in order."""
    rng = np.random.default_rng(11)
    seconds = MIDNIGHT - days * DAY + np.sort(rng.random(rows)) * days * DAY
    blocks = blocks_at(LAYOUT, rng, seconds)
    sampler = Sampler(LAYOUT, rows)
    sampler.choose(rows)
    sampler.add(*blocks)
    builder = ProfileBuilder(sampler.sample(), rows, is_ordered=True, cycle=cycle)
    builder.add(*blocks, seconds=None if cycle is None else seconds)
    return builder.build("m", "1", "d", Source("clock", rows, ""), is_self_reference=False)
