"""What a Triton config.pbtxt means here: settings, warnings, and refusals."""

from typing import Any

import pytest

from server.errors import ModelInvalid
from server.repository.triton_config import TritonConfig, read

NO_EFFECT = "config.pbtxt: {} has no effect here"

DENSENET = """
name: "densenet_onnx"
platform: "onnxruntime_onnx"
max_batch_size : 0
input [
  {
    name: "data_0"
    data_type: TYPE_FP32
    format: FORMAT_NCHW
    dims: [ 3, 224, 224 ]
    reshape { shape: [ 1, 3, 224, 224 ] }
  }
]
output [
  {
    name: "fc6_1"
    data_type: TYPE_FP32
    dims: [ 1000 ]
    reshape { shape: [ 1, 1000, 1, 1 ] }
    label_filename: "densenet_labels.txt"
  }
]
"""

BATCHED = """
# A model served with everything that has a meaning here.
name: "classifier"
backend: "onnxruntime"
max_batch_size: 128
default_model_filename: "classifier.onnx"
input { name: "x" data_type: TYPE_FP32 dims: 30 }
output { name: "y" data_type: TYPE_FP32 dims: [ 1 ] }
dynamic_batching {
  preferred_batch_size: [ 4, 8 ]
  max_queue_delay_microseconds: 1500
  preserve_ordering: true
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: 100000
    max_queue_size: 256
  }
  priority_levels: 2
}
instance_group [ { count: 2 kind: KIND_CPU }, { kind: KIND_CPU name: "more" } ]
version_policy: { latest { num_versions: 3 } }
parameters { key: "intra_op_thread_count" value: { string_value: "4" } }
parameters: { key: "execution_mode", value: { string_value: "1" } }
"""

EVERYTHING_ELSE = """
platform: "onnxruntime_onnx"
optimization {
  graph { level: 1 }
  execution_accelerators { cpu_execution_accelerator: [ { name: "openvino" } ] }
}
model_warmup [
  { name: "one" batch_size: 1 inputs { key: "x" value { data_type: TYPE_FP32 random_data: true } } }
]
sequence_batching { max_sequence_idle_microseconds: 5000000 }
response_cache { enable: true }
model_transaction_policy { decoupled: false }
cc_model_filenames [ { key: "7.5" value: "model75.onnx" } ]
instance_group [
  { count: 1 kind: KIND_GPU gpus: [ 0 ] },
  { count: 1 kind: KIND_GPU gpus: [ 1 ] passive: true rate_limiter { priority: 1 } }
]
"""


def test_an_unbatched_model_as_triton_ships_it() -> None:
    """The best known example works: nothing to set, not batched, three things without effect."""
    assert read(DENSENET) == TritonConfig(
        is_batched=False,
        warnings=[
            NO_EFFECT.format(name)
            for name in ("input.reshape", "output.reshape", "output.label_filename")
        ],
    )


def test_what_has_a_meaning_here_becomes_a_setting() -> None:
    """Batch size, delay, queue, instances, versions, threads and the file's name are honoured."""
    config = read(BATCHED)

    assert config.settings == {
        "max_rows": 128,
        "max_delay_ms": 1.5,
        "queue_rows": 256,
        "instances": 3,
        "version_policy": "latest:3",
        "threads": 4,
    }
    assert config.is_batched
    assert config.model_file == "classifier.onnx"
    assert config.warnings == [
        NO_EFFECT.format(name)
        for name in (
            "dynamic_batching.preferred_batch_size",
            "dynamic_batching.default_queue_policy.timeout_action",
            "dynamic_batching.default_queue_policy.default_timeout_microseconds",
            "dynamic_batching.priority_levels",
            "parameters.execution_mode",
        )
    ]


def test_all_the_rest_is_named_once_in_a_warning() -> None:
    """Nobody believes in a setting that is not there, and nobody reads of it twice."""
    assert read(EVERYTHING_ELSE) == TritonConfig(
        settings={"instances": 2},
        warnings=[
            NO_EFFECT.format(name)
            for name in (
                "optimization",
                "model_warmup",
                "sequence_batching",
                "response_cache",
                "model_transaction_policy",
                "cc_model_filenames",
                "instance_group.kind (models run on the CPU)",
                "instance_group.gpus",
                "instance_group.passive",
                "instance_group.rate_limiter",
            )
        ],
    )


@pytest.mark.parametrize(
    "text", ["", 'name: "m"', "dynamic_batching { }", "max_batch_size: []", 'backend: ""']
)
def test_a_config_that_says_nothing_changes_nothing(text: str) -> None:
    """An empty or minimal file is the same as none."""
    assert read(text) == TritonConfig()


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("version_policy: { all { } }", "all"),
        ("version_policy { latest { } }", "latest:1"),
        ("version_policy { latest { num_versions: 0 } }", "latest:1"),
        ("version_policy: { specific { versions: [1, 3] } }", "specific:1,3"),
        ("version_policy: { specific: { versions: 3 versions: 1 } }", "specific:3,1"),
    ],
)
def test_version_policies_are_translated(text: str, policy: str) -> None:
    """Each of Triton's three policies has its word here."""
    assert read(text) == TritonConfig(settings={"version_policy": policy})


@pytest.mark.parametrize(
    ("text", "settings", "warnings"),
    [
        ("instance_group [ { count: 4 kind: KIND_AUTO } ]", {"instances": 4}, []),
        ("instance_group { count: 0 }", {}, []),
        ("dynamic_batching { default_queue_policy { max_queue_size: 0 } }", {}, []),
        ("dynamic_batching { default_queue_policy: 7 }", {}, ["default_queue_policy"]),
        ("version_policy { newest { } }", {}, ["version_policy.newest"]),
        ('parameters { key: "intra_op_thread_count" value { string_value: "0" } }', {}, ["intra"]),
        ('parameters { key: "intra_op_thread_count" value { string_value: "²" } }', {}, ["intra"]),
        ('parameters { key: "intra_op_thread_count" value: "2" }', {"threads": 2}, []),
        ('parameters: "odd" instance_group: 3 input: "x"', {}, []),
    ],
)
def test_values_at_the_edge(text: str, settings: dict[str, Any], warnings: list[str]) -> None:
    """Zero means unlimited or default in Triton; what cannot be followed is warned of."""
    config = read(text)

    assert config.settings == settings
    assert len(config.warnings) == len(warnings)
    assert all(part in warning for part, warning in zip(warnings, config.warnings, strict=True))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('platform: "ensemble" ensemble_scheduling { step [ ] }', "ensemble"),
        ('backend: "python"', "python"),
        ('backend: "tensorrt" platform: "onnxruntime_onnx"', "tensorrt"),
        ('platform: "tensorflow_savedmodel"', "tensorflow_savedmodel"),
        (f'backend: "{"b" * 500}"', "b" * 64),
    ],
)
def test_other_backends_are_refused_by_name(text: str, name: str) -> None:
    """A model of another kind says what it asks for, and what to do instead."""
    with pytest.raises(ModelInvalid) as caught:
        read(text)
    assert str(caught.value) == (
        f"config.pbtxt asks for backend '{name}'; only ONNX models are served"
    )
    assert caught.value.fix == "export the model to ONNX, or serve it elsewhere"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size: 1.5", "max_batch_size must be a whole number, got 1.5"),
        ("max_batch_size: true", "max_batch_size must be a whole number, got True"),
        ('max_batch_size: "8"', "max_batch_size must be a whole number, got 8"),
        (
            "dynamic_batching { max_queue_delay_microseconds: soon }",
            "max_queue_delay_microseconds must be a whole number, got soon",
        ),
        (
            "dynamic_batching { default_queue_policy { max_queue_size: {} } }",
            "max_queue_size must be a whole number, got {}",
        ),
        (
            "version_policy { specific { versions: [1, two] } }",
            "versions must be a whole number, got two",
        ),
        (
            "version_policy { latest { num_versions: many } }",
            "num_versions must be a whole number, got many",
        ),
        ("instance_group [ { count: few } ]", "count must be a whole number, got few"),
        ("name: \n\nmax_batch_size }", "line 3: expected a field name"),
        ("\n\nmax_batch_size: }", "line 3: expected a value, got '}'"),
    ],
)
def test_a_wrong_value_names_its_field_and_what_came(text: str, message: str) -> None:
    """Every refusal says config.pbtxt, the field, what was expected and what came."""
    with pytest.raises(ModelInvalid) as caught:
        read(text)
    assert str(caught.value).startswith("config.pbtxt: ")
    assert message in str(caught.value)
    assert caught.value.fix == "mend or remove config.pbtxt"
