"""Inference requests and answers of the Open Inference Protocol V2, JSON and binary.

Decides what a request says (which tensors, how many rows, which outputs in which form) and how
an answer is written. Told the model's contract; does not know how the model runs, which version
was meant, or what HTTP is beyond the value of Inference-Header-Content-Length.

Sources: Open Inference Protocol inference_rest.md; Triton extension_binary_data.md. An output that
is listed without `binary_data` is JSON even when `binary_data_output` is true, as Triton does.
"""

import math
import struct
from collections.abc import Sequence
from typing import Any

from server.errors import BadBinary, InvalidInput, InvalidRequest, PayloadTooLarge
from server.protocol import binary_data, json_data, priorities
from server.protocol.contract import Contract
from server.protocol.infer_request import InferRequest, Wanted
from server.protocol.parameters import check_parameters, flag, timeout_seconds
from server.tensors import Data, Signature, TensorSpec

MAX_INPUTS = 64
MAX_ID_CHARACTERS = 256
_NOTHING = memoryview(b"")
_R, _L = b"rl"


def decode(body: bytes, json_length: int | None, contract: Contract) -> InferRequest:
    """Read an inference request.

    `json_length` is the value of Inference-Header-Content-Length, None without that header, and 0
    for a raw request whose whole body is the one input's bytes.

    Raises:
        BadJson, BadBinary, InvalidRequest, InvalidInput, PayloadTooLarge: see `errors.py`.

    """
    if json_length is None:
        again = None if contract.forms is None else contract.forms.request(body)
        return _request(_document(body), body, _NOTHING, contract) if again is None else again
    if json_length == 0:
        return _decode_raw(body, contract)
    if json_length > len(body):
        raise BadBinary(
            f"Inference-Header-Content-Length is {json_length}, the body has {len(body)} bytes"
        )
    again = contract.heads.request(body, json_length)
    if again is not None:
        return again
    head, tail = body[:json_length], memoryview(body)[json_length:]
    document = _document(head)
    request = _request(document, head, tail, contract)
    contract.heads.keep(head, len(tail), document, request, contract.signature)
    return request


def _document(text: bytes) -> dict[str, Any]:
    document = json_data.load_json(text)
    if type(document) is not dict:
        raise InvalidRequest("the request must be a JSON object")
    return document


def _request(
    document: dict[str, Any], head: bytes, tail: memoryview, contract: Contract
) -> InferRequest:
    """Read a request from its JSON, whose text is `head`, and the bytes behind it."""
    signature = contract.signature
    plain = None if tail else _plain_row(document, head, contract)
    if plain is not None:
        request = plain
    else:
        tensors, shapes = _inputs(document.get("inputs"), tail, signature, _may_hold_bool(head))
        request = InferRequest(tensors, shapes, count_rows(shapes, contract))
    if len(document) > 1:
        _options(document, request, signature)
        if request.id is not None:
            request.is_plain = False
        elif request.outputs is not None:
            request.is_plain = False
            request.is_binary = all(is_binary for _, is_binary in request.outputs)
    if plain is not None and contract.forms is not None:
        contract.forms.keep(head, document, request)
    return request


def _may_hold_bool(text: bytes) -> bool:
    """Whether true or false may stand in JSON.

    Looked for in the bytes, rare letters first: looking at every element costs several times more.
    As a number, a letter is found in a tenth of the time that it takes as bytes.
    """
    return (_R in text and b"true" in text) or (_L in text and b"false" in text)


def _plain_row(document: dict[str, Any], body: bytes, contract: Contract) -> InferRequest | None:
    """Read the commonest request: one row for the only input, as a flat list of numbers.

    None for every other request, right or wrong: `_inputs` takes those, and finds the words for
    what is wrong. This is `_inputs` for one case, at a third of its price.
    """
    inputs = document.get("inputs")
    if contract.plain_shapes is None or type(inputs) is not list or len(inputs) != 1:
        return None
    item, spec = inputs[0], contract.signature.inputs[0]
    if type(item) is not dict or "parameters" in item or item.get("name") != spec.name:
        return None
    shape, data = item.get("shape"), item.get("data")
    if (
        item.get("datatype") != spec.datatype.name
        or type(shape) is not list
        or tuple(shape) != contract.plain_shapes[0]
        or type(shape[0]) is not int  # 1.0 and true are equal to 1.
        or type(shape[-1]) is not int
        or type(data) is not list
        or len(data) != spec.row_items
        or _may_hold_bool(body)
    ):
        return None
    try:
        return InferRequest([spec.pack_row(*data)], contract.plain_shapes, 1)
    except (struct.error, OverflowError):
        return None


def _inputs(
    inputs: object, tail: memoryview, signature: Signature, may_hold_bool: bool
) -> tuple[list[Data], tuple[tuple[int, ...], ...]]:
    if type(inputs) is not list or len(inputs) > MAX_INPUTS:
        raise InvalidRequest(f"'inputs' must be a list of at most {MAX_INPUTS} tensors")
    count = len(signature.inputs)
    tensors: list[Any] = [None] * count
    shapes: list[Any] = [None] * count
    taken = 0
    for item in inputs:
        index = _input_index(item, signature)
        if tensors[index] is not None:
            raise InvalidInput(f"input '{item['name']}' is given twice")
        spec = signature.inputs[index]
        shape = _shape(item, spec)
        size = _binary_size(item, spec)
        if size is None:
            data = json_data.pack(item.get("data"), spec, shape, may_hold_bool=may_hold_bool)
        else:
            if taken + size > len(tail):
                raise BadBinary(
                    f"input '{spec.name}': expected {size} binary bytes, "
                    f"{len(tail) - taken} are left in the body"
                )
            data = binary_data.unpack(tail[taken : taken + size], spec, shape)
            taken += size
        tensors[index], shapes[index] = data, shape
    if taken != len(tail):
        raise BadBinary(f"the body has {len(tail) - taken} bytes that belong to no input")
    if None in shapes:
        missing = ", ".join(
            f"'{spec.name}'"
            for spec, shape in zip(signature.inputs, shapes, strict=True)
            if shape is None
        )
        raise InvalidInput(f"the model also needs input {missing}")
    return tensors, tuple(shapes)


def _input_index(item: object, signature: Signature) -> int:
    if type(item) is not dict:
        raise InvalidRequest("each of 'inputs' must be an object")
    name = item.get("name")
    index = signature.input_index.get(name) if type(name) is str else None
    if index is None:
        known = ", ".join(f"'{spec.name}'" for spec in signature.inputs)
        raise InvalidInput(f"the model has no input '{_word(name)}'; its inputs are {known}")
    return index


def _word(value: object) -> str:
    """Name what stands where a word is due. A nested list can be too deep for `str`."""
    return value[:64] if type(value) is str else json_data.kind(value)


def _shape(item: dict[str, Any], spec: TensorSpec) -> tuple[int, ...]:
    if item.get("datatype") != spec.datatype.name:
        raise InvalidInput(
            f"input '{spec.name}': the model expects datatype {spec.datatype.name}, "
            f"got {_word(item.get('datatype'))}"
        )
    shape = item.get("shape")
    # The common case without the general check: a free first dimension, the rest as it must be.
    if (
        type(shape) is list
        and shape[1:] == spec.row_trail
        and set(map(type, shape)) == _INT
        and spec.shape[0] < 0 <= shape[0]
    ):
        return tuple(shape)
    return spec.check_shape(shape)


_INT = {int}


def _binary_size(item: dict[str, Any], spec: TensorSpec) -> int | None:
    """Return the announced size of a binary input, or None when its data is in the JSON."""
    parameters = item.get("parameters")
    size = None
    if parameters is not None:
        check_parameters(parameters, f"input '{spec.name}'")
        size = parameters.get("binary_data_size")
    if size is None:
        if item.get("data") is None:
            raise InvalidInput(f"input '{spec.name}' has neither data nor binary_data_size")
        return None
    if type(size) is not int or size < 0:
        raise BadBinary(f"input '{spec.name}': binary_data_size must be a whole number of bytes")
    if item.get("data") is not None:
        raise InvalidInput(f"input '{spec.name}' has both data and binary_data_size")
    return size


def count_rows(shapes: Sequence[tuple[int, ...]], contract: Contract) -> int:
    """Return how many rows the inputs of a request have; 1 where rows have no meaning.

    Raises:
        InvalidInput: the inputs do not have the same number of rows.
        PayloadTooLarge: they have more than a request may have.

    """
    if not contract.is_batched:
        return 1
    rows = shapes[0][0]
    if len(shapes) > 1:
        for spec, shape in zip(contract.signature.inputs, shapes, strict=True):
            if shape[0] != rows:
                raise InvalidInput(
                    f"input '{spec.name}' has {shape[0]} rows, "
                    f"input '{contract.signature.inputs[0].name}' has {rows}"
                )
    if rows > contract.max_request_rows:
        raise PayloadTooLarge(
            f"a request may hold {contract.max_request_rows} rows, got {rows}; send several"
        )
    return rows


def _options(document: dict[str, Any], request: InferRequest, signature: Signature) -> None:
    identity = document.get("id")
    if identity is not None:
        if type(identity) is not str or len(identity) > MAX_ID_CHARACTERS:
            raise InvalidRequest(f"'id' must be a string of at most {MAX_ID_CHARACTERS} characters")
        request.id = identity or None
    parameters = document.get("parameters")
    all_binary = False
    if parameters is not None:
        check_parameters(parameters, "the request")
        all_binary = flag(parameters, "binary_data_output", "the request")
        request.timeout_seconds = timeout_seconds(parameters.get("timeout"))
        request.priority = priorities.in_body(parameters.get("priority"))
    outputs = document.get("outputs")
    if outputs:
        request.outputs = _outputs(outputs, signature)
    elif outputs is not None and type(outputs) is not list:
        raise InvalidRequest("'outputs' must be a list")
    elif all_binary:
        request.outputs = tuple((index, True) for index in range(len(signature.outputs)))


def _outputs(outputs: object, signature: Signature) -> Wanted:
    if type(outputs) is not list:
        raise InvalidRequest("'outputs' must be a list")
    wanted: dict[int, bool] = {}
    for item in outputs:
        name = item.get("name") if type(item) is dict else None
        index = signature.output_index.get(name) if type(name) is str else None
        if index is None:
            known = ", ".join(f"'{spec.name}'" for spec in signature.outputs)
            raise InvalidRequest(
                f"the model has no output '{_word(name)}'; its outputs are {known}"
            )
        if index in wanted:
            raise InvalidRequest(f"output '{name}' is asked for twice")
        parameters = item.get("parameters")
        if parameters is not None:
            check_parameters(parameters, f"output '{name}'")
        wanted[index] = flag(parameters or {}, "binary_data", f"output '{name}'")
    return tuple(sorted(wanted.items()))


def _decode_raw(body: bytes, contract: Contract) -> InferRequest:
    """Read a raw request: the whole body is the one input's elements, for one row."""
    inputs = contract.signature.inputs
    if len(inputs) != 1:
        raise BadBinary(f"a raw request needs a model with one input, this one has {len(inputs)}")
    spec = inputs[0]
    raw = memoryview(body)
    shape = _raw_shape(raw, spec, contract)
    if spec.datatype.is_text:  # The body is the bare string; the protocol adds its length.
        raw = memoryview(len(body).to_bytes(4, "little") + body)
    data = binary_data.unpack(raw, spec, shape)
    everything = tuple((index, True) for index in range(len(contract.signature.outputs)))
    rows = count_rows((shape,), contract)
    return InferRequest([data], (shape,), rows, outputs=everything, is_plain=False, is_binary=True)


def _raw_shape(raw: memoryview, spec: TensorSpec, contract: Contract) -> tuple[int, ...]:
    """Work out the shape that a raw body must have: at most one dimension may be open."""
    sizes = [1, *spec.shape[1:]] if contract.is_batched else list(spec.shape)
    open_sizes = [at for at, size in enumerate(sizes) if size < 0]
    if len(open_sizes) > 1 or (spec.datatype.is_text and math.prod(sizes) not in (1, -1)):
        raise BadBinary(f"input '{spec.name}': shape {list(spec.shape)} is too open for raw bytes")
    if open_sizes:
        others = math.prod(size for size in sizes if size >= 0)
        item = 0 if spec.datatype.is_text else others * spec.datatype.item_bytes
        sizes[open_sizes[0]] = len(raw) // item if item else 1
    return tuple(sizes)
