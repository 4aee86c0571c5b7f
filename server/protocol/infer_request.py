"""One inference request as its protocol said it: tensors, rows, wishes for the answer. A value."""

from dataclasses import dataclass

from server.tensors import Data


@dataclass(slots=True)
class InferRequest:
    """One decoded inference request. Tensors are in the signature's order."""

    tensors: list[Data]
    shapes: tuple[tuple[int, ...], ...]
    rows: int
    id: str | None = None
    outputs: tuple[tuple[int, bool], ...] | None = None
    """Wanted outputs as (number in the signature, whether binary); None: all, as JSON."""
    timeout_seconds: float | None = None
    is_plain: bool = True
    """Whether it asks for nothing special, all outputs as JSON and no id, and has no warnings."""
    warnings: tuple[str, ...] = ()
    """What the caller is told beside the answer."""
    priority: int | None = None
    """What it says itself about who is refused first (see `priorities.py`); None: nothing."""
