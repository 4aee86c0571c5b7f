"""One caller's request, from its body to its answer.

Decides how a call takes its answer and which outcome is counted for it. Does not know queues or
connections: who calls says, in a subclass, where the answer goes.

Concurrency: event loop only.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from server.dataplane.batch_columns import OK
from server.dataplane.served import ServedVersion
from server.dataplane.targets import Target
from server.errors import TidegateError
from server.protocol.answers import BatchOutputs, InferAnswer, Pieces
from server.protocol.infer_request import InferRequest
from server.protocol.request_headers import InferHeaders
from server.tensors import Data
from server.wire.record import prediction_id

CLIENT_GONE = "client_gone"


class Call(ABC):
    """One caller's request from its body to its answer; also its entry in the queue."""

    __slots__ = (
        "arrived",
        "body_bytes",
        "deadline",
        "headers",
        "is_gone",
        "is_plain",
        "marks",
        "number",
        "request",
        "rows",
        "served",
        "shape_key",
        "shapes",
        "target",
        "tensors",
    )

    arrived: float
    headers: InferHeaders
    target: Target
    served: ServedVersion
    body_bytes: int
    marks: int
    """What is special about it: see `batch_columns.py`."""
    number: int
    """That of its prediction id; set when its answer is known."""
    request: InferRequest
    is_plain: bool
    rows: int
    tensors: list[Data]
    shapes: tuple[tuple[int, ...], ...]
    shape_key: object
    deadline: float

    first_row = 0
    """The first of its rows within what its caller sent: a call holds all of them."""

    def __init__(self) -> None:
        self.is_gone = False

    def caller(self) -> str:
        """Return who asks, as quotas count."""
        return ""

    def prediction_id(self, tag: str) -> str:
        """Return the id by which its caller can speak of its rows later."""
        return self.headers.prediction_id or prediction_id(self.number, tag)

    def take(self, request: InferRequest, deadline: float) -> None:
        """Keep the decoded request, in the form in which the batcher reads it."""
        self.request = request
        self.is_plain = request.is_plain
        self.rows = request.rows
        self.tensors = request.tensors
        self.shapes = request.shapes
        self.shape_key = None if self.served.has_fixed_rows else row_shapes(request.shapes)
        self.deadline = deadline

    @abstractmethod
    def answered(self, answer: InferAnswer | Exception) -> None:
        """Take the answer or the error. Called once, and not after the caller has left."""

    def answered_json(self, body: bytes) -> None:
        """Take an answer that is all JSON; for callers who have a shorter way for it."""
        self.answered(InferAnswer(body))

    def answered_binary(self, pieces: Pieces, size: int) -> None:
        """Take an answer of JSON and binary tensors of `size` bytes, for the same callers."""
        del size
        self.answered(InferAnswer(b"".join(pieces), len(pieces[0])))

    def finish(
        self, outputs: BatchOutputs, first: int, number: int, bodies: Sequence[bytes] | None = None
    ) -> str:
        """Answer with the rows from `first` on; return the outcome to count.

        `number` is that of the prediction id. `bodies` holds an answer for each row of the batch,
        if they could be written at once.
        """
        if self.is_gone:
            return CLIENT_GONE
        self.number = number
        if bodies is not None and self.is_plain:
            self.answered_json(bodies[first])
            return OK
        request, writer = self.request, self.served.writer
        if request.is_binary and request.outputs is not None:
            written = writer.write_binary(request.outputs, outputs, first, self.rows)
            if written is not None:
                self.answered_binary(*written)
                return OK
        try:
            answer = writer.write(request, outputs, first, self.rows)
        except TidegateError as error:
            return self.fail(error)
        self.answered(answer)
        return OK

    def fail(self, error: TidegateError | None) -> str:
        """Answer with an error, or with nothing if the caller has left; return the outcome."""
        if error is None or self.is_gone:
            return CLIENT_GONE
        self.answered(error)
        return error.code


def row_shapes(shapes: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    """Return what must be equal for requests to share a batch: the shapes without the rows."""
    return tuple(shape[1:] for shape in shapes)
