"""JSON requests that differ from one that was read before in their numbers only.

A client writes the same text around the numbers of each request: names, datatype, shape. What that
text says is the same each time, so of a request with the same text only the list of numbers is
parsed. Decides which texts are worth keeping, and how many. Pure: a request whose text is not found
here is read as if nobody had kept any.

JSON is free of context: if a document is valid with one value in a place, it is valid with every
other value there, and says the same around it.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from server.protocol.infer_request import InferRequest
from server.tensors import TensorSpec

_DATA = b'"data"'
_R, _L = b"rl"
_MAX_TEXT_BYTES = 1024
_NEAR = len(_DATA) + 8
"""How far behind the word the numbers begin; there are a colon and perhaps some space between."""
_MAX_FORMS = 64
"""Then no more are kept: clients who write another text each time would only cost time here."""


@dataclass(frozen=True, slots=True)
class JsonForm:
    """The text around the numbers of a request of one row, and what it says."""

    before: bytes
    after: bytes
    read: InferRequest
    """The request that it was first read from."""


class JsonForms:
    """The forms of requests to one model whose only input has rows of a fixed number of numbers."""

    def __init__(self, spec: TensorSpec) -> None:
        self._spec = spec
        self._forms: dict[bytes, JsonForm] = {}
        self._last: JsonForm | None = None
        """The form of the last request, which is tried first."""

    def request(self, body: bytes) -> InferRequest | None:
        """Return the request that a body is, if its form is known and its numbers are good."""
        form = self._last
        if form is None or not body.startswith(form.before):
            form = self._forms.get(body[: max(0, _numbers_at(body))])
            if form is None:
                return None
            self._last = form
        if not body.endswith(form.after):
            return None
        numbers = body[len(form.before) : len(body) - len(form.after)]
        # They may be of true or false, which `struct` would take for numbers.
        if _R in numbers or _L in numbers:
            return None
        try:
            packed = self._spec.pack_row(*orjson.loads(numbers))
        except (orjson.JSONDecodeError, struct.error, OverflowError):
            return None
        return form.read.with_tensors([packed])

    def keep(self, body: bytes, document: Mapping[str, Any], request: InferRequest) -> None:
        """Keep the form of a good request of one row, if it may come again: not with an id."""
        if request.id is not None or len(self._forms) >= _MAX_FORMS:
            return
        start = _numbers_at(body)
        if start < 0:
            return
        before, after = body[:start], body[body.find(b"]", start) + 1 :]
        if before in self._forms or len(after) > _MAX_TEXT_BYTES:
            return
        marked = {**document, "inputs": [{**document["inputs"][0], "data": 0}]}
        try:
            is_there = orjson.loads(before + b"0" + after) == marked
        except orjson.JSONDecodeError:
            return
        if is_there:
            self._forms[before] = JsonForm(before, after, request.with_tensors([]))


def _numbers_at(body: bytes) -> int:
    """Return where the numbers seem to begin; -1 if nothing looks like it."""
    name = body.find(_DATA, 0, _MAX_TEXT_BYTES)
    return body.find(b"[", name, name + _NEAR) if name >= 0 else -1
