"""Samples of mismatches: a few, fairly drawn, readable, without what is not to be shown."""

import math
from typing import Any

import numpy as np

from server.release.evidence import Kind
from server.release.mismatches import MAX_KEPT, Mismatch
from server.release.shadow_rules import NO_RULES, ShadowRules
from server.shadow.comparison import CODES, KINDS
from server.shadow.samples import MAX_TEXT, MAX_VALUES, REDACTED, Sampler, shown_row
from server.tensors import fp32_to_bf16
from server.wire.record import NamedTensor


def codes(*kinds: Kind) -> Any:
    return np.array([CODES[kind] for kind in kinds], np.int8)


def sample(kind: Kind, draw: float) -> Mismatch:
    return Mismatch(draw, kind.value, 0.0, "", 0, {}, {}, {})


def test_only_disagreements_are_drawn() -> None:
    """Rows that agree, or of which live was undecided, are no mismatches."""
    kinds = codes(Kind.SAME, Kind.LABEL_FLIP, Kind.WITHIN_TOLERANCE, Kind.NEAR_BOUNDARY, Kind.NAN)
    drawn = Sampler(np.random.default_rng(0)).draws(kinds)

    assert sorted(row for row, _ in drawn) == [1, 4]


def test_a_candidate_that_always_differs_is_sampled_less_and_less() -> None:
    """Few rows of each batch are drawn, and ever fewer; those that are kept are a fair sample."""
    sampler = Sampler(np.random.default_rng(0))
    drawn, places = [], []
    for batch in range(100):
        found = sampler.draws(codes(*[Kind.LABEL_FLIP] * 50))
        sampler.keep([sample(Kind.LABEL_FLIP, draw) for _, draw in found])
        drawn.append(len(found))
        places += [(draw, batch) for _, draw in found]

    assert max(drawn) <= MAX_KEPT
    assert sum(drawn[50:]) < 50
    kept = [batch for _, batch in sorted(places)[:MAX_KEPT]]
    assert 20 < np.mean(kept) < 80


def test_kinds_do_not_crowd_each_other_out() -> None:
    """A rare kind is drawn however many there are of another."""
    sampler = Sampler(np.random.default_rng(0))
    for _ in range(20):
        found = sampler.draws(codes(*[Kind.LABEL_FLIP] * 500))
        sampler.keep([sample(Kind.LABEL_FLIP, draw) for _, draw in found])

    assert [row for row, _ in sampler.draws(codes(Kind.SAME, Kind.NAN))] == [1]
    assert KINDS[5] is Kind.LABEL_FLIP


def test_a_row_is_shown_as_a_reader_wants_it() -> None:
    """Few digits, short text, few values, features by name, and NaN in words."""
    tensors = [
        NamedTensor("x", "FP32", np.array([[0.0, 0.0], [1 / 3, math.nan]], np.float32)),
        NamedTensor("name", "BYTES", np.array(["", "a" * 1000], object)),
        NamedTensor("pixels", "UINT8", np.zeros((2, 20, 20), np.uint8)),
        NamedTensor("half", "BF16", fp32_to_bf16(np.array([[0.0], [1.5]], np.float32))),
        NamedTensor("short", "INT64", np.array([1])),
    ]
    rules = ShadowRules(features={"x": ("third", "lost")})

    assert shown_row(tensors, 1, rules) == {
        "x": {"third": 0.333333, "lost": "nan"},
        "name": ["a" * MAX_TEXT],
        "pixels": [0] * MAX_VALUES,
        "half": [1.5],
    }


def test_redacted_values_are_not_shown() -> None:
    """Single features, and whole inputs."""
    tensors = [
        NamedTensor("x", "FP32", np.array([[1.0, 2.0]], np.float32)),
        NamedTensor("name", "BYTES", np.array(["Ada"], object)),
    ]
    rules = ShadowRules(redacted={"x": (1,), "name": ()})

    assert shown_row(tensors, 0, rules) == {"x": [1.0, REDACTED], "name": REDACTED}
    assert shown_row(tensors, 0, NO_RULES) == {"x": [1.0, 2.0], "name": ["Ada"]}
