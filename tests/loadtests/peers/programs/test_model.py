"""Rows that run together give each request what it would have been given alone."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from loadtests import bench_models
from tests.support import models


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module as a peer's program imports it."""
    path = tmp_path / "model.onnx"
    path.write_bytes(bench_models.dense((4, 3, 2)))
    for name, value in {"MODEL": str(path), "MODEL_NAME": "m", "PORT": "1", "WORKERS": "2"}.items():
        monkeypatch.setenv(f"PEER_{name}", value)
    return importlib.import_module("loadtests.peers.programs.model")


def test_requests_that_run_together_get_their_own_rows(module: ModuleType) -> None:
    """One row, three rows, and a request by itself."""
    model = module.Model()
    generator = np.random.default_rng(0)
    requests = [
        {"input": generator.standard_normal((rows, 4)).astype(np.float32)} for rows in (1, 3)
    ]

    together = model.run_together(requests)

    for request, answer in zip(requests, together, strict=True):
        np.testing.assert_allclose(answer["output"], model.run(request)["output"], rtol=1e-5)
    assert model.run_together(requests[:1])[0]["output"].shape == (1, 2)


def test_a_model_says_what_goes_in_and_comes_out(module: ModuleType) -> None:
    """The shape is of one row, as servers that batch want to be told."""
    model = module.Model()

    assert model.inputs == {"input": (np.float32, [4])}
    assert model.outputs == {"output": (np.float32, [2])}


def test_texts_may_come_as_bytes(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they do from servers that leave binary tensors as they are."""
    path = tmp_path / "texts.onnx"
    path.write_bytes(models.identity("BYTES", ("N", 1)))
    monkeypatch.setenv("PEER_MODEL", str(path))
    model = module.Model()
    (name,) = model.inputs
    (output,) = model.outputs

    answer = model.run({name: np.array([[b"a b"], [b"c"]], np.object_)})

    assert answer[output].tolist() == [["a b"], ["c"]]
    assert model.inputs[name] == (np.object_, [1])
