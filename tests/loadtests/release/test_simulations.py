"""Gates are right as often as they say, in small seeded simulations with the product's functions.

The same with 200 runs of each, and the figures: `python -m loadtests release`.
"""

import argparse

import pytest

from loadtests.release import command, peeking
from loadtests.release.canary_runs import CanaryTrial
from loadtests.release.number_runs import Regression
from loadtests.release.runs import repeat
from loadtests.release.shadow_runs import Candidate
from server.release.gate_settings import GateSettings

RUNS = 10
ALONE = GateSettings(off=("errors", "faults", "slow", "scores"))


@pytest.mark.parametrize("rows", [1, 20])
def test_the_same_file_twice_passes_every_gate(rows: int) -> None:
    """With one row a request and with twenty."""
    tally = repeat(Candidate(rows=rows, requests=6000), RUNS, seed=7)

    assert (tally.passed, tally.failed) == (RUNS, 0)


@pytest.mark.parametrize(("rows", "alike"), [(1, 0.0), (20, 0.3)])
def test_three_in_a_hundred_flips_fail_a_budget_of_two(rows: int, alike: float) -> None:
    """Never passed, and found, also where flips of a request are alike."""
    tally = repeat(Candidate(0.03, rows, alike, settings=ALONE), 5, seed=7)

    assert (tally.passed, tally.failed) == (0, 5)


def test_rows_that_are_alike_are_no_proof_by_request() -> None:
    """At the budget exactly, nothing is claimed, however often one looks."""
    tally = repeat(Candidate(0.02, 20, 0.3, requests=4000, settings=ALONE), RUNS, seed=7)

    assert tally.undecided >= RUNS - 1


def test_canaries_are_judged_by_their_ratio_while_failures_come_and_go() -> None:
    """As often as the live version passes, with keys too; three times as often fails."""
    assert repeat(CanaryTrial(), 3, seed=7).passed == 3
    assert repeat(CanaryTrial(has_keys=True), 3, seed=7).passed == 3
    assert repeat(CanaryTrial(ratio=3.0), 3, seed=7).failed == 3


def test_regressions_are_judged_by_who_is_nearer() -> None:
    """As large errors pass and a quarter larger ones fail, though both have heavy tails."""
    assert repeat(Regression(alike=1.0, rows=2000), 3, seed=7).passed == 3
    assert repeat(Regression(), 5, seed=7).failed == 0
    assert repeat(Regression(size=1.25), 5, seed=7).failed == 5


@pytest.mark.parametrize(
    "looks", [peeking.at_budget(0.02), peeking.equally_right(0.04)], ids=["budget", "labels"]
)
def test_looking_again_and_again_claims_next_to_nothing(looks: peeking.Trial) -> None:
    """Two in a hundred at most, where a test for one look claims something in a third."""
    found = peeking.claims(looks, 100, seed=7)

    assert found.ours <= 0.02
    assert found.naive >= 0.3


def test_the_command_prints_a_table_of_what_was_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In Markdown, with the rows whose name was given."""
    parser = argparse.ArgumentParser()
    command.add_options(parser)
    command.run(parser.parse_args(["--runs", "2", "--only", "ten times"]))
    printed = capsys.readouterr().out

    assert printed.splitlines()[1:3] == [
        "| a canary | passed | failed | undecided | median seconds |",
        "|---|---|---|---|---|",
    ]
    assert "| fails ten times as often | 0 | 2 | 0 |" in printed
