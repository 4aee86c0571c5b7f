"""JSON heads of binary requests that were read before.

A client sends the same head with every request of one shape: its numbers are in the bytes behind
it. What such a head says is the same each time, so it is read once. Decides which heads are worth
keeping, and how many. Pure: a head that is not found here is read as if nobody had kept any.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.protocol import binary_data
from server.protocol.infer_request import InferRequest
from server.tensors import Signature, TensorSpec

_MAX_HEAD_BYTES = 2048
_MAX_HEADS = 64
_COPIED_BYTES = 4096


@dataclass(frozen=True, slots=True)
class BinaryHead:
    """What a head says of a request all of whose inputs are binary."""

    places: tuple["Place", ...]
    body_bytes: int
    """Of the head and all that it announces."""
    read: InferRequest
    """The request that it was first read from, without its tensors."""


Place = tuple[int, int, int, TensorSpec | None]
"""Where an input lies: its number in the signature, its first byte in the body and the one after
its last. The specification if its bytes must be looked at; of others the number is enough, and that
was right when the head was read first."""


class BinaryHeads:
    """The heads of one model's requests; bounded, and begun anew when full."""

    def __init__(self) -> None:
        self._heads: dict[bytes, BinaryHead] = {}

    def request(self, body: bytes, json_length: int) -> InferRequest | None:
        """Return the request that a body is, if its head is known and announces all the rest.

        Raises:
            InvalidInput: the rest is not what datatype and shape promise.

        """
        known = self._heads.get(body[:json_length])
        if known is None or known.body_bytes != len(body):
            return None
        # Of little, a copy costs less than a view; views of much are not copied before the batch.
        whole = body if len(body) <= _COPIED_BYTES else memoryview(body)
        read = known.read
        tensors: list[Any] = [None] * len(known.places)
        for index, start, end, looked_at in known.places:
            tensors[index] = whole[start:end]
            if looked_at is not None:
                raw = memoryview(body)[start:end]
                tensors[index] = binary_data.unpack(raw, looked_at, read.shapes[index])
        return read.with_tensors(tensors)

    def keep(
        self,
        head: bytes,
        tail_bytes: int,
        document: Mapping[str, Any],
        request: InferRequest,
        signature: Signature,
    ) -> None:
        """Keep what a head says, if it may come again: all inputs binary, no id, not long."""
        places = _places(document, signature, len(head))
        if not places or request.id is not None or len(head) > _MAX_HEAD_BYTES:
            return
        if len(self._heads) >= _MAX_HEADS:
            self._heads.clear()
        self._heads[head] = BinaryHead(places, len(head) + tail_bytes, request.with_tensors([]))


def _places(document: Mapping[str, Any], signature: Signature, start: int) -> tuple[Place, ...]:
    """Return where the inputs of a good request lie in its body; nothing if not all are binary.

    The first begins at `start`, behind the head.
    """
    places: list[Place] = []
    for item in document["inputs"]:
        size = (item.get("parameters") or {}).get("binary_data_size")
        if size is None:
            return ()
        index = signature.input_index[item["name"]]
        spec = signature.inputs[index]
        is_looked_at = spec.datatype.name in ("BOOL", "BYTES")
        places.append((index, start, start + size, spec if is_looked_at else None))
        start += size
    return tuple(places)
