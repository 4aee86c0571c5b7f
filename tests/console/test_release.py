"""The page of a release: parts, gates as lines, samples, history."""

from typing import Any

import pytest

from server.console.release import PAD, WIDTH, ReleaseFacts, view
from server.release.gates import answer as judged
from server.release.gates import rate_question
from tests.support.release_answers import HISTORY, STATUS


def reading(events: int, total: int) -> dict[str, Any]:
    """Return what the gate of failed runs says of so many."""
    return judged(rate_question("errors", events, total, 0.01, 0.0025, 500)).to_json()


def release(*gates: dict[str, Any], **other: Any) -> dict[str, Any]:
    """Return a release whose shadow is judged by these gates."""
    shadow = {"version": "4", "epoch": "6", "verdict": "inconclusive", "gates": list(gates)}
    told = {"shadows": [shadow], "canary": None, "live": None, "waits_for": ""}
    return {**STATUS, "gates": told, **other}


def page(status: dict[str, Any], **other: Any) -> Any:
    """Return the page of a release."""
    given: dict[str, Any] = {"samples": (), "history": HISTORY["entries"]}
    return view(ReleaseFacts(status, **(given | other)))


def test_parts_are_said_in_a_line_each() -> None:
    """With what they have of the traffic."""
    found = page(release())

    assert (found.live, found.previous, found.mode) == ("2", "1", "manual")
    assert found.canary == "3 (answers 25 %, step 2 of 2)"
    assert found.shadows == "4 (sees 2.5 %)"
    assert found.workers == "all 2 answer by generation 7"


def test_nothing_is_none_and_not_an_error() -> None:
    """A model that has just come."""
    found = page(release(previous=None, canary=None, shadows=[], live=None, mode=None))

    assert (found.previous, found.canary, found.shadows) == ("none", "none", "none")
    assert found.mode == "not known yet"


def test_an_approval_is_waited_for_or_given() -> None:
    """Whoever has given it is named."""
    canary = {**STATUS["canary"], "needs_approval": True}

    assert "waits for approval" in page(release(canary=canary)).canary
    assert "approved by bob" in page(release(canary={**canary, "approved_by": "bob"})).canary


def test_a_gate_that_is_open_says_what_it_needs() -> None:
    """Its interval, its budget, and how much of what it needs was seen."""
    (gate,) = page(release(reading(1, 300))).judged[0].gates

    assert (gate.verdict, gate.words) == ("inconclusive", "failed runs")
    assert gate.needed.startswith("about ")
    assert gate.percent is not None
    assert 0 < gate.percent < 100
    assert gate.figures == "0.00333, limit 0.01; 1 of 300 pairs"


@pytest.mark.parametrize(("events", "total"), [(0, 10), (1, 300), (50, 300), (3, 90_000)])
def test_a_gate_is_drawn_inside_of_its_line_and_in_order(events: int, total: int) -> None:
    """Low, seen and high follow each other; the limit is on the line too."""
    (gate,) = page(release(reading(events, total))).judged[0].gates

    drawn = gate.drawn
    assert drawn is not None
    assert PAD <= drawn.low <= drawn.seen <= drawn.high <= WIDTH - PAD
    assert PAD < drawn.limit < WIDTH - PAD
    assert (gate.verdict == "fail") == (drawn.low > drawn.limit)


def test_without_data_a_gate_is_not_drawn() -> None:
    """It says that nothing was seen."""
    (gate,) = page(release(reading(0, 0))).judged[0].gates

    assert (gate.drawn, gate.figures) == (None, "nothing seen yet")


def test_workers_that_are_behind_are_named() -> None:
    """And that there is none."""
    workers = [{"worker": 0, "generation": 7}, {"worker": 1, "generation": None}]

    behind, nobody = page(release(workers=workers)), page(release(workers=[]))

    assert (behind.workers, behind.behind) == ("not by this generation yet: 1 by none", True)
    assert nobody.workers == "no worker is connected"


def test_samples_are_newest_first_and_cut() -> None:
    """Features go by their names, other tensors by theirs."""
    rows = [
        {
            "kind": "label_flip",
            "at_seconds": float(moment),
            "prediction_id": "",
            "inputs": {"x": {"age": moment, "bmi": 2.5}},
            "live": {"y": [1.0, 2.0]},
            "candidate": {"y": "w" * 100},
        }
        for moment in range(20)
    ]

    found = page(release(), samples=[{"version": "4", "mismatches": rows}])

    newest = found.samples[0]
    assert (newest.kind, newest.inputs) == ("label flip", [("age", "19"), ("bmi", "2.5")])
    assert newest.live == [("y", "1.0, 2.0")]
    assert len(newest.candidate[0][1]) == 60
    assert (len(found.samples), found.more_samples) == (12, 8)


def test_history_says_who_what_and_why() -> None:
    """A store that does not answer is not an empty history; odd entries are shown."""
    (row,) = page(release()).history
    odd = {**HISTORY["entries"][0], "before": "?", "after": None}

    assert (row.actor, row.action, row.moved) == ("ann", "promote", "1 → 2")
    assert page(release(), history=None).history is None
    assert page(release(), history=[odd]).history[0].moved == "?"
