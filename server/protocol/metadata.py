"""What the protocol says about servers and models: metadata, readiness, configuration.

Decides the members of these answers. Sources: Open Inference Protocol inference_rest.md; Triton
extension_model_configuration.md (the model configuration in its JSON form, which load tools read).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import server
from server.settings import ModelSettings, parse_version_policy
from server.tensors import Signature, TensorSpec

EXTENSIONS = (
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "parameters",
    "statistics",
)

PLATFORM = "onnxruntime_onnx"


def server_metadata() -> dict[str, Any]:
    """Return the answer to GET /v2."""
    return {"name": "tidegate", "version": server.__version__, "extensions": list(EXTENSIONS)}


def live() -> dict[str, Any]:
    """Return the answer of a live server; some clients read the body, others the status."""
    return {"live": True}


def ready(reason: str) -> dict[str, Any]:
    """Return the answer about a server's readiness; `reason` says why not, empty if it is ready."""
    return {"live": True, **_readiness(reason)}


def model_ready(name: str, reason: str) -> dict[str, Any]:
    """Return the answer about a model's readiness; `reason` as above."""
    return {"name": name, **_readiness(reason)}


def _readiness(reason: str) -> dict[str, Any]:
    return {"ready": False, "reason": reason} if reason else {"ready": True}


def model_metadata(
    name: str,
    versions: Sequence[str],
    signature: Signature,
    features: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Return the answer to GET /v2/models/{name}: names, datatypes and shapes of its tensors."""
    described = signature.to_json()
    for tensor in described["inputs"]:
        if tensor["name"] in features:
            tensor["parameters"] = {"features": list(features[tensor["name"]])}
    return {"name": name, "versions": list(versions), "platform": PLATFORM, **described}


def model_config(
    name: str, settings: ModelSettings, signature: Signature, *, is_batched: bool
) -> dict[str, Any]:
    """Return the answer to GET /v2/models/{name}/config."""
    config: dict[str, Any] = {
        "name": name,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "version_policy": _policy(settings.version_policy),
        "max_batch_size": settings.max_rows if is_batched else 0,
        "input": [_tensor(spec, is_batched=is_batched) for spec in signature.inputs],
        "output": [_tensor(spec, is_batched=is_batched) for spec in signature.outputs],
        "instance_group": [{"name": name, "kind": "KIND_CPU", "count": settings.instances}],
        "default_model_filename": "model.onnx",
        "parameters": {"intra_op_thread_count": {"string_value": str(settings.threads)}},
        "model_transaction_policy": {"decoupled": False},
    }
    if is_batched:
        config["dynamic_batching"] = {
            "max_queue_delay_microseconds": int(settings.max_delay_ms * 1000),
            "preserve_ordering": True,
            "default_queue_policy": {"max_queue_size": settings.queue_rows},
        }
    return config


def _tensor(spec: TensorSpec, *, is_batched: bool) -> dict[str, Any]:
    kind = "STRING" if spec.datatype.is_text else spec.datatype.name
    dims = spec.shape[1:] if is_batched else spec.shape
    return {"name": spec.name, "data_type": f"TYPE_{kind}", "dims": list(dims)}


def _policy(policy: str) -> dict[str, Any]:
    kind, numbers = parse_version_policy(policy)
    if kind == "latest":
        return {"latest": {"num_versions": numbers[0]}}
    if kind == "specific":
        return {"specific": {"versions": list(numbers)}}
    return {"all": {}}
