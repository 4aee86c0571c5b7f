"""One loaded ONNX model: open, describe, run. The only file that knows ONNX Runtime.

Decides how sessions are configured: one thread unless told otherwise, no spinning (a spinning
pool burns the cores that other workers need), CPU only, arena off (one large batch would hold
its memory until unload). A served file must be the staged copy, because ONNX Runtime maps
external data: whoever changes the file changes the live model.

Concurrency: ONNX Runtime's `run` may be called from several threads at once and lets go of the
interpreter lock; nothing else here changes after `open`. A `RunHandle` belongs to one run at a
time, and may be terminated from any thread.
Lifetime: memory is freed when the last reference goes; a running batch holds one.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from server.engine.recorder import Recording
from server.errors import ModelFailed, ModelInvalid
from server.tensors import BY_ONNX, Array, Signature, TensorSpec

VERSION: str = onnxruntime.__version__
_BF16_ONNX = 16  # TensorProto.BFLOAT16


class RunHandle:
    """What a run can be broken off by. One that was used for that breaks off every later run."""

    __slots__ = ("is_terminated", "label", "options")

    def __init__(self, label: str = "") -> None:
        self.label = label
        """What runs, for the log."""
        self.is_terminated = False
        self.options: Any = onnxruntime.RunOptions()

    def terminate(self) -> None:
        """Have the run end before its next node; a node that computes is not interrupted."""
        self.is_terminated = True
        self.options.terminate = True


class Session:
    """A model ready to run."""

    def __init__(self, session: Any, signature: Signature) -> None:
        self.signature = signature
        self.recording: Recording | None = None
        """What writes down its runs for the supervisor; set once, before the first of them."""
        self._session = session
        # The wrapper around this call checks names that never change here; for a small model that
        # costs as much as half the run.
        self._run = session._sess.run  # noqa: SLF001 - held by the lock file, and by the tests
        self._input_names = [spec.name for spec in signature.inputs]
        self._output_names = [spec.name for spec in signature.outputs]
        self._has_bf16 = any(
            spec.datatype.name == "BF16" for spec in (*signature.inputs, *signature.outputs)
        )

    @classmethod
    def open(cls, path: Path, *, threads: int = 1) -> "Session":
        """Open the model at `path` with `threads` threads for one run.

        Raises:
            ModelInvalid: ONNX Runtime refuses the file, or a tensor has a type we do not serve.

        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelInvalid(
                f"ONNX Runtime cannot load it: {_reason(error, path)}",
                fix="export the model again, and copy all of it, external data files included",
            ) from error
        signature = Signature(
            tuple(map(_describe, session.get_inputs())),
            tuple(map(_describe, session.get_outputs())),
        )
        opened = cls(session, signature)
        if opened._has_bf16 and any(spec.datatype.is_text for spec in signature.inputs):
            # The way for BF16 is ONNX Runtime's own values, and it makes none from our strings.
            raise ModelInvalid(
                "it takes BYTES and has BF16 tensors, which ONNX Runtime cannot run from Python",
                fix="cast the BF16 inputs and outputs to FP32 inside the model",
            )
        return opened

    def run(self, inputs: Sequence[Array], handle: RunHandle | None = None) -> list[Array]:
        """Run the model once on `inputs`, in the signature's order; return all outputs.

        `handle` may break it off.

        Raises:
            ModelFailed: ONNX Runtime raised, or the run was broken off; the cause holds its words.

        """
        feed = dict(zip(self._input_names, inputs, strict=True))
        options = None if handle is None else handle.options
        try:
            if self._has_bf16:
                return self._run_values(feed, options)
            outputs: list[Array] = self._run(self._output_names, feed, options)
        except Exception as error:
            raise ModelFailed("the model failed on this input") from error
        return outputs

    def _run_values(self, feed: dict[str, Array], options: Any) -> list[Array]:
        """Run with explicit element types, for BF16, which NumPy does not have."""
        values = {
            spec.name: onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(
                np.ascontiguousarray(feed[spec.name]), _BF16_ONNX
            )
            if spec.datatype.name == "BF16"
            else onnxruntime.OrtValue.ortvalue_from_numpy(feed[spec.name])
            for spec in self.signature.inputs
        }
        outputs = self._session.run_with_ort_values(self._output_names, values, options)
        return [
            _bits(value) if spec.datatype.name == "BF16" else value.numpy()
            for spec, value in zip(self.signature.outputs, outputs, strict=True)
        ]


def _bits(value: Any) -> Array:
    """Copy a BF16 value's bits out of ONNX Runtime, which offers no other way to read them."""
    shape = value.shape()
    raw = ctypes.string_at(value.data_ptr(), 2 * int(np.prod(shape, dtype=np.int64)))
    return np.frombuffer(raw, np.uint16).reshape(shape)


def _describe(node: Any) -> TensorSpec:
    datatype = BY_ONNX.get(node.type)
    if datatype is None:
        hint = (
            "export with zipmap=False, so that probabilities are a tensor"
            if node.type.startswith("seq(map(")
            else "give the model tensors of a datatype of the Open Inference Protocol"
        )
        raise ModelInvalid(f"'{node.name}' is {node.type}, which cannot be served", fix=hint)
    shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
    return TensorSpec(node.name, datatype, shape)


def _reason(error: Exception, path: Path) -> str:
    """Return ONNX Runtime's words without our paths, on one line, shortened."""
    text = str(error)
    for folder in (path.absolute().parent, path.resolve().parent):  # It looks behind links.
        text = text.replace(f"{folder}/", "").replace(str(folder), "")
    return " ".join(text.split())[:400]
