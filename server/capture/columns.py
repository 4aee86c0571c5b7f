"""Which columns the rows of a version are captured as: decided once from its signature.

Decides names and forms, and what is left out. A value a row is a column, as is each value of an
input whose features are named; other tensors are lists. What is redacted has its columns, and no
values in them. Whoever reads a file makes the same columns of its metadata again. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from server.tensors import Signature, TensorSpec

FORMAT = 1

TIME, PREDICTION_ID, ROW, IS_PINNED, MODEL_VERSION = OWN_COLUMNS = (
    "time",
    "prediction_id",
    "row",
    "is_pinned",
    "model_version",
)
"""Columns that are no tensors'."""

MAX_FLAT_VALUES = 2048
"""Named values a row of an input that are columns of their own; of more, there is a list."""


class Form(StrEnum):
    """How a tensor's rows become columns."""

    FLAT = "flat"
    """A column for each value of a row."""
    FIXED = "fixed"
    """A list of always as many values."""
    VARYING = "varying"
    """A list of any number of values, and one of their shape."""


@dataclass(frozen=True, slots=True)
class TensorColumns:
    """One tensor."""

    spec: TensorSpec
    form: Form
    names: tuple[str, ...]
    """Of its columns: one for each value, or the list's and, if it varies, the shape's."""
    redacted: frozenset[int] = frozenset()
    """Places in a row whose values are left out."""
    is_redacted: bool = False
    """Whether all of it is."""


@dataclass(frozen=True, slots=True)
class CapturePlan:
    """All that is decided about the files of one version."""

    model: str
    version: str
    digest: str
    signature: Signature
    features: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Names of the columns of an input, where they are known."""
    redacted: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Places in a row that are left out, by tensor; none means all of it."""
    inputs: tuple[TensorColumns, ...] = field(init=False, compare=False, repr=False)
    outputs: tuple[TensorColumns, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        names = _Names()
        for side, specs in (("inputs", self.signature.inputs), ("outputs", self.signature.outputs)):
            features = self.features if side == "inputs" else {}
            found = tuple(
                _columns(spec, names, features.get(spec.name), self.redacted.get(spec.name))
                for spec in specs
            )
            object.__setattr__(self, side, found)

    @property
    def left_out(self) -> dict[str, list[str]]:
        """What has no values, by tensor: the names of its features where it has others."""
        return {
            one.spec.name: [] if one.is_redacted else [*_redacted_names(one)]
            for one in (*self.inputs, *self.outputs)
            if one.is_redacted or one.redacted
        }

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "format": FORMAT,
            "model": self.model,
            "version": self.version,
            "digest": self.digest,
            "signature": self.signature.to_json(),
            "features": {name: list(columns) for name, columns in self.features.items()},
            "redacted": {name: list(places) for name, places in self.redacted.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "CapturePlan":
        """Read what `to_json` returned.

        Raises:
            KeyError, TypeError, ValueError: it is not such a value.

        """
        if value["format"] != FORMAT:
            raise ValueError(f"format {value['format']}, expected {FORMAT}")
        return cls(
            value["model"],
            value["version"],
            value["digest"],
            Signature.from_json(value["signature"]),
            value["features"],
            value["redacted"],
        )


class _Names:
    """Names that are taken."""

    def __init__(self) -> None:
        self._taken = set(OWN_COLUMNS)

    def take(self, name: str, tensor: str) -> str:
        """Return a name that no other column has: with its tensor's before it, or a number."""
        candidates: Iterator[str] = (
            f"{tensor}.{name}" + (f".{number}" if number else "") for number in range(len(self))
        )
        found = (
            name
            if name not in self._taken
            else next(one for one in candidates if one not in self._taken)
        )
        self._taken.add(found)
        return found

    def __len__(self) -> int:
        return len(self._taken) + 1


def _columns(
    spec: TensorSpec,
    names: _Names,
    features: Sequence[str] | None,
    redacted: Sequence[int] | None,
) -> TensorColumns:
    items = spec.row_items
    if not spec.shape or not items:
        # Of values whose number varies, none can be told by its place.
        shown = tuple(names.take(name, spec.name) for name in (spec.name, f"{spec.name}.shape"))
        return TensorColumns(spec, Form.VARYING, shown, is_redacted=redacted is not None)
    is_all = redacted is not None and not redacted
    places = frozenset(redacted or ())
    if items == 1 or (features and len(features) == items <= MAX_FLAT_VALUES):
        flat = tuple(names.take(name, spec.name) for name in features or [spec.name])
        return TensorColumns(spec, Form.FLAT, flat, places, is_all)
    listed = (names.take(spec.name, spec.name),)
    return TensorColumns(spec, Form.FIXED, listed, places, is_all)


def _redacted_names(columns: TensorColumns) -> Iterator[str]:
    for place in sorted(columns.redacted):
        is_flat = columns.form is Form.FLAT
        yield columns.names[place] if is_flat else f"{columns.spec.name}[{place}]"
