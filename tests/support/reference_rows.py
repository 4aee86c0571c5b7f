"""Reference rows made up for a model of one's own, and the profile made of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from server.monitoring.columns import Kind, Layout, layout_of
from server.monitoring.profile import Profile, Source
from server.monitoring.profiling import Difference, ProfileBuilder
from server.monitoring.sampling import Sample, Sampler, sample_rows
from server.monitoring.scoring import ScorePlan, label_words, plan_score
from server.statistics.categories import count_words
from server.tensors import DATATYPES, Array, Signature, TensorSpec

Tensors = Mapping[str, Array]


def text(values: Sequence[str | None]) -> Array:
    """Return words as a tensor of text."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def signature_of(inputs: Tensors, outputs: Tensors) -> Signature:
    """Return a signature that tensors fit: rows are free, everything else is as it is."""
    names = {kind.numpy: name for name, kind in DATATYPES.items() if name != "BF16"}

    def specs(tensors: Tensors) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(name, DATATYPES[names[array.dtype]], (-1, *array.shape[1:]))
            for name, array in tensors.items()
        )

    return Signature(specs(inputs), specs(outputs))


def layout_for(inputs: Tensors, outputs: Tensors, **kinds: Kind) -> Layout:
    """Return the columns of tensors."""
    return layout_of(signature_of(inputs, outputs), {}, kinds)


def sample_of(layout: Layout, inputs: Tensors, outputs: Tensors) -> Sample:
    """Return all rows as a sample."""
    sampler = Sampler(layout, sample_rows(layout))
    rows = max(len(array) for array in (*inputs.values(), *outputs.values()))
    chosen = sampler.choose(rows)
    sampler.add(
        layout.inputs.blocks({name: array[chosen] for name, array in inputs.items()}),
        layout.outputs.blocks({name: array[chosen] for name, array in outputs.items()}),
    )
    return sampler.sample()


def built(
    layout: Layout,
    inputs: Tensors,
    outputs: Tensors,
    labels: Any = None,
    *,
    positive: str | None = None,
    chunk: int = 4096,
    is_ordered: bool = True,
) -> tuple[Profile, list[Difference]]:
    """Return the profile of rows that come in chunks, and how its halves differ."""
    sample = sample_of(layout, inputs, outputs)
    rows = max(len(array) for array in (*inputs.values(), *outputs.values()))
    plan: ScorePlan | None = None
    words = None if labels is None else label_words(labels)
    if words is not None:
        plan = plan_score(sample, count_words(list(words)), positive)
    builder = ProfileBuilder(sample, rows, is_ordered=is_ordered, score=plan)
    for start in range(0, rows, chunk):
        part = slice(start, start + chunk)
        builder.add(
            layout.inputs.blocks({name: array[part] for name, array in inputs.items()}),
            layout.outputs.blocks({name: array[part] for name, array in outputs.items()}),
            None if words is None else words[part],
        )
    source = Source("rows", rows, "")
    profile = builder.build("m", "1", "", source, is_self_reference=False)
    return profile, builder.differences_of_halves(profile)
