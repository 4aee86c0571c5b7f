"""Signatures and contracts for tests of the protocol, without a model behind them."""

from server.protocol.contract import Contract
from server.tensors import DATATYPES, Signature, TensorSpec


def spec(datatype: str = "FP32", *shape: int, name: str = "x") -> TensorSpec:
    """Describe a tensor; without dimensions it has rows of three elements."""
    return TensorSpec(name, DATATYPES[datatype], shape or (-1, 3))


def scalar(datatype: str = "FP32", name: str = "x") -> TensorSpec:
    """Describe a tensor without dimensions."""
    return TensorSpec(name, DATATYPES[datatype], ())


def contract(
    *inputs: TensorSpec,
    outputs: tuple[TensorSpec, ...] = (),
    is_batched: bool = True,
    max_request_rows: int = 100,
) -> Contract:
    """Put a contract together; the one output is `y`, three numbers a row, unless given."""
    signature = Signature(inputs or (spec(),), outputs or (spec(name="y"),))
    return Contract(signature, is_batched, max_request_rows)
