"""`python -m loadtests release`: how often the gates of a release are right."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace

from loadtests.release import peeking
from loadtests.release.canary_runs import CanaryTrial
from loadtests.release.number_runs import Regression
from loadtests.release.runs import Run, repeat
from loadtests.release.shadow_runs import Candidate
from server.release.gate_settings import GateSettings

SEED = 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--runs", type=int, default=200, help="of each row (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="other runs, same plan")
    parser.add_argument("--only", default="", help="rows whose name has this in it")


def run(options: argparse.Namespace) -> None:
    """Print all tables as Markdown."""
    for heading, rows in (
        ("| a shadow | passed | failed | undecided | median pairs |", _shadows()),
        ("| a shadow of numbers | passed | failed | undecided | median labels |", _numbers()),
        ("| a canary | passed | failed | undecided | median seconds |", _canaries()),
    ):
        _print_table(heading, _tallies(rows, options))
    _print_table("| nothing is there | false claims, test for one look | ours |", _claims(options))


def _tallies(rows: dict[str, Run], options: argparse.Namespace) -> Iterator[str]:
    for name, one in rows.items():
        if options.only in name:
            tally = repeat(one, options.runs, options.seed)
            figures = (tally.passed, tally.failed, tally.undecided, tally.median)
            yield f"| {name} | " + " | ".join(f"{figure:,}" for figure in figures) + " |"


def _claims(options: argparse.Namespace) -> Iterator[str]:
    looks: dict[str, peeking.Trial] = {
        "1 % differ, budget 1 %": peeking.at_budget(0.01),
        "2 % differ, budget 2 %": peeking.at_budget(0.02),
        "equally right, 4 % differ": peeking.equally_right(0.04),
        "equally near, all differ": peeking.equally_right(1.0),
        "canary fails as often, incident x20": peeking.equal_canary(has_keys=False),
        "the same with 300 users by key": peeking.equal_canary(has_keys=True),
    }
    for name, one in looks.items():
        if options.only in name:
            found = peeking.claims(one, options.runs, options.seed)
            yield f"| {name} | {found.naive:.1%} | {found.ours:.1%} |"


def _shadows() -> dict[str, Run]:
    """Return the rows about shadows: what is true of the candidate, and its runs."""
    alone = GateSettings(off=("errors", "faults", "slow", "scores"))
    border = Candidate(0.02, settings=alone)
    return {
        "the same file twice": Candidate(),
        "the same file twice, 20 rows a request": Candidate(rows=20),
        "0.5 % flips, budget 2 %": Candidate(0.005),
        "3 % flips, budget 2 %": Candidate(0.03),
        "3 % flips, 20 alike rows a request": Candidate(0.03, rows=20, alike=0.3),
        "2 % flips, budget 2 %": border,
        "2 % flips, 20 alike rows a request": replace(border, rows=20, alike=0.3),
        "the same, wrongly counted by row": replace(
            border, rows=20, alike=0.3, by_row=True, requests=2000
        ),
    }


def _numbers() -> dict[str, Run]:
    """Return the rows about regressions, by how large the candidate's errors are."""
    return {
        "errors: the same file twice": Regression(alike=1.0),
        "errors: as large": Regression(),
        "errors: a tenth smaller": Regression(size=0.9),
        "errors: 6.5 % larger, just the limit": Regression(size=1.065),
        "errors: a tenth larger": Regression(size=1.1),
        "errors: a quarter larger": Regression(size=1.25),
        "errors: half as large again": Regression(size=1.5),
    }


def _canaries() -> dict[str, Run]:
    """Return the rows about canaries."""
    return {
        "no failures at all": CanaryTrial(base_rate=0.0),
        "1 % fail, both alike, incident x20": CanaryTrial(),
        "the same with 300 users by key": CanaryTrial(has_keys=True),
        "fails twice as often": CanaryTrial(ratio=2.0),
        "fails three times as often": CanaryTrial(ratio=3.0),
        "fails ten times as often": CanaryTrial(ratio=10.0),
    }


def _print_table(heading: str, rows: Iterator[str]) -> None:
    lines = []
    for line in rows:
        print(line, file=sys.stderr, flush=True)
        lines.append(line)
    if lines:
        print(f"\n{heading}\n|---" + "|---" * (heading.count("|") - 2) + "|")
        print("\n".join(lines))
