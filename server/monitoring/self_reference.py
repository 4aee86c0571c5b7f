"""A reference learned from the first live rows, where nobody has given one.

Decides how many rows make it, and what is said if they do not agree among themselves: a model that
drifts from its first hour on would otherwise be taken for a steady one. Nobody knows that all was
well with these rows, and the profile is marked so.

Which outputs are probabilities is decided once some rows are there, so rows wait until then. Rows
whose inputs did not come are not learned from.

Concurrency: belongs to whoever feeds it.
Lifetime: until the profile is made; it holds all rows as columns, which is what the sample's bound
is for.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from server.monitoring.columns import Blocks, Layout, layout_of, probability_outputs
from server.monitoring.profile import Profile, Source
from server.monitoring.profiling import Difference, ProfileBuilder
from server.monitoring.sampling import Sampler, sample_rows
from server.tensors import Array, Signature

SELF_REFERENCE_ROWS = 5000
SOURCE = "the first live rows"

_DECIDING_ROWS = 50
"""So many rows do not add up to 1 by chance."""

Tensors = Mapping[str, Array]


class SelfReference:
    """The first rows of a version."""

    def __init__(
        self,
        signature: Signature,
        features: Mapping[str, Sequence[str]],
        max_rows: int = SELF_REFERENCE_ROWS,
    ) -> None:
        self._signature = signature
        self._features = features
        self._max_rows = max_rows
        self._waiting: list[tuple[dict[str, Array], dict[str, Array]]] = []
        self._layout: Layout | None = None
        self._blocks: list[tuple[Blocks, Blocks]] = []
        self.rows = 0
        """How many came that are learned from, at most the limit."""

    @property
    def is_full(self) -> bool:
        """Whether there are enough rows; more are ignored."""
        return self.rows >= self._most()

    def _most(self) -> int:
        return min(self._max_rows, sample_rows(self._layout)) if self._layout else self._max_rows

    def add(self, inputs: Tensors, outputs: Tensors) -> None:
        """Take in tensors by name, as they came; they are copied.

        Raises:
            ValueError: they do not fit the signature.

        """
        rows = _rows(outputs)
        if not rows or any(spec.name not in inputs for spec in self._signature.inputs):
            return
        first = {name: array[: self._most() - self.rows].copy() for name, array in inputs.items()}
        second = {name: array[: self._most() - self.rows].copy() for name, array in outputs.items()}
        rows = _rows(second)
        if self._layout is not None:
            self._take(self._layout, first, second)
        else:
            _check(layout_of(self._signature, self._features), first, second)
            self._waiting.append((first, second))
        self.rows += rows
        if self._layout is None and self.rows >= min(_DECIDING_ROWS, self._max_rows):
            self._decide()

    def _take(self, layout: Layout, inputs: Tensors, outputs: Tensors) -> None:
        self._blocks.append(_check(layout, inputs, outputs))

    def _decide(self) -> Layout:
        """Decide the columns by the rows that wait, and make columns of them."""
        names = [spec.name for spec in self._signature.outputs]
        joined = {
            name: np.concatenate([outputs[name] for _, outputs in self._waiting])
            for name in names
            if self._waiting and len({one[1][name].shape[1:] for one in self._waiting}) == 1
        }
        kinds = probability_outputs(self._signature, joined)
        layout = self._layout = layout_of(self._signature, self._features, kinds)
        for inputs, outputs in self._waiting:
            self._take(layout, inputs, outputs)
        self._waiting.clear()
        return layout

    def build(self, model: str, version: str, digest: str) -> tuple[Profile, list[Difference]]:
        """Return the profile of the rows so far, and where their first half differs from the other.

        Nothing may be added after.
        """
        layout = self._layout or self._decide()
        sampler = Sampler(layout, max(1, self.rows))
        for inputs, outputs in self._blocks:
            sampler.choose(max(inputs.rows, outputs.rows))
            sampler.add(inputs, outputs)
        builder = ProfileBuilder(sampler.sample(), self.rows, is_ordered=True)
        for inputs, outputs in self._blocks:
            builder.add(inputs, outputs)
        source = Source(SOURCE, self.rows, "")
        profile = builder.build(model, version, digest, source, is_self_reference=True)
        return profile, builder.differences_of_halves(profile)


def _rows(tensors: Tensors) -> int:
    return min((len(array) if array.ndim else 0 for array in tensors.values()), default=0)


def _check(layout: Layout, inputs: Tensors, outputs: Tensors) -> tuple[Blocks, Blocks]:
    """Return the columns of both sides.

    Raises:
        ValueError: they do not have the rows or values that the layout needs.

    """
    first, second = layout.inputs.blocks(inputs), layout.outputs.blocks(outputs)
    if layout.inputs.columns and layout.outputs.columns and first.rows != second.rows:
        raise ValueError(f"{first.rows} rows of inputs gave {second.rows} of outputs")
    return first, second
