"""How far the evidence on a candidate has come."""

from typing import Any

import pytest

from server.console.candidates import Progress, gate_share, progress, weights
from server.release.route import Canary, ReleaseRoute, Shadow


def gate(verdict: str, total: int = 0, more: int | None = None, **other: Any) -> dict[str, Any]:
    """Return a gate as the release API tells it."""
    told = {"gate": "errors", "verdict": verdict, "total": total, "more": more}
    return told | {"is_required": True} | other


def report(verdict: str, *gates: dict[str, Any]) -> dict[str, Any]:
    """Return a report of one shadow."""
    shadow = {"version": "2", "epoch": "1", "verdict": verdict, "gates": list(gates)}
    return {"shadows": [shadow], "canary": None, "live": None}


def test_the_gate_that_is_furthest_from_a_decision_speaks() -> None:
    """Three quarters of one and a tenth of another make a tenth."""
    gates = [gate("inconclusive", 300, 100), gate("inconclusive", 100, 900), gate("pass", 400)]

    (found,) = progress(report("inconclusive", *gates), {"shadow": "sees 100 %"})

    assert found == Progress("shadow", "2", "inconclusive", "sees 100 %, not decided yet", 0.1)
    assert found.percent == 10


def test_a_gate_without_a_forecast_leaves_the_whole_without_one() -> None:
    """A share would be made up."""
    (found,) = progress(report("inconclusive", gate("inconclusive", 10)), {})

    assert (found.share, found.percent, found.words) == (None, 0, "not decided yet")


@pytest.mark.parametrize("verdict", ["pass", "fail"])
def test_what_is_decided_is_complete(verdict: str) -> None:
    """Whatever was decided."""
    (found,) = progress(report(verdict, gate(verdict, 500)), {})

    assert found.share == 1.0


def test_a_gate_that_is_not_required_holds_nothing_up() -> None:
    """Only required ones count for the share."""
    gates = [gate("no_data", 0, None, is_required=False), gate("inconclusive", 50, 50)]

    (found,) = progress(report("inconclusive", *gates), {})

    assert found.share == 0.5


def test_a_gate_that_needs_nothing_is_not_forecast() -> None:
    """No rows of no rows are no share."""
    assert gate_share(gate("no_data", 0, 0)) is None
    assert progress(None, {}) == []


def test_a_canary_comes_after_the_shadows() -> None:
    """Both may be there."""
    told = report("pass", gate("pass"))
    told["canary"] = {"version": "3", "epoch": "2", "verdict": "no_data", "gates": []}

    assert [one.part for one in progress(told, {})] == ["shadow", "canary"]


def test_weights_say_what_part_of_the_traffic_a_candidate_has() -> None:
    """A shadow sees, a canary answers."""
    canary = Canary("3", "d", (100, 500), 1, 0.0, "e", "s")
    route = ReleaseRoute("m", 1, "1", canary=canary, shadows=(Shadow("2", "d", 2500, "e", 0.0),))

    assert weights(route) == {"shadow": "sees 25 %", "canary": "answers 5 %"}
    assert weights(ReleaseRoute("m")) == {}
