"""How a candidate's answers are held to the live ones: tolerances, segments, what is not shown.

Decides what there is to declare and how it travels. The names of features have been found in the
model's signature by then (`repository/intake_rules.py`). How a pair is judged by these rules is in
`shadow/comparison.py`. Pure.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

import orjson

MAX_SEGMENT_FEATURES = 8
MAX_SEGMENT_VALUES = 16
OTHER = "other"
"""The segment of all values that are not declared."""


class Scores(StrEnum):
    """What the values of a row of an output of floats are."""

    CLASSES = "classes"
    """A score for each class: which is the largest matters."""
    VALUES = "values"
    """Numbers of their own."""


@dataclass(frozen=True, slots=True)
class OutputRule:
    """How one output is compared; None leaves it to its datatype and shape."""

    rtol: float | None = None
    """Difference that is tolerated, as a share of the live value."""
    atol: float | None = None
    """Difference that is tolerated beside that."""
    scores: Scores | None = None
    threshold: float | None = None
    """Of an output with one score a row: from here on, its label is another one."""
    is_ignored: bool = False
    """Whether it is not compared at all."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """By how much floats may differ and be the same for whoever compares them."""

    rtol: float = 1e-3
    """A share of the live value …"""
    atol: float = 1e-5
    """… and beside that."""


_RTOL = {"FP16": 4 * 2.0**-10, "BF16": 4 * 2.0**-7}
"""Where the default is narrower than a few steps between neighbouring numbers."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A feature by whose values pairs are counted apart."""

    feature: str
    tensor: str
    place: int
    """Position of the value in a row of the tensor."""
    values: tuple[str | int, ...]
    """Those that are counted: text of text, whole numbers of numbers. All others are OTHER."""

    @property
    def names(self) -> tuple[str, ...]:
        """What a budget may go by: the feature, and each of its segments."""
        of_values = (f"{self.feature}={value}" for value in (*self.values, OTHER))
        return (self.feature, *of_values)


@dataclass(frozen=True, slots=True)
class ShadowRules:
    """All rules of one model."""

    outputs: Mapping[str, OutputRule] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()
    redacted: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Positions in a row that samples do not show, by input; none means the whole input."""
    features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the columns of an input, where they are known."""

    def to_json(self) -> dict[str, Any]:
        """Return the rules as JSON values."""
        return asdict(self)

    def counting_digest(self) -> str:
        """Return what tells rules from others by which pairs would be counted differently.

        What samples do not show, and names of columns, change no count.
        """
        counting = {name: self.to_json()[name] for name in ("outputs", "segments")}
        return sha256(orjson.dumps(counting, option=orjson.OPT_SORT_KEYS)).hexdigest()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ShadowRules":
        """Read what `to_json` returned.

        Raises:
            KeyError, TypeError, ValueError: it is not such a value.

        """
        return cls(
            {
                name: OutputRule(**{**rule, "scores": rule["scores"] and Scores(rule["scores"])})
                for name, rule in value["outputs"].items()
            },
            tuple(Segment(**{**one, "values": tuple(one["values"])}) for one in value["segments"]),
            {name: tuple(places) for name, places in value["redacted"].items()},
            {name: tuple(columns) for name, columns in value["features"].items()},
        )


NO_RULES = ShadowRules()
_NO_RULE = OutputRule()


def tolerance_of(rules: ShadowRules, output: str, datatype: str) -> Tolerance:
    """Return what is tolerated of an output of floats, named by the protocol's datatype."""
    rule, usual = rules.outputs.get(output, _NO_RULE), Tolerance()
    return Tolerance(
        _RTOL.get(datatype, usual.rtol) if rule.rtol is None else rule.rtol,
        usual.atol if rule.atol is None else rule.atol,
    )
