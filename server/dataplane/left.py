"""A member of a batch who waits for it no more: it keeps the place of its rows, and takes nothing.

Its deadline passed while the batch ran, and it was told so; or it was moved to another version.

Concurrency: event loop only.
"""

from collections.abc import Sequence

from server.dataplane.call import CLIENT_GONE, Call
from server.dataplane.parts import Part
from server.errors import TidegateError
from server.protocol.answers import BatchOutputs
from server.tensors import Data

EntryInBatch = Call | Part


class Left:
    """In a finished batch, instead of the call or part that was there."""

    __slots__ = ("arrived", "deadline", "rows", "shape_key", "shapes")

    def __init__(self, entry: EntryInBatch) -> None:
        self.arrived = entry.arrived
        self.deadline = entry.deadline
        self.rows = entry.rows
        self.shape_key = entry.shape_key
        self.shapes = entry.shapes

    body_bytes = 0
    """What its caller sent was given back when it was told, or is held where it waits now."""
    first_row = 0
    is_gone = True
    is_plain = False
    marks = 0
    tensors: tuple[Data, ...] = ()

    def prediction_id(self, tag: str) -> str:
        """Return no id: nobody was told one."""
        del tag
        return ""

    def finish(
        self, outputs: BatchOutputs, first: int, number: int, bodies: Sequence[bytes] | None = None
    ) -> str:
        """Throw the answer away; who it was for has been counted."""
        del outputs, first, number, bodies
        return CLIENT_GONE

    def fail(self, error: TidegateError | None) -> str:
        """Hear that the batch failed."""
        del error
        return CLIENT_GONE
