"""Whatever rows come, no rule records what is not a number, and no alert is raised for nothing."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.support import prometheus
from tests.support.fleets import Fleet, varied_profile, varied_rows
from tests.support.prometheus import RULES, Expected
from tests.support.references import Tensors


def recorded_names() -> list[str]:
    """Return the names of all series that the rules of drift record."""
    rules = yaml.safe_load((RULES / "tidegate-drift-rules.yml").read_text(encoding="utf-8"))
    found = {rule["record"] for rule in rules["groups"][0]["rules"] if "record" in rule}
    return sorted(found)


def numbers_are_finite(minute: int) -> list[Expected]:
    """Expect that no recorded series is NaN, which is unlike itself, or infinite."""
    return [
        Expected(f"(count({name} != {name} or abs({name}) == Inf) or vector(0))", 0.0, minute)
        for name in recorded_names()
    ]


def no_rows(rng: np.random.Generator) -> tuple[Tensors, Tensors]:
    """Return a batch without rows."""
    inputs, outputs = varied_rows(rng, 1)
    return {k: v[:0] for k, v in inputs.items()}, {k: v[:0] for k, v in outputs.items()}


def odd_rows(rng: np.random.Generator, value: float, rows: int) -> tuple[Tensors, Tensors]:
    """Return rows whose numbers are all one value and whose words are all missing or new."""
    inputs, outputs = map(dict, varied_rows(rng, rows))
    inputs["x"] = np.full_like(inputs["x"], value)
    outputs["y"] = np.full_like(outputs["y"], value)
    inputs["town"] = np.full_like(inputs["town"], None)
    inputs["colour"] = np.full_like(inputs["colour"], "a colour of its own")
    return inputs, outputs


@pytest.mark.parametrize("with_bins", [False, True], ids=["scores", "bins"])
def test_odd_rows_leave_numbers(tmp_path: Path, *, with_bins: bool) -> None:
    """No rows, one row, then nothing but NaN, infinities, one value, far values."""
    rng = np.random.default_rng(3)
    fleet = Fleet(varied_profile(2000), 1, with_bins=with_bins, step_minutes=5)
    expected = numbers_are_finite(0)
    for batch in (
        no_rows(rng),
        varied_rows(rng, 1),
        odd_rows(rng, np.nan, 300),
        odd_rows(rng, np.inf, 300),
        odd_rows(rng, 3.0, 300),
        odd_rows(rng, 1e30, 3000),
    ):
        fleet.take(batch)
        expected += numbers_are_finite(fleet.minute)

    prometheus.check(
        tmp_path / "test.yml", fleet.series, expected, step_minutes=5, evaluation_minutes=5
    )


def test_without_rows_nothing_is_said(tmp_path: Path) -> None:
    """A version that nobody asks has no verdict, and few rows have none that could raise."""
    rng = np.random.default_rng(3)
    fleet = Fleet(varied_profile(2000), 2, with_bins=True, step_minutes=5)
    silent = Expected("count(tidegate_feature:rule:reach) or vector(0)", 0.0, 0)
    fleet.take(odd_rows(rng, 9.0, 99), odd_rows(rng, 9.0, 99))

    prometheus.check(
        tmp_path / "test.yml",
        fleet.series,
        [silent, Expected(silent.expression, 0.0, fleet.minute)],
        step_minutes=5,
        evaluation_minutes=5,
    )
