"""The metric of data checks: what was broken, and zeros for what was not."""

from server.controlplane.check_metrics import ZEROED_CHECKS, broken_checks
from server.controlplane.totals import Totals
from server.monitoring.checks import Check, Policy
from server.settings import ModelSettings
from server.wire.desired import ModelPlan, VersionPlan
from server.wire.tally import Tally

CHECKS = (
    Check("age", "x", 0, Policy.WARN, minimum=0, nullable=False),
    Check("colour", "c", 0, Policy.REJECT, categories=("red",)),
)


def plan(*checks: Check) -> ModelPlan:
    """Return a model with a version 1 that has these checks."""
    version = VersionPlan("d", "p", "", ModelSettings(), True, 0.0, checks=checks)
    return ModelPlan("1", {"1": version})


def values(totals: Totals, *checks: Check) -> dict[tuple[str, ...], float]:
    """Return the samples of model `m` with these checks, by their labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for sample in broken_checks(totals, {"m": plan(*checks)}).samples
    }


def test_what_can_break_is_zero_before_it_does() -> None:
    """So that the first broken rows are an increase."""
    assert values(Totals(), *CHECKS) == {
        ("m", "1", "age", "missing", "warn"): 0.0,
        ("m", "1", "age", "range", "warn"): 0.0,
        ("m", "1", "colour", "category", "reject"): 0.0,
    }


def test_rows_are_counted_also_of_what_is_not_loaded_any_more() -> None:
    """A counter does not end with the check that it counted."""
    totals = Totals()
    totals.versions["m", "1"] = tally = Tally()
    tally.broken["age", "range", "warn"] = 7
    totals.versions["gone", "3"] = gone = Tally()
    gone.broken["f", "range", "count"] = 2
    found = values(totals, *CHECKS)

    assert found["m", "1", "age", "range", "warn"] == 7.0
    assert found["m", "1", "age", "missing", "warn"] == 0.0
    assert found["gone", "3", "f", "range", "count"] == 2.0


def test_a_wide_profile_makes_no_flood_of_zeros() -> None:
    """Of very many checks only the first ones have a series before they are broken."""
    many = [Check(f"f{at}", "x", at, Policy.WARN, minimum=0) for at in range(1000)]

    assert len(values(Totals(), *many)) == ZEROED_CHECKS
