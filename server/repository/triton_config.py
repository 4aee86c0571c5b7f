"""What a Triton config.pbtxt means here.

Decides which of its fields become settings, which are words for what we do anyway, and which mean
nothing here: those are named in a warning, so that nobody believes in a setting that is not
there. Pure.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.errors import ModelInvalid
from server.repository.pbtxt import Message, PbtxtError, Value, parse

_OURS = frozenset({"onnxruntime", "onnxruntime_onnx", ""})

# Described again by the model itself, or true here without being asked for.
_IMPLIED = frozenset({"name", "platform", "backend", "input", "output", "default_model_filename"})


@dataclass(slots=True)
class TritonConfig:
    """The part of a config.pbtxt that counts here."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Values for ModelSettings."""
    is_batched: bool = True
    """False where max_batch_size is 0: Triton then never joins requests."""
    model_file: str = ""
    """default_model_filename, if given."""
    warnings: list[str] = field(default_factory=list)


def read(text: str) -> TritonConfig:
    """Read a config.pbtxt.

    Raises:
        ModelInvalid: it is not text format, or it is for another backend than ONNX Runtime.

    """
    try:
        message = parse(text)
    except PbtxtError as error:
        raise ModelInvalid(f"config.pbtxt: {error}", fix="mend or remove config.pbtxt") from None
    backend = str(_one(message, "backend", "") or _one(message, "platform", ""))
    if backend not in _OURS:
        raise ModelInvalid(
            f"config.pbtxt asks for backend '{backend[:64]}'; only ONNX models are served",
            fix="export the model to ONNX, or serve it elsewhere",
        )
    config = TritonConfig(model_file=str(_one(message, "default_model_filename", "")))
    for name, values in message.items():
        _take(config, name, values)
    return config


def _take(config: TritonConfig, name: str, values: list[Value]) -> None:
    if name in _MEANINGS:
        _MEANINGS[name](config, values)
    elif name not in _IMPLIED:
        _warn(config, name)
    if name in ("input", "output"):
        for tensor in values:
            for extra in ("reshape", "label_filename", "is_shape_tensor", "allow_ragged_batch"):
                if isinstance(tensor, dict) and extra in tensor:
                    _warn(config, f"{name}.{extra}")


def _max_batch_size(config: TritonConfig, values: list[Value]) -> None:
    size = _int(values[-1], "max_batch_size")
    if size > 0:
        config.settings["max_rows"] = size
    else:
        config.is_batched = False


def _dynamic_batching(config: TritonConfig, values: list[Value]) -> None:
    message = values[-1] if isinstance(values[-1], dict) else {}
    for name, given in message.items():
        if name == "max_queue_delay_microseconds":
            config.settings["max_delay_ms"] = _int(given[-1], name) / 1000
        elif name == "default_queue_policy" and isinstance(given[-1], dict):
            for inner, inner_values in given[-1].items():
                if inner == "max_queue_size":
                    # Triton counts requests; rows are the nearest we have.
                    size = _int(inner_values[-1], inner)
                    if size > 0:
                        config.settings["queue_rows"] = size
                else:
                    _warn(config, f"dynamic_batching.{name}.{inner}")
        elif name != "preserve_ordering":  # Order is always kept here.
            _warn(config, f"dynamic_batching.{name}")


def _version_policy(config: TritonConfig, values: list[Value]) -> None:
    message = values[-1] if isinstance(values[-1], dict) else {}
    for name, given in message.items():
        inner = given[-1] if isinstance(given[-1], dict) else {}
        if name == "latest":
            number = _int(_one(inner, "num_versions", 1), "num_versions")
            config.settings["version_policy"] = f"latest:{max(number, 1)}"
        elif name == "all":
            config.settings["version_policy"] = "all"
        elif name == "specific":
            numbers = [str(_int(number, "versions")) for number in inner.get("versions", [])]
            config.settings["version_policy"] = f"specific:{','.join(numbers)}"
        else:
            _warn(config, f"version_policy.{name}")


def _instances(config: TritonConfig, values: list[Value]) -> None:
    count = 0
    for group in values:
        if not isinstance(group, dict):
            continue
        if str(_one(group, "kind", "KIND_CPU")) not in ("KIND_CPU", "KIND_AUTO"):
            _warn(config, "instance_group.kind (models run on the CPU)")
        count += _int(_one(group, "count", 1), "count")
        for name in sorted(group.keys() - {"count", "kind", "name"}):
            _warn(config, f"instance_group.{name}")
    if count > 0:
        config.settings["instances"] = count


def _parameters(config: TritonConfig, values: list[Value]) -> None:
    for entry in values:
        if not isinstance(entry, dict):
            continue
        key = str(_one(entry, "key", ""))
        value = _one(entry, "value", {})
        text = _one(value, "string_value", "") if isinstance(value, dict) else value
        if key == "intra_op_thread_count" and re.fullmatch("0*[1-9][0-9]{0,4}", str(text)):
            config.settings["threads"] = int(str(text))
        else:
            _warn(config, f"parameters.{key[:64]}")


_MEANINGS: Mapping[str, Callable[[TritonConfig, list[Value]], None]] = {
    "max_batch_size": _max_batch_size,
    "dynamic_batching": _dynamic_batching,
    "version_policy": _version_policy,
    "instance_group": _instances,
    "parameters": _parameters,
}


def _warn(config: TritonConfig, name: str) -> None:
    warning = f"config.pbtxt: {name} has no effect here"
    if warning not in config.warnings:
        config.warnings.append(warning)


def _one(message: Message, name: str, default: Any) -> Any:
    return message.get(name, [default])[-1]


def _int(value: Value, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ModelInvalid(
            f"config.pbtxt: {name} must be a whole number, got {str(value)[:32]}",
            fix="mend or remove config.pbtxt",
        )
    return value
