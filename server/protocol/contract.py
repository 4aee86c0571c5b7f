"""What a version of a model accepts. A value, but for what it remembers of requests."""

from dataclasses import dataclass, field

from server.protocol.binary_head import BinaryHeads
from server.protocol.json_form import JsonForms
from server.tensors import Signature

_MAX_PLAIN_RANK = 2


@dataclass(frozen=True, slots=True)
class Contract:
    """What a version of a model accepts."""

    signature: Signature
    is_batched: bool
    """Whether the first dimension of every tensor counts rows that may share a batch."""
    max_request_rows: int
    heads: BinaryHeads = field(init=False, compare=False, repr=False, default_factory=BinaryHeads)
    plain_shapes: tuple[tuple[int, ...], ...] | None = field(init=False, compare=False, repr=False)
    """Shapes of a plain request: one row for the only input, numbers of a fixed shape."""
    forms: JsonForms | None = field(init=False, compare=False, repr=False, default=None)
    """Forms of plain requests, where there are any."""

    def __post_init__(self) -> None:
        shapes = None
        if self.is_batched and len(self.signature.inputs) == 1:
            spec = self.signature.inputs[0]
            if spec.pack_row is not None and len(spec.shape) <= _MAX_PLAIN_RANK:
                shapes = ((1, *spec.shape[1:]),)
                object.__setattr__(self, "forms", JsonForms(spec))
        object.__setattr__(self, "plain_shapes", shapes)
