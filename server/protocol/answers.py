"""Write inference answers of the V2 protocol: once per batch, then each caller's part.

Decides the bytes of an answer. The fixed text of a version's answers is put together once, the
numbers of a whole batch are turned to text in one call, and a caller's answer is a join of both.
Does not know HTTP beyond content type and Inference-Header-Content-Length.

JSON object members are in this order: model_name, model_version, id, parameters, outputs. Data is
flat.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from server.errors import NonFiniteOutput, OutputTooLarge
from server.protocol import binary_data, json_data
from server.protocol.infer_request import InferRequest
from server.tensors import Array, Datatype, Signature

JSON_TYPE = b"application/json"
BINARY_TYPE = b"application/octet-stream"


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

    __slots__ = ("_texts", "arrays", "row_bytes")

    def __init__(self, arrays: Sequence[Array], rows: int) -> None:
        self.arrays = arrays
        self.row_bytes = sum(array.nbytes for array in arrays) // max(rows, 1)
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
        self._one_row = self._one_row_template()

    def _one_row_template(self) -> bytes | None:
        """Return the whole answer for one row with holes for the data, if shapes are fixed."""
        fixed = all(spec.row_items is not None for spec in self._signature.outputs)
        if not (fixed and self._style.has_rows):
            return None
        outputs = b",".join(
            fragment.replace(b"%", b"%%")
            + b",".join(b"%d" % size for size in (1, *spec.shape[1:]))
            + b'],"data":[%b]}'
            for fragment, spec in zip(self._outputs, self._signature.outputs, strict=True)
        )
        return self._head.replace(b"%", b"%%") + b'"outputs":[' + outputs + b"]}"

    def write_single_rows(self, outputs: BatchOutputs) -> list[bytes] | None:
        """Write one answer for each row, for requests of one row that ask for nothing special.

        None if that cannot be done for all of them at once: shapes vary, or a row is not finite.
        """
        template = self._one_row
        if template is None or outputs.row_bytes > self._style.max_output_bytes:
            return None
        columns = []
        for index, spec in enumerate(self._signature.outputs):
            texts, bad_rows = outputs.texts(index, spec.datatype)
            if bad_rows:
                return None
            columns.append(texts)
        return [template % row for row in zip(*columns, strict=True)]

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
            shape = b",".join(b"%d" % size for size in sizes)
            parts += (separator, self._outputs[index], shape)
            if is_binary:
                data = binary_data.pack(array[first : first + rows])
                tail.append(data)
                parts.append(b'],"parameters":{"binary_data_size":%d}}' % len(data))
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
