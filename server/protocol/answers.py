"""Write inference answers of the V2 protocol: once per batch, then each caller's part.

Decides the bytes of an answer. The fixed text of a version's answers is put together once, the
numbers of a whole batch are turned to text in one call, and a caller's answer is a join of both.
Does not know HTTP beyond content type and Inference-Header-Content-Length.

JSON object members are in this order: model_name, model_version, id, parameters, outputs. Data is
flat.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from server.errors import NonFiniteOutput, OutputTooLarge
from server.protocol import binary_data, json_data
from server.protocol.infer_request import InferRequest, Wanted
from server.tensors import Array, Datatype, Signature

JSON_TYPE = b"application/json"
BINARY_TYPE = b"application/octet-stream"

Pieces = list[bytes | memoryview]
"""An answer in binary: its JSON, then the bytes of each tensor."""

BinaryForm = tuple[bytes, int, tuple[tuple[int, int], ...]]
"""What binary answers of so many rows, to those who want the same outputs, have in common: the
JSON; the size of all; of each tensor, its number in the signature and the bytes of a row. If the
model has text, whose size is never known: a template with holes for the sizes of text, and 0."""

_MAX_BINARY_FORMS = 256
_COPIED_BYTES = 16384
"""To copy so little of a batch costs less than to look at it where it lies."""


@dataclass(frozen=True, slots=True)
class InferAnswer:
    """The body of a successful answer."""

    body: bytes
    json_length: int | None = None
    """Length of the JSON part when binary tensors follow it; None: everything is JSON."""


@dataclass(frozen=True, slots=True)
class AnswerStyle:
    """What a model's settings say about its answers."""

    has_rows: bool = True
    """Whether outputs are cut into callers' rows; otherwise row 0 is one caller's whole output."""
    non_finite_tokens: bool = False
    """Write NaN and infinity as bare tokens; otherwise they are NonFiniteOutput."""
    max_output_bytes: int = 64 << 20


class BatchOutputs:
    """The outputs of one run of a model, from which each caller takes its rows.

    Text is made on first use and kept, so it is made once however many callers share the batch.
    """

    __slots__ = ("_texts", "arrays", "raws", "row_bytes")

    def __init__(self, arrays: Sequence[Array], rows: int) -> None:
        self.arrays = arrays
        self.row_bytes = sum([array.nbytes for array in arrays]) // max(rows, 1)
        self.raws: list[Any] | None = None
        """Each output in binary, made once for all callers: see `AnswerWriter.write_binary`."""
        self._texts: list[tuple[list[bytes], list[int]] | None] = [None] * len(arrays)

    def texts(self, index: int, datatype: Datatype) -> tuple[list[bytes], list[int]]:
        """Return each row of an output as JSON text, and the rows that hold NaN or infinity."""
        texts = self._texts[index]
        if texts is None:
            texts = self._texts[index] = json_data.row_texts(self.arrays[index], datatype)
        return texts


class AnswerWriter:
    """Write the answers of one version of a model."""

    def __init__(self, model: str, version: str, signature: Signature, style: AnswerStyle) -> None:
        self._signature = signature
        self._style = style
        self._everything = tuple((index, False) for index in range(len(signature.outputs)))
        name, number = orjson.dumps(model), orjson.dumps(version)
        self._head = b'{"model_name":' + name + b',"model_version":' + number + b","
        self._outputs = [
            b'{"name":'
            + orjson.dumps(spec.name)
            + b',"datatype":"'
            + spec.datatype.name.encode()
            + b'","shape":['
            for spec in signature.outputs
        ]
        self._trails: list[tuple[int, ...]] | None = None
        """What follows the rows in the shape of each output; None if that varies."""
        if style.has_rows and all(spec.row_items is not None for spec in signature.outputs):
            self._trails = [spec.shape[1:] for spec in signature.outputs]
        self._has_text = any(spec.datatype.is_text for spec in signature.outputs)
        self._one_row = self._one_row_template()
        self._binary_forms: dict[tuple[Wanted, int], BinaryForm] = {}

    def _one_row_template(self) -> bytes | None:
        """Return the whole answer for one row with holes for the data, if shapes are fixed."""
        if self._trails is None:
            return None
        outputs = b",".join(
            _literal(fragment) + _dimensions((1, *spec.shape[1:])) + b'],"data":[%b]}'
            for fragment, spec in zip(self._outputs, self._signature.outputs, strict=True)
        )
        return _literal(self._head) + b'"outputs":[' + outputs + b"]}"

    def write_single_rows(self, outputs: BatchOutputs) -> list[bytes] | None:
        """Write one answer for each row, for requests of one row that ask for nothing special.

        None if that cannot be done for all of them at once: shapes vary, or a row is not finite.
        """
        template = self._one_row
        if template is None or not self._is_as_declared(outputs):
            return None
        if outputs.row_bytes > self._style.max_output_bytes:
            return None
        columns = []
        for index, spec in enumerate(self._signature.outputs):
            texts, bad_rows = outputs.texts(index, spec.datatype)
            if bad_rows:
                return None
            columns.append(texts)
        return [template % row for row in zip(*columns, strict=True)]

    def _is_as_declared(self, outputs: BatchOutputs) -> bool:
        """Whether rows have the declared shapes; ONNX Runtime lets models answer in others."""
        return [array.shape[1:] for array in outputs.arrays] == self._trails

    def write_binary(
        self, wanted: Wanted, outputs: BatchOutputs, first: int, rows: int
    ) -> tuple[Pieces, int] | None:
        """Write the answer to a request that asks for nothing but binary outputs; tell its size.

        Many numbers are views of the batch's arrays: nothing is copied. None if that cannot be
        done: shapes vary, there are no bytes at all, or it is too large. `write` has the words.
        """
        raws = outputs.raws
        if raws is None:
            raws = outputs.raws = self._raws(outputs)
        if not raws or outputs.row_bytes * rows > self._style.max_output_bytes:
            return None
        form = self._binary_forms.get((wanted, rows))
        if form is None:
            form = self._binary_form(wanted, rows)
        head, size, cuts = form
        if self._has_text:
            return _with_text(form, raws, first, rows)
        pieces: Pieces = [head]
        for index, row_bytes in cuts:
            pieces.append(raws[index][first * row_bytes : (first + rows) * row_bytes])
        return pieces, size

    def _raws(self, outputs: BatchOutputs) -> list[Any]:
        """Return outputs in binary; none if rows are not as declared, or have no bytes."""
        arrays = outputs.arrays
        if not self._is_as_declared(outputs) or not all(array.nbytes for array in arrays):
            return []
        return [_raw(array) for array in arrays]

    def _binary_form(self, wanted: Wanted, rows: int) -> BinaryForm:
        """Return what answers of so many rows have in common, and keep it."""
        outputs, cuts = [], []
        for index, _ in wanted:
            spec = self._signature.outputs[index]
            assert spec.row_items is not None, "rows as declared are of one size"
            row_bytes = 0 if spec.datatype.is_text else spec.row_items * spec.datatype.item_bytes
            cuts.append((index, row_bytes))
            shape = _dimensions((rows, *spec.shape[1:]))
            size = b"%d" % (rows * row_bytes) if row_bytes else b"%d"
            outputs.append(_literal(self._outputs[index]) + shape + _BINARY_SIZE % size)
        head = _literal(self._head) + b'"outputs":[' + b",".join(outputs) + b"]}"
        if not self._has_text:
            head %= ()
        size_bytes = len(head) + rows * sum(row_bytes for _, row_bytes in cuts)
        if len(self._binary_forms) >= _MAX_BINARY_FORMS:
            self._binary_forms.clear()
        self._binary_forms[wanted, rows] = form = head, size_bytes, tuple(cuts)
        return form

    def write(
        self, request: InferRequest, outputs: BatchOutputs, first: int, rows: int
    ) -> InferAnswer:
        """Write the answer to `request`, whose rows are `first` to `first + rows` of the batch.

        Raises:
            NonFiniteOutput: a JSON output holds NaN or infinity and the style forbids it.
            OutputTooLarge: the answer's tensors are larger than the style allows.

        """
        self.check_size(outputs, rows)
        parts = [self._head]
        if request.id is not None:
            parts += (b'"id":', orjson.dumps(request.id), b",")
        if request.warnings:
            parts += (b'"parameters":{"warnings":', orjson.dumps(request.warnings), b"},")
        parts.append(b'"outputs":[')
        tail: list[bytes] = []
        separator = b""
        for index, is_binary in request.outputs or self._everything:
            array = outputs.arrays[index]
            sizes = (rows, *array.shape[1:]) if self._style.has_rows else array.shape[1:]
            parts += (separator, self._outputs[index], _dimensions(sizes))
            if is_binary:
                data = binary_data.pack(array[first : first + rows])
                tail.append(data)
                parts.append(_BINARY_SIZE % b"%d" % len(data))
            else:
                parts += (b'],"data":[', self._text(outputs, index, first, rows), b"]}")
            separator = b","
        parts.append(b"]}")
        head = b"".join(parts)
        if any(tail):
            return InferAnswer(b"".join((head, *tail)), len(head))
        return InferAnswer(head)

    def check_size(self, outputs: BatchOutputs, rows: int) -> None:
        """Refuse an answer whose tensors are larger than the style allows.

        Raises:
            OutputTooLarge: they are.

        """
        if outputs.row_bytes * rows > self._style.max_output_bytes:
            raise OutputTooLarge(
                f"the model's answer is larger than {self._style.max_output_bytes} bytes"
            )

    def _text(self, outputs: BatchOutputs, index: int, first: int, rows: int) -> bytes:
        texts, bad_rows = outputs.texts(index, self._signature.outputs[index].datatype)
        if bad_rows and not self._style.non_finite_tokens:
            bad = [row for row in bad_rows if first <= row < first + rows]
            if bad:
                name = self._signature.outputs[index].name
                raise NonFiniteOutput(
                    f"output '{name}' is NaN or infinite in row {bad[0] - first}; "
                    "JSON cannot carry that: ask for binary_data, or set non_finite = 'token'"
                )
        if rows == 1:
            return texts[first]
        own = texts[first : first + rows]
        # Rows without any elements have no text either, and nothing stands between them.
        return b",".join(own) if own and own[0] else b""


_BINARY_SIZE = b'],"parameters":{"binary_data_size":%b}}'


def _literal(text: bytes) -> bytes:
    """Return a text as it stands in a template."""
    return text.replace(b"%", b"%%")


def _raw(array: Array) -> bytes | memoryview | list[bytes]:
    """Return the elements of an output in binary; of text, those of each row."""
    if array.dtype == object:
        return [binary_data.pack(row) for row in array.reshape(len(array), -1)]
    if array.nbytes <= _COPIED_BYTES:
        return array.tobytes()
    return array.reshape(-1).view(np.uint8).data


def _with_text(form: BinaryForm, raws: list[Any], first: int, rows: int) -> tuple[Pieces, int]:
    """Put an answer together in which there may be text."""
    pieces: Pieces = [b""]
    sizes = []
    for index, row_bytes in form[2]:
        if row_bytes:
            pieces.append(raws[index][first * row_bytes : (first + rows) * row_bytes])
        else:
            pieces.append(b"".join(raws[index][first : first + rows]))
            sizes.append(len(pieces[-1]))
    pieces[0] = form[0] % tuple(sizes)
    return pieces, sum(map(len, pieces))


def _dimensions(sizes: Sequence[int]) -> bytes:
    return b",".join([b"%d" % size for size in sizes])
