"""What the protocol says about servers and models, member by member."""

import pytest

import server
from server.protocol import metadata
from server.settings import ModelSettings
from server.tensors import DATATYPES, Signature
from tests.support.contracts import spec

SIGNATURE = Signature((spec(), spec("BYTES", -1, 1, name="name")), (spec("INT64", -1, name="y"),))


def test_the_server_describes_itself() -> None:
    """Name, version and the extensions that it has; no others."""
    assert metadata.server_metadata() == {
        "name": "tidegate",
        "version": server.__version__,
        "extensions": [
            "binary_tensor_data",
            "model_configuration",
            "model_repository",
            "model_repository(unload_dependents)",
            "parameters",
            "statistics",
        ],
    }


def test_health_bodies_have_what_every_client_reads() -> None:
    """KServe's client reads `live` and `ready`; an empty body would break it."""
    assert metadata.live() == {"live": True}
    assert metadata.ready("") == {"live": True, "ready": True}
    assert metadata.model_ready("m", "") == {"name": "m", "ready": True}


def test_what_is_not_ready_says_why() -> None:
    """Beside what every client reads."""
    assert metadata.ready("for this") == {"live": True, "ready": False, "reason": "for this"}
    assert metadata.model_ready("m", "or that") == {
        "name": "m",
        "ready": False,
        "reason": "or that",
    }


def test_a_model_describes_its_tensors() -> None:
    """Versions are strings, -1 is a free dimension, features stand where they are known."""
    described = metadata.model_metadata("m", ("1", "2"), SIGNATURE, {"x": ["a", "b", "c"]})

    assert described == {
        "name": "m",
        "versions": ["1", "2"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {
                "name": "x",
                "datatype": "FP32",
                "shape": [-1, 3],
                "parameters": {"features": ["a", "b", "c"]},
            },
            {"name": "name", "datatype": "BYTES", "shape": [-1, 1]},
        ],
        "outputs": [{"name": "y", "datatype": "INT64", "shape": [-1]}],
    }


def test_the_configuration_of_a_batched_model() -> None:
    """In Triton's words: dims without the batch dimension, what the settings say."""
    settings = ModelSettings(max_rows=32, max_delay_ms=1.5, queue_rows=99, threads=2, instances=3)

    assert metadata.model_config("m", settings, SIGNATURE, is_batched=True) == {
        "name": "m",
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": 32,
        "input": [
            {"name": "x", "data_type": "TYPE_FP32", "dims": [3]},
            {"name": "name", "data_type": "TYPE_STRING", "dims": [1]},
        ],
        "output": [{"name": "y", "data_type": "TYPE_INT64", "dims": []}],
        "instance_group": [{"name": "m", "kind": "KIND_CPU", "count": 3}],
        "default_model_filename": "model.onnx",
        "parameters": {"intra_op_thread_count": {"string_value": "2"}},
        "model_transaction_policy": {"decoupled": False},
        "dynamic_batching": {
            "max_queue_delay_microseconds": 1500,
            "preserve_ordering": True,
            "default_queue_policy": {"max_queue_size": 99},
        },
    }


def test_the_configuration_of_an_unbatched_model() -> None:
    """Triton's sign for that is a max_batch_size of 0, and dims are whole shapes."""
    config = metadata.model_config("m", ModelSettings(), SIGNATURE, is_batched=False)

    assert config["max_batch_size"] == 0
    assert config["input"][0]["dims"] == [-1, 3]
    assert "dynamic_batching" not in config


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("latest:2", {"latest": {"num_versions": 2}}),
        ("all", {"all": {}}),
        ("specific:1,3", {"specific": {"versions": [1, 3]}}),
    ],
)
def test_the_version_policy_is_told_in_tritons_form(
    policy: str, expected: dict[str, object]
) -> None:
    """One member, named after the kind."""
    settings = ModelSettings(version_policy=policy)

    config = metadata.model_config("m", settings, SIGNATURE, is_batched=True)
    assert config["version_policy"] == expected


def test_every_datatype_has_a_name_in_the_configuration() -> None:
    """TYPE_ and the protocol's word, but TYPE_STRING for BYTES."""
    signature = Signature(tuple(spec(name, name=name) for name in DATATYPES), (spec(name="y"),))

    inputs = metadata.model_config("m", ModelSettings(), signature, is_batched=True)["input"]
    assert {tensor["name"]: tensor["data_type"] for tensor in inputs} == {
        name: "TYPE_STRING" if name == "BYTES" else f"TYPE_{name}" for name in DATATYPES
    }
