"""Inputs to try a model with: recorded ones where there are, made ones where not.

Decides what is fed to a model before anybody asks it anything. Made inputs are small and
plain, because nothing is known of what the model expects; rows differ, so that a row that leaks
into another is seen.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from server.tensors import Array, Signature, TensorSpec, fp32_to_bf16

SAMPLE_ROWS = 8
_OPEN_SIZES = (1, 4, 16, 64, 224)
"""Sizes to try for dimensions that may have any."""


def made_inputs(signature: Signature, rows: int = SAMPLE_ROWS) -> Iterator[list[Array]]:
    """Yield inputs to try, one guess at the open dimensions after another."""
    is_open = any(size < 0 for spec in signature.inputs for size in spec.shape[1:])
    for size in _OPEN_SIZES if is_open else _OPEN_SIZES[:1]:
        yield [_made(spec, rows, size, seed) for seed, spec in enumerate(signature.inputs)]


def _made(spec: TensorSpec, rows: int, open_size: int, seed: int) -> Array:
    generator = np.random.default_rng(seed)
    shape = tuple(
        size if size >= 0 else (rows if at == 0 else open_size)
        for at, size in enumerate(spec.shape)
    )
    if spec.datatype.is_text:
        text = np.empty(shape, dtype=object)
        text[...] = "a"
        return text
    if spec.datatype.is_float:
        values = generator.standard_normal(shape, dtype=np.float32)
        if spec.datatype.name == "BF16":
            return fp32_to_bf16(values)
        return values.astype(spec.datatype.numpy)
    return generator.integers(0, 2, shape).astype(spec.datatype.numpy)


def first_rows(inputs: Sequence[Array], rows: int) -> list[Array]:
    """Return `rows` rows of batched inputs, repeating them if there are fewer."""
    return [
        np.concatenate([array] * -(-rows // len(array)))[:rows]
        if len(array) < rows
        else array[:rows]
        for array in inputs
    ]


def save(path: Path, signature: Signature, inputs: Sequence[Array]) -> None:
    """Write inputs to an .npz file; text as fixed-width Unicode, so that nothing is pickled.

    The file appears whole: models with the same files share it, and a worker may be reading it to
    warm one up while another is checked.
    """
    arrays = {
        f"inputs/{spec.name}": array.astype(np.str_) if array.dtype == object else array
        for spec, array in zip(signature.inputs, inputs, strict=True)
    }
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    os.replace(temporary, path)


def load(path: Path, signature: Signature) -> list[Array]:
    """Read what `save` wrote."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return [
            _as_spec(np.asarray(archive[f"inputs/{spec.name}"]), spec) for spec in signature.inputs
        ]


def _as_spec(array: Array, spec: TensorSpec) -> Array:
    return array.astype(object) if spec.datatype.is_text else array.astype(spec.datatype.numpy)
