"""Show rows to which a candidate answered differently, without what is not to be shown.

Decides which rows are shown and how much of them: a few of each kind (`release/mismatches.py`), a
few values of each tensor, numbers with the digits that a reader needs, text cut short, redacted
values not at all. A row is put into words only if it can still be among those that are kept, so a
candidate that always differs costs little. The generator of random numbers is given; else pure.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from server.release.evidence import AGREEING
from server.release.mismatches import MAX_KEPT, Mismatch, kept
from server.release.shadow_rules import ShadowRules
from server.shadow.comparison import CODES, KINDS, Codes
from server.tensors import Array, bf16_to_fp32
from server.wire.record import NamedTensor

MAX_VALUES = 32
"""Of one tensor's row that are shown."""

MAX_TEXT = 64
REDACTED = "redacted"

_AGREEING = [CODES[kind] for kind in AGREEING]


class Sampler:
    """The samples of one candidate that this process has drawn."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._kept: list[Mismatch] = []

    def draws(self, kinds: Codes) -> list[tuple[int, float]]:
        """Return the rows that are to be shown, each with its draw."""
        bars = self._bars()
        rows = np.flatnonzero(~np.isin(kinds, _AGREEING))
        draws = self._generator.random(len(rows))
        chosen: list[tuple[int, float]] = []
        for code in np.unique(kinds[rows]).tolist():
            of_kind = np.flatnonzero(kinds[rows] == code)
            best = of_kind[np.argsort(draws[of_kind])[:MAX_KEPT]]
            bar = bars.get(KINDS[code].value, 1.0)
            chosen += [(int(rows[at]), float(draws[at])) for at in best if draws[at] < bar]
        return chosen

    def _bars(self) -> dict[str, float]:
        """Return the draw to stay below, for each kind of which there are enough."""
        by_kind: dict[str, list[float]] = {}
        for one in self._kept:
            by_kind.setdefault(one.kind, []).append(one.draw)
        return {kind: max(draws) for kind, draws in by_kind.items() if len(draws) >= MAX_KEPT}

    def keep(self, samples: Sequence[Mismatch]) -> None:
        """Keep samples that were made of rows that `draws` has returned."""
        self._kept = kept([*self._kept, *samples])


def shown_row(tensors: Sequence[NamedTensor], row: int, rules: ShadowRules) -> dict[str, Any]:
    """Return a row of tensors as a reader sees it, features by their names.

    A tensor that has no such row is left out.
    """
    return {one.name: _shown_values(one, row, rules) for one in tensors if row < len(one.array)}


def _shown_values(tensor: NamedTensor, row: int, rules: ShadowRules) -> Any:
    hidden = rules.redacted.get(tensor.name)
    if hidden == ():
        return REDACTED
    values = [
        REDACTED if place in (hidden or ()) else value
        for place, value in enumerate(shown(tensor, row))
    ]
    names = rules.features.get(tensor.name)
    return dict(zip(names, values, strict=False)) if names else values


def shown(tensor: NamedTensor, row: int) -> list[Any]:
    """Return the first values of a row of a tensor, cut to what is readable."""
    values: Array = tensor.array[row : row + 1].reshape(-1)[:MAX_VALUES]
    if tensor.datatype == "BF16":
        values = bf16_to_fp32(values)
    return [_shown(value) for value in values.tolist()]


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else str(value)
    return value[:MAX_TEXT] if isinstance(value, str) else value
