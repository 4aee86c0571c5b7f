"""Check a staged version before it may answer anybody.

Decides whether a version can be served, and whether its rows may share a batch with others':

* it opens, and its tensors have datatypes of the protocol;
* its golden rows come out as recorded, where there are any;
* a row's result does not depend on its batch-mates; a model that fails this is served unbatched.

Runs in a process of its own (`verifier.py`): a model may crash or hang while it is opened.
"""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from server.engine.session import Session
from server.errors import ModelFailed, ModelInvalid
from server.repository import samples
from server.repository.verdict import Verdict, VerificationOrder
from server.tensors import Array, Datatype, Signature, bf16_to_fp32, file_problem

RELATIVE_TOLERANCE = 1e-3
ABSOLUTE_TOLERANCE = 1e-5
"""Within these, float results are the same: kernels round differently for other batch sizes."""

_TIMED_RUNS = 5
_GOLDEN_FIX = "save golden.npz again from this model, or correct the model"


def verify(order: VerificationOrder) -> Verdict:
    """Check a version.

    Raises:
        ModelInvalid: it cannot be served; says why, and what would help.

    """
    session = Session.open(order.model_file, threads=order.threads)
    signature = session.signature
    if not signature.inputs or not signature.outputs:
        raise ModelInvalid(
            "the model has no inputs or no outputs", fix="export the model again, with both"
        )
    warnings: list[str] = []
    golden_rows, inputs = 0, None
    if order.golden_file is not None:
        inputs, golden_rows = _check_golden(session, order.golden_file)
    if inputs is None:
        inputs = _try_made_inputs(session)
    if inputs is None:
        warnings.append(
            "it could not be warmed up: no made-up input worked; add golden.npz beside the model"
        )
        return Verdict(
            signature, is_batched=False, batch_seconds=0.0, golden_rows=0, warnings=tuple(warnings)
        )
    is_batched = _may_batch(session, inputs, order, warnings)
    alone = samples.first_rows(inputs, 1) if is_batched else inputs
    samples.save(order.samples_file, signature, inputs)
    return Verdict(
        signature, is_batched, _median_seconds(session, alone), golden_rows, tuple(warnings)
    )


def _try_made_inputs(session: Session) -> list[Array] | None:
    for inputs in samples.made_inputs(session.signature):
        try:
            session.run(inputs)
        except ModelFailed:
            continue
        return inputs
    return None


def _check_golden(session: Session, path: Path) -> tuple[list[Array], int]:
    """Run the golden inputs and compare; return them and how many rows they hold."""
    signature = session.signature
    inputs, expected = _read_golden(path, signature)
    try:
        outputs = session.run(inputs)
    except ModelFailed as error:
        raise ModelInvalid(
            f"the model fails on its golden inputs: {str(error.__cause__)[:300]}", fix=_GOLDEN_FIX
        ) from None
    for spec, output in zip(signature.outputs, outputs, strict=True):
        if spec.name in expected:
            where = first_difference(output, expected[spec.name], spec.datatype)
            if where:
                raise ModelInvalid(
                    f"golden output '{spec.name}' is not what the model answers: {where}",
                    fix=_GOLDEN_FIX,
                )
    rows = len(inputs[0]) if inputs[0].ndim else 1
    return inputs, rows


def _read_golden(path: Path, signature: Signature) -> tuple[list[Array], dict[str, Array]]:
    """Return the golden inputs, in the signature's order, and the outputs to compare by name."""
    try:
        inputs = samples.load(path, signature)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            expected = {
                name.removeprefix("outputs/"): np.asarray(archive[name])
                for name in archive.files
                if name.startswith("outputs/")
            }
    except Exception as error:  # Any bytes may be in the file; zip and NumPy raise what they like.
        raise _unusable(file_problem(error)) from error
    problem = _golden_problem(inputs, expected, signature)
    if problem:
        raise _unusable(problem)
    return inputs, expected


def _unusable(problem: str) -> ModelInvalid:
    return ModelInvalid(
        f"golden.npz cannot be used: {problem[:200]}; it needs an array 'inputs/NAME' for "
        "each input and 'outputs/NAME' for the outputs to compare",
        fix=_GOLDEN_FIX,
    )


def _golden_problem(inputs: list[Array], expected: dict[str, Array], signature: Signature) -> str:
    if not expected:
        return "it has no outputs"
    if any(array.size == 0 for array in inputs):
        return "it has no rows"
    for name, array in expected.items():
        if name not in signature.output_index:
            return f"'outputs/{name}' is no output of the model"
        datatype = signature.outputs[signature.output_index[name]].datatype
        if array.dtype.kind not in ("U" if datatype.is_text else "biuf"):
            return f"'outputs/{name}' is {array.dtype}, the model's is {datatype.name}"
    return ""


def first_difference(got: Array, expected: Array, datatype: Datatype) -> str:
    """Return where two outputs differ by more than rounding, in words; empty if they agree."""
    if got.shape != expected.shape:
        return f"expected shape {list(expected.shape)}, got {list(got.shape)}"
    if datatype.is_float:
        if datatype.name == "BF16":
            got = bf16_to_fp32(got)
            expected = bf16_to_fp32(expected) if expected.dtype == np.uint16 else expected
        same = np.isclose(
            got.astype(np.float64),
            expected.astype(np.float64),
            rtol=RELATIVE_TOLERANCE,
            atol=ABSOLUTE_TOLERANCE,
            equal_nan=True,
        )
    else:
        same = np.asarray(got == expected)
    if same.all():
        return ""
    index = tuple(int(at) for at in np.argwhere(~same)[0])
    return f"expected {expected[index]!s}, got {got[index]!s} at {list(index)}"


def _may_batch(
    session: Session, inputs: list[Array], order: VerificationOrder, warnings: list[str]
) -> bool:
    if not session.signature.has_rows:
        warnings.append(
            "it is served unbatched: the first dimension of its tensors is fixed; export it with a "
            "free (dynamic) first dimension to have requests share batches"
        )
        return False
    if not order.may_batch:
        return False
    problem = _batch_dependence(session, inputs, order.max_rows)
    if problem:
        warnings.append(f"it is served unbatched: {problem}")
    return not problem


def _batch_dependence(session: Session, inputs: Sequence[Array], max_rows: int) -> str:
    """Say how rows depend on their batch-mates; empty if they do not."""
    rows = min(samples.SAMPLE_ROWS, max_rows)
    some = samples.first_rows(inputs, rows)
    try:
        alone = [session.run([array[row : row + 1] for array in some]) for row in range(rows)]
        for batch, what in (
            (some, "in a batch"),
            ([array[::-1].copy() for array in some], "in a batch of another order"),
            (samples.first_rows(some, max_rows), f"in a batch of {max_rows}"),
        ):
            order = list(range(rows))[:: -1 if what.endswith("order") else 1]
            outputs = session.run(batch)
            for index, spec in enumerate(session.signature.outputs):
                size = len(batch[0])
                if outputs[index].ndim == 0 or len(outputs[index]) != size:
                    return f"output '{spec.name}' does not have one row for each input row"
                for at, row in enumerate(order):
                    where = first_difference(
                        outputs[index][at : at + 1], alone[row][index], spec.datatype
                    )
                    if where:
                        return f"a row of output '{spec.name}' {what} is not what it is alone"
    except ModelFailed:
        return "it fails on batches of some sizes"
    return ""


def _median_seconds(session: Session, inputs: list[Array]) -> float:
    times = []
    for _ in range(_TIMED_RUNS):
        started = time.perf_counter()
        session.run(inputs)
        times.append(time.perf_counter() - started)
    return statistics.median(times)
