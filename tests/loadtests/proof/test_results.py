"""A run counts if every answer was good and right; figures are medians of those that count."""

from dataclasses import replace
from typing import Any

import pytest

from loadtests.proof.results import (
    Measured,
    Unreadable,
    from_json,
    leads,
    paired,
    to_json,
)
from tests.loadtests.proof.support import RUN, measured, outcome, results


@pytest.mark.parametrize(
    ("changes", "trouble"),
    [
        ({"errors": 2, "example": "status 503"}, "2 errors (status 503)"),
        ({"wrong": 1}, "1 of 10 checked answers wrong"),
        ({"checked": 0}, "no answer was checked"),
        ({"requests": 0}, "no answers"),
        ({}, ""),
    ],
)
def test_a_run_that_is_not_wholly_right_counts_for_nothing(
    changes: dict[str, Any], trouble: str
) -> None:
    """Errors, wrong numbers, and not having looked each make it invalid, with the reason."""
    run = replace(RUN, **changes)

    assert run.trouble == trouble
    assert run.is_valid == (not trouble)


def test_invalid_runs_are_never_averaged_in() -> None:
    """A rate that was reached with errors is no rate."""
    runs = [replace(RUN, requests_per_second=rate) for rate in (100.0, 9.0, 300.0)]
    runs[1] = replace(runs[1], errors=1)
    seen = Measured("a", tuple(runs)).spread("requests_per_second")

    assert seen is not None
    assert (seen.median, seen.low, seen.high, seen.count) == (200.0, 100.0, 300.0, 2)
    assert Measured("a", (runs[1],)).spread("requests_per_second") is None


def test_ratios_are_of_runs_of_the_same_round() -> None:
    """A machine that slows down for a round does so for both."""
    ratio = paired(measured("a", [100, 50, 80]), measured("b", [50, 25, 40]), "requests_per_second")

    assert ratio is not None
    assert (ratio.median, ratio.low, ratio.high) == (0.5, 0.5, 0.5)


def test_a_round_with_an_invalid_run_has_no_ratio() -> None:
    """The other run of it has nothing to be held against."""
    bad = Measured("b", (RUN, replace(RUN, wrong=1)))
    ratio = paired(measured("a", [500, 500]), bad, "requests_per_second")

    assert ratio is not None
    assert ratio.count == 1


def test_who_is_before_the_gateway_in_every_round_leads() -> None:
    """Fewer microseconds and more requests are better; once behind is no lead."""
    ours = measured("tidegate", [500, 500, 500])
    faster = measured("quick", [510, 505, 600], p50_seconds=0.002)
    sometimes = measured("mixed", [600, 600, 499])

    found = list(leads(outcome(ours, faster, sometimes)))

    assert [(one.leader, one.figure.key) for one in found] == [("quick", "requests_per_second")]


def test_bare_loops_and_other_gateways_do_not_lead() -> None:
    """Nobody can take a loop around a session instead, and the others are ours."""
    ours = measured("tidegate", [500])

    assert not list(leads(outcome(ours, measured("bare", [900]))))
    assert not list(leads(outcome(ours, measured("tidegate without monitoring", [900]))))
    assert not list(leads(outcome(measured("plain", [500]), measured("quick", [900]))))


def test_results_come_back_from_a_file_as_they_were() -> None:
    """Every run, and why a target is missing."""
    missing = Measured("ray", missing="it cannot be installed")
    told = results(outcome(measured("tidegate", [1.5, 2.5]), missing))

    assert from_json(to_json(told)) == told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{}", "format: Field required"),
        (b"[1", "not the result of a run: the file: Invalid JSON"),
        (to_json(results(format=2)), "format 2 of results, where this program reads 1"),
    ],
)
def test_other_files_are_refused_with_the_reason(text: bytes, words: str) -> None:
    """What is wrong is said in terms of the file."""
    with pytest.raises(Unreadable, match=words):
        from_json(text)
