"""How one model is served: defaults, then config.pbtxt, then model.toml, then a load call's words.

Decides the order and the form of model.toml. Reads the two files; everything else is pure.
"""

import contextlib
import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.config import line_of
from server.errors import InvalidRequest, ModelInvalid
from server.release.gate_settings import NAMES, CanarySettings, GateSettings
from server.repository import triton_config
from server.repository.capture_table import CaptureTable
from server.repository.layout import MODEL_FILE, SETTINGS_FILE, TRITON_FILE
from server.repository.shadow_table import OutputTable, ShadowTable
from server.settings import CheckPolicy, ModelSettings

_FIX = f"mend {SETTINGS_FILE}"

_TRITON_WORDS = {
    "max_rows": "max_batch_size",
    "max_delay_ms": "max_queue_delay_microseconds",
    "queue_rows": "max_queue_size",
    "instances": "the count of instance_group",
    "threads": "intra_op_thread_count",
}
"""Where a setting comes from in config.pbtxt, if it has another name there."""


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid")
    features: list[str]
    """Names of the columns, in order."""


class CheckTable(BaseModel):
    """What model.toml holds the values of a feature to."""

    model_config = ConfigDict(extra="forbid", strict=True)
    minimum: float | None = None
    maximum: float | None = None
    nullable: bool = True
    """Whether the value may be missing, which is NaN; text never is."""
    categories: list[str] | list[int] | None = None
    """All that are allowed."""
    policy: CheckPolicy | None = None
    """What a value does that breaks the check; the model's `check_policy` if not given."""


class _ModelFile(ModelSettings):
    """model.toml: any of the settings, what is known of the inputs, and what is held to what."""

    inputs: dict[str, _Input] = Field(default_factory=dict)
    checks: dict[str, CheckTable] = Field(default_factory=dict)
    gates: GateSettings | None = None
    canary: CanarySettings = CanarySettings()
    shadow: ShadowTable = ShadowTable()
    capture: CaptureTable = CaptureTable()


_TABLES = {"inputs", "checks", "gates", "canary", "shadow", "capture"}
"""What model.toml holds beside settings."""

_KNOWN_NAMES = (
    *_ModelFile.model_fields,
    *CheckTable.model_fields,
    *ShadowTable.model_fields,
    *OutputTable.model_fields,
    *CaptureTable.model_fields,
    *NAMES,
)

_WORDS = {"model_type": "expected a table", "dict_type": "expected a table"}
"""For what pydantic would tell in words of Python."""

_TRIED_FIRST = "list[str]"
"""What pydantic calls the first of the two kinds of `categories`, in the place of a mistake."""


@dataclass(frozen=True, slots=True)
class ModelSetup:
    """Everything the repository says about how to serve a model."""

    settings: ModelSettings
    may_batch: bool = True
    """False if config.pbtxt forbids joining requests."""
    model_file: str = MODEL_FILE
    features: Mapping[str, list[str]] = field(default_factory=dict)
    """Column names by input."""
    warnings: tuple[str, ...] = ()
    checks: Mapping[str, CheckTable] = field(default_factory=dict)
    """What values are held to, by feature."""
    gates: GateSettings | None = None
    """What a candidate is held to; None if the model's files do not say."""
    canary: CanarySettings = field(default_factory=CanarySettings)
    shadow: ShadowTable = field(default_factory=ShadowTable)
    """How a candidate is compared with the live version."""
    capture: CaptureTable = field(default_factory=CaptureTable)
    """What of the captured rows is left out."""


def read_setup(
    folder: Path, defaults: ModelSettings, override: Mapping[str, Any] | None = None
) -> ModelSetup:
    """Read a model's settings from its folder.

    `override` holds settings that an operator gave with a load call.

    Raises:
        ModelInvalid: a file cannot be read or holds something wrong; names file, line and key.

    """
    values: dict[str, Any] = {name: getattr(defaults, name) for name in ModelSettings.model_fields}
    triton = triton_config.TritonConfig()
    if (folder / TRITON_FILE).is_file():
        triton = triton_config.read(_text(folder / TRITON_FILE))
        values |= triton.settings
    file = _ModelFile()
    if (folder / SETTINGS_FILE).is_file():
        file = _read_model_file(folder / SETTINGS_FILE)
        values |= {name: getattr(file, name) for name in file.model_fields_set - _TABLES}
    values |= override or {}
    try:
        settings = ModelSettings.model_validate(values)
    except ValidationError as error:
        # Defaults and model.toml have been checked, and a load call's words before they are kept.
        words = _TRITON_WORDS.get(str(error.errors()[0]["loc"][0]))
        problem = f"{words} is {_first(error)}" if words else _first(error)
        raise ModelInvalid(f"{TRITON_FILE}: {problem}", fix=f"mend {TRITON_FILE}") from None
    return ModelSetup(
        settings,
        triton.is_batched,
        triton.model_file or MODEL_FILE,
        {name: one.features for name, one in file.inputs.items()},
        tuple(triton.warnings),
        file.checks,
        file.gates,
        file.canary,
        file.shadow,
        file.capture,
    )


def _read_model_file(path: Path) -> _ModelFile:
    text = _text(path)
    try:
        return _ModelFile.model_validate(tomllib.loads(text))
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        line = line_of(text, key)
        raise ModelInvalid(f"{path.name}, line {line}: {_first(error)}", fix=_FIX) from None
    except ValueError as error:  # Not TOML, or a number with more digits than Python reads.
        raise ModelInvalid(f"{path.name}: {error}", fix=_FIX) from None
    except RecursionError:
        raise ModelInvalid(f"{path.name}: nested too deeply", fix=_FIX) from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelInvalid(
            f"{path.name} cannot be read: {error.__class__.__name__}", fix=f"mend {path.name}"
        ) from None


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False, include_context=False)[0]
    place = [str(part) for part in detail["loc"]]
    key = ".".join(part for part in place if part != _TRIED_FIRST)
    message = _WORDS.get(detail["type"], str(detail["msg"]).removeprefix("Value error, "))
    if _TRIED_FIRST in place:
        message = "expected a list of texts, or of whole numbers"
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(detail["loc"][-1]), _KNOWN_NAMES, n=1)
        return f"{key}: unknown setting" + (f"; did you mean {close[0]}?" if close else "")
    return f"{key}: {message[:1].lower()}{message[1:]}, got {str(detail['input'])[:80]!r}"


def override_from_config(config: object) -> dict[str, Any]:
    """Read the `config` of a load call: a Triton model configuration as a JSON object.

    Raises:
        InvalidRequest: it asks for something that cannot be set in this way.

    """
    if not isinstance(config, dict):
        raise InvalidRequest("'config' must be a JSON object in a string")
    override: dict[str, Any] = {}
    for name, value in config.items():
        if name == "version_policy":
            override[name] = _policy_from_json(value)
        elif name == "max_batch_size":
            override["max_rows"] = _max_rows_from_json(value)
        elif name not in ("name", "backend", "platform"):
            raise InvalidRequest(
                f"'config' may set version_policy and max_batch_size, not '{str(name)[:64]}'; "
                f"set the rest in {SETTINGS_FILE}"
            )
    return override


def _max_rows_from_json(value: object) -> int:
    # Refused here: once noted down, a wrong value would be held against the model's files.
    with contextlib.suppress(ValidationError):
        return ModelSettings(max_rows=_whole(value)).max_rows
    raise InvalidRequest(
        f"'max_batch_size' must be a whole number from 1 to 65536, got {str(value)[:32]}"
    )


def _whole(value: object) -> int:
    """Return a whole number, which protobuf's JSON may carry as text; -1 for anything else."""
    if type(value) is int:
        return value
    if isinstance(value, str) and re.fullmatch("[0-9]{1,19}", value):
        return int(value)
    return -1


def _policy_from_json(value: object) -> str:
    match value:
        case {"latest": {**latest}}:
            number = _whole(latest.get("num_versions", 1))
            if number >= 0:
                return f"latest:{max(number, 1)}"
        case {"all": _}:
            return "all"
        case {"specific": {"versions": [*versions]}}:
            numbers = [_whole(version) for version in versions]
            if numbers and min(numbers) > 0:
                return "specific:" + ",".join(map(str, numbers))
    raise InvalidRequest(
        '\'version_policy\' must be {"latest": {"num_versions": N}}, {"all": {}} or '
        '{"specific": {"versions": [N, …]}}'
    )
