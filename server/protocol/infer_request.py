"""One inference request as its protocol said it: tensors, rows, wishes for the answer. A value."""

from dataclasses import dataclass

from server.tensors import Data

Wanted = tuple[tuple[int, bool], ...]
"""Outputs that a caller wants: number in the signature, and whether as a binary tensor."""


@dataclass(slots=True)
class InferRequest:
    """One decoded inference request. Tensors are in the signature's order."""

    tensors: list[Data]
    shapes: tuple[tuple[int, ...], ...]
    rows: int
    id: str | None = None
    outputs: Wanted | None = None
    """Wanted outputs; None: all, as JSON."""
    timeout_seconds: float | None = None
    is_plain: bool = True
    """Whether it asks for nothing special, all outputs as JSON and no id, and has no warnings."""
    warnings: tuple[str, ...] = ()
    """What the caller is told beside the answer."""
    priority: int | None = None
    """What it says itself about who is refused first (see `priorities.py`); None: nothing."""
    is_binary: bool = False
    """Whether it asks for nothing but outputs as binary tensors: no id, and has no warnings."""

    def with_tensors(self, tensors: list[Data]) -> "InferRequest":
        """Return the same request, as it was decoded and has no id, on other tensors."""
        return InferRequest(
            tensors,
            self.shapes,
            self.rows,
            None,
            self.outputs,
            self.timeout_seconds,
            self.is_plain,
            (),
            self.priority,
            self.is_binary,
        )
