"""The table `[shadow]` of model.toml: how a candidate's answers are compared with the live ones.

Decides what it may hold, and finds what it names in a model's signature: a tolerance or a redaction
of something that is not there would be passed over in silence.
"""

from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from server.errors import ModelInvalid
from server.monitoring.columns import Column
from server.monitoring.taking import VALUE
from server.release.shadow_rules import (
    MAX_SEGMENT_FEATURES,
    MAX_SEGMENT_VALUES,
    OutputRule,
    Scores,
    Segment,
    ShadowRules,
)
from server.tensors import DATATYPES, Signature

_FIX = "mend [shadow] in model.toml"


class OutputTable(BaseModel):
    """How one output is compared; what is not given follows from its datatype and shape."""

    model_config = ConfigDict(extra="forbid")
    rtol: float | None = Field(None, ge=0, allow_inf_nan=False)
    atol: float | None = Field(None, ge=0, allow_inf_nan=False)
    scores: Scores | None = None
    threshold: float | None = Field(None, allow_inf_nan=False)
    ignore: bool = False


class ShadowTable(BaseModel):
    """What model.toml says of comparisons."""

    model_config = ConfigDict(extra="forbid")
    redact: list[str] = Field(default_factory=list)
    """Features, inputs or outputs that samples do not show."""
    segments: dict[str, list[str] | list[int]] = Field(
        default_factory=dict, max_length=MAX_SEGMENT_FEATURES
    )
    """Values by which pairs are counted apart, by feature."""
    outputs: dict[str, OutputTable] = Field(default_factory=dict)


def shadow_rules(
    table: ShadowTable,
    signature: Signature,
    columns: Mapping[str, Column],
    features: Mapping[str, Sequence[str]],
) -> ShadowRules:
    """Return the rules of a model; `columns` are the single values of its inputs, by feature.

    Raises:
        ModelInvalid: it names what the model does not have, or values that a feature cannot have.

    """
    outputs = {}
    for name, rule in table.outputs.items():
        if name not in signature.output_index:
            known = _listed(signature.output_index)
            raise ModelInvalid(
                f"model.toml compares '{name}', which is no output; there are {known}", fix=_FIX
            )
        outputs[name] = OutputRule(rule.rtol, rule.atol, rule.scores, rule.threshold, rule.ignore)
    return ShadowRules(
        outputs,
        tuple(_segments(table, columns)),
        redacted_places(table.redact, signature, columns, "shadow"),
        {name: tuple(names) for name, names in features.items()},
    )


def _segments(table: ShadowTable, columns: Mapping[str, Column]) -> Iterator[Segment]:
    for feature, values in table.segments.items():
        column = columns.get(feature)
        if column is None:
            raise ModelInvalid(
                f"model.toml has segments by '{feature}', which is no feature; "
                f"there are {_listed(columns)}",
                fix=_FIX,
            )
        is_text = DATATYPES[column.datatype].is_text
        if not 1 <= len(values) <= MAX_SEGMENT_VALUES or len(set(values)) != len(values):
            raise ModelInvalid(
                f"model.toml has {len(values)} segments by '{feature}'; "
                f"1 to {MAX_SEGMENT_VALUES} values may be given, each once",
                fix=_FIX,
            )
        if any(isinstance(value, str) is not is_text for value in values):
            wanted = "text" if is_text else "whole numbers"
            raise ModelInvalid(
                f"model.toml has segments by '{feature}', whose values must be {wanted}", fix=_FIX
            )
        yield Segment(feature, column.tensor, _place(column), tuple(values))


def redacted_places(
    names: Sequence[str], signature: Signature, columns: Mapping[str, Column], table: str
) -> dict[str, tuple[int, ...]]:
    """Return the places in a row that names stand for, by tensor; none means the whole tensor.

    `table` is where model.toml has the names.

    Raises:
        ModelInvalid: a name that the model does not have.

    """
    found: dict[str, tuple[int, ...]] = {}
    tensors = {*signature.input_index, *signature.output_index}
    for name in names:
        if name in tensors:
            found[name] = ()
        elif name not in columns:
            known = _listed({**columns, **signature.input_index, **signature.output_index})
            raise ModelInvalid(
                f"model.toml redacts '{name}', which is no feature, input or output; "
                f"there are {known}",
                fix=f"mend [{table}] in model.toml",
            )
    for name in names:
        column = columns.get(name)
        if column is not None and found.get(column.tensor) != ():
            found[column.tensor] = (*found.get(column.tensor, ()), _place(column))
    return found


def _place(column: Column) -> int:
    return int(column.take.removeprefix(VALUE))


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(f"'{name}'" for name in list(names)[:8]) or "none"
