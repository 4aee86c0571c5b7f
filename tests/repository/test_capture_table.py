"""The table [capture] of model.toml is held to the model that it is about."""

import pytest

from server.errors import ModelInvalid
from server.monitoring.columns import layout_of
from server.repository.capture_table import CaptureTable, left_out
from server.tensors import DATATYPES, Signature, TensorSpec

SIGNATURE = Signature(
    (TensorSpec("x", DATATYPES["FP32"], (-1, 3)), TensorSpec("z", DATATYPES["FP32"], (-1, 2))),
    (TensorSpec("y", DATATYPES["FP32"], (-1, 2)),),
)
FEATURES = {"x": ["age", "sex", "bmi"]}


def found(*names: str) -> dict[str, tuple[int, ...]]:
    columns = {column.name: column for column in layout_of(SIGNATURE, FEATURES).inputs.columns}
    return left_out(CaptureTable(redact=list(names)), SIGNATURE, columns)


def test_names_become_places() -> None:
    """Features by name or by number, inputs and outputs whole."""
    assert found("bmi", "age", "z[1]", "y") == {"x": (2, 0), "z": (1,), "y": ()}
    assert found() == {}


def test_what_the_model_does_not_have_is_refused() -> None:
    """A feature that is misspelt would be written."""
    with pytest.raises(ModelInvalid, match="redacts 'agee', which is no feature") as caught:
        found("agee")

    assert caught.value.fix == "mend [capture] in model.toml"
