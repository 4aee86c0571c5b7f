"""What the values of a request are held to before the model sees them: the data checks.

Decides which values break a feature's check, and says so in words that name feature, row, what was
expected and what came. What follows from it is the check's policy, and its owner's business: only
counted, a warning in the answer, or a refusal. A pipeline that breaks shows here first.

A value is missing if it is NaN; a missing value breaks `nullable` and nothing else. Text is never
missing: without characters it is a category like any other, as it is to drift. Infinity is outside
every range. Does not know requests, models or where checks come
from.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from math import inf, isfinite, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.statistics.categories import shortened
from server.tensors import Array, Data, Signature, TensorSpec, bf16_to_fp32, to_array

MAX_TOLD = 8
"""Broken checks that are put into words; the others are counted."""

_MAX_SHOWN = 64


class Policy(StrEnum):
    """What follows when a value breaks a check."""

    COUNT = "count"
    WARN = "warn"
    REJECT = "reject"


class Broken(StrEnum):
    """What about a value is wrong."""

    MISSING = "missing"
    RANGE = "range"
    CATEGORY = "category"


@dataclass(frozen=True, slots=True)
class Check:
    """What the values of one feature are held to."""

    feature: str
    """What errors and metrics call it."""
    tensor: str
    place: int
    """Position of the value in a row of the tensor."""
    policy: Policy
    minimum: float | None = None
    maximum: float | None = None
    nullable: bool = True
    categories: tuple[str | int, ...] | None = None
    """All that are allowed: text for text, whole numbers for numbers; None allows any."""

    def to_json(self) -> dict[str, Any]:
        """Return the check as a JSON object."""
        return {name: getattr(self, name) for name in Check.__slots__}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Check":
        """Read what `to_json` wrote."""
        categories = value["categories"]
        return cls(
            **{
                **value,
                "policy": Policy(value["policy"]),
                "categories": None if categories is None else tuple(categories),
            }
        )

    @property
    def breakable(self) -> tuple[Broken, ...]:
        """What about a value this check can find wrong."""
        found = {
            Broken.MISSING: not self.nullable,
            Broken.RANGE: self.minimum is not None or self.maximum is not None,
            Broken.CATEGORY: self.categories is not None,
        }
        return tuple(broken for broken, can_be in found.items() if can_be)

    def expected(self) -> str:
        """Say which values are allowed."""
        words = [_range_words(self.minimum, self.maximum)]
        if self.categories is not None:
            shown = ", ".join(str(one) or "''" for one in self.categories[:MAX_TOLD])
            more = len(self.categories) - MAX_TOLD
            words.append(f"one of {shown}" + (f" and {more} more" if more > 0 else ""))
        return " and ".join(word for word in words if word)


def _range_words(minimum: float | None, maximum: float | None) -> str:
    if minimum is None:
        return "" if maximum is None else f"at most {maximum:.9g}"
    return f"at least {minimum:.9g}" if maximum is None else f"{minimum:.9g} to {maximum:.9g}"


@dataclass(slots=True)
class Findings:
    """What a request's values broke."""

    rows: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Rows by feature, what is broken and policy."""
    warnings: list[str] = field(default_factory=list)
    """The first few broken checks that warn, in words."""
    refusals: list[str] = field(default_factory=list)
    """The first few broken checks that refuse."""

    def add(self, check: Check, broken: Broken, row: int, rows: int, value: object) -> None:
        """Note that `rows` rows break a check, the first of them `row`, whose value is given."""
        self.rows[check.feature, broken.value, check.policy.value] += rows
        told = {Policy.WARN: self.warnings, Policy.REJECT: self.refusals}.get(check.policy)
        if told is None or len(told) >= MAX_TOLD:
            return
        if broken is Broken.MISSING:
            words = f"feature '{check.feature}' is missing in row {row}"
        else:
            words = (
                f"feature '{check.feature}' is {_shown(value)} in row {row}, "
                f"expected {check.expected()}"
            )
        told.append(words if rows == 1 else f"{words} ({rows} such rows)")


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f"'{value[:_MAX_SHOWN]}'"
    return f"{value:.9g}" if isinstance(value, float) else str(value)


class Guard:
    """The checks of one version of a model, ready to look at requests. Holds no state."""

    def __init__(self, checks: Iterable[Check], signature: Signature) -> None:
        by_tensor = sorted(checks, key=lambda check: (check.tensor, check.place))
        self._watches: list[tuple[int, _Numbers | _Texts]] = []
        for tensor, group in groupby(by_tensor, lambda check: check.tensor):
            index = signature.input_index[tensor]
            spec, own = signature.inputs[index], tuple(group)
            watch = _Texts(own) if spec.datatype.is_text else _Numbers(spec, own)
            self._watches.append((index, watch))

    def look(self, tensors: Sequence[Data], shapes: Sequence[tuple[int, ...]]) -> Findings | None:
        """Return what a request's tensors break, None if nothing.

        Tensors and shapes are in the signature's order, and fit it.
        """
        findings = Findings()
        for index, watch in self._watches:
            watch.look(tensors[index], shapes[index], findings)
        return findings if findings.rows else None


class _Numbers:
    """The checks of a tensor of numbers or booleans."""

    def __init__(self, spec: TensorSpec, checks: tuple[Check, ...]) -> None:
        self._spec = spec
        self._checks = checks
        self._places = [check.place for check in checks]
        self._low = np.array([_or(check.minimum, -inf) for check in checks])
        self._high = np.array([_or(check.maximum, inf) for check in checks])
        # A bound at infinity lets infinity through; a range of any kind does not.
        self._has_range = np.isfinite(self._low) | np.isfinite(self._high)
        self._needs_value = np.array([not check.nullable for check in checks])
        self._listed = [
            (at, np.array(check.categories))
            for at, check in enumerate(checks)
            if check.categories is not None
        ]

    def look(self, data: Data, shape: tuple[int, ...], findings: Findings) -> None:
        values = self._values(data, shape)
        is_float = values.dtype.kind == "f"
        missing = np.isnan(values) if is_float else np.zeros(values.shape, bool)
        outside = (values < self._low) | (values > self._high)
        if is_float:
            outside |= np.isinf(values) & self._has_range
        unknown = np.zeros(values.shape, bool)
        for at, listed in self._listed:
            unknown[:, at] = ~np.isin(values[:, at], listed) & ~missing[:, at]
        self._note(findings, Broken.MISSING, missing & self._needs_value, values)
        self._note(findings, Broken.RANGE, outside, values)
        self._note(findings, Broken.CATEGORY, unknown, values)

    def _values(self, data: Data, shape: tuple[int, ...]) -> Array:
        """Return the watched values, shape (rows, checks)."""
        rows = to_array(data, self._spec.datatype, (shape[0], prod(shape[1:])))
        taken = rows[:, self._places]
        return bf16_to_fp32(taken) if self._spec.datatype.name == "BF16" else taken

    def _note(
        self, findings: Findings, broken: Broken, where: NDArray[np.bool_], values: Array
    ) -> None:
        if not where.any():
            return
        rows = where.sum(axis=0)
        for at in np.flatnonzero(rows):
            first = int(where[:, at].argmax())
            value = values[first, at].item()
            findings.add(self._checks[at], broken, first, int(rows[at]), value)


class _Texts:
    """The checks of a tensor of text."""

    def __init__(self, checks: tuple[Check, ...]) -> None:
        self._checks = [
            (check, _words(check.categories)) for check in checks if check.categories is not None
        ]

    def look(self, data: Data, shape: tuple[int, ...], findings: Findings) -> None:
        assert isinstance(data, list), "text comes as a list"
        items = prod(shape[1:])
        for check, known in self._checks:
            column = data[check.place :: items] if items else []
            unknown = [row for row, text in enumerate(column) if shortened(text) not in known]
            if unknown:
                value = column[unknown[0]]
                findings.add(check, Broken.CATEGORY, unknown[0], len(unknown), value)


def _words(categories: Sequence[str | int]) -> frozenset[str]:
    """Return categories of text as profiles keep them: long ones by what they are known by."""
    return frozenset(shortened(str(one)) for one in categories)


def _or(bound: float | None, otherwise: float) -> float:
    return otherwise if bound is None else bound


def problem(check: Check, spec: TensorSpec) -> str:
    """Say what about a check does not fit its tensor; empty if it fits."""
    is_text = spec.datatype.is_text
    bounds = [bound for bound in (check.minimum, check.maximum) if bound is not None]
    if not spec.has_rows or spec.row_items is None:
        return "its tensor has no rows of a fixed size"
    if is_text and bounds:
        return "text has no minimum or maximum"
    if is_text and not check.nullable:
        return "text is never missing: list its categories, and leave the empty text out"
    if not all(map(isfinite, bounds)):
        return "minimum and maximum must be finite"
    if len(bounds) == 2 and bounds[0] > bounds[1]:
        return f"the minimum {bounds[0]:.9g} is above the maximum {bounds[1]:.9g}"
    if check.categories is not None:
        wanted = str if is_text else int
        if not check.categories or not all(type(one) is wanted for one in check.categories):
            words = "text" if is_text else "whole numbers"
            return f"categories of {spec.datatype.name} must be {words}, one or more"
    return ""
