"""Whether callers of one version can go on with another: how two signatures differ, in words.

Decides which differences break a caller. A caller sends every input by name and may read every
output by name, so what one side gives the other must still take. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.tensors import Signature, TensorSpec


@dataclass(frozen=True, slots=True)
class Difference:
    """How a candidate's tensors differ from those of the live version."""

    problems: tuple[str, ...]
    """What breaks callers of the live version."""
    warnings: tuple[str, ...]
    """What most callers do not notice."""


def difference(live: Signature, candidate: Signature) -> Difference:
    """Compare a candidate's tensors with those of the live version, inputs first."""
    problems: list[str] = []
    warnings: list[str] = []
    for side, old, new in (
        ("input", live.inputs, candidate.inputs),
        ("output", live.outputs, candidate.outputs),
    ):
        before = {spec.name: spec for spec in old}
        after = {spec.name: spec for spec in new}
        renamed = _renamed(before, after)
        for name, spec in before.items():
            if name in renamed:
                problems.append(f"{side} '{name}' is called '{renamed[name]}'")
            elif name not in after:
                problems.append(f"{side} '{name}' is missing")
            else:
                wrong, odd = _changed(side, spec, after[name])
                problems += wrong
                warnings += odd
        for name in after:
            if name in before or name in renamed.values():
                continue
            if side == "input":
                problems.append(f"input '{name}' is new, and callers do not send it")
            else:
                warnings.append(f"output '{name}' is new{_of_v1(old)}")
    return Difference(tuple(problems), tuple(warnings))


def _renamed(before: Mapping[str, TensorSpec], after: Mapping[str, TensorSpec]) -> dict[str, str]:
    """Return the new name of each tensor that is gone where the one new tensor like it came."""
    gone = [spec for name, spec in before.items() if name not in after]
    come = [spec for name, spec in after.items() if name not in before]
    renamed = {}
    for spec in gone:
        alike = [one for one in come if _kind(one) == _kind(spec)]
        if len(alike) == 1 and sum(_kind(one) == _kind(spec) for one in gone) == 1:
            renamed[spec.name] = alike[0].name
    return renamed


def _kind(spec: TensorSpec) -> tuple[str, tuple[int, ...]]:
    return spec.datatype.name, spec.shape


def _changed(side: str, old: TensorSpec, new: TensorSpec) -> tuple[list[str], list[str]]:
    """Compare two tensors of one name: what is wrong, and what is odd."""
    if old.datatype != new.datatype:
        words = f"{side} '{old.name}' is {new.datatype.name}, and was {old.datatype.name}"
        return [words], []
    if old.shape == new.shape:
        return [], []
    words = f"{side} '{old.name}' has shape {list(new.shape)}, and had {list(old.shape)}"
    if side == "input":
        return ([], []) if _fits(old.shape, new.shape) else ([words], [])
    if _fits(new.shape, old.shape):
        return [], []
    # An output of no fixed size mostly has the old one: exporters leave sizes open.
    return ([], [words]) if _fits(old.shape, new.shape) else ([words], [])


def _fits(given: Sequence[int], wanted: Sequence[int]) -> bool:
    """Say whether all shapes of the one kind are of the other kind too; -1 is any size."""
    return len(given) == len(wanted) and all(
        two in (-1, one) for one, two in zip(given, wanted, strict=True)
    )


def _of_v1(outputs: Sequence[TensorSpec]) -> str:
    """Say what a new output does to those who ask in the V1 protocol, which names no outputs."""
    return ", so predictions of the V1 protocol become objects" if len(outputs) == 1 else ""
