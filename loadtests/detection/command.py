"""`python -m loadtests detection`: the parts, their sizes, and what is printed.

Tables go to the standard output as Markdown, progress to the standard error. With `--out`, cells of
`doses` are kept as JSON as well.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

from loadtests.detection import (
    dose_report,
    doses,
    false_alarms,
    family,
    onset,
    seasons,
    streams,
)
from loadtests.detection.changes import CHANGES, Change, Values, real_changes
from loadtests.detection.environments import (
    WINDOW_PEERS,
    real_rows,
    river_claims,
    running_peers,
)
from loadtests.detection.watch import Policy
from loadtests.environments import DEFAULT_FOLDER, PeerMissing

T = TypeVar("T")

PARTS = ("false-alarms", "family", "doses", "streams", "onset", "seasons")
QUICK_CHANGES = ("normal +.5 sd", "normal sd x2", "two peaks, same moments", "other shares of 5")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--quick", action="store_true", help="small, without peers: a look")
    parser.add_argument("--no-peers", action="store_true", help="only what needs no environments")
    parser.add_argument(
        "--environments",
        type=Path,
        default=DEFAULT_FOLDER,
        metavar="DIR",
        help="where the peers' environments are, or are made (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, help="other windows, same plan")
    parser.add_argument("--only", default="", help="changes whose name has this in it")
    parser.add_argument(
        "--windows", type=int, default=200, help="of each dose; three times as many are clean"
    )
    parser.add_argument("--streams", type=int, default=30, help="of each change")
    parser.add_argument("--out", type=Path, help="write the cells of `doses` to this file")


def run(options: argparse.Namespace) -> None:
    """Run the parts that the command line names, or all."""
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        sys.exit(f"unknown part {', '.join(sorted(unknown))}: expected {', '.join(PARTS)}")
    options.no_peers |= options.quick
    runs: dict[str, Callable[[argparse.Namespace], str]] = {
        "false-alarms": _false_alarms,
        "family": _family,
        "doses": _doses,
        "streams": _streams,
        "onset": _onset,
        "seasons": _seasons,
    }
    for part in options.parts or PARTS:
        print(f"\n## {part}\n\n{runs[part](options)}", flush=True)


def _false_alarms(options: argparse.Namespace) -> str:
    plan = false_alarms.Plan(seed=options.seed)
    if options.quick:
        plan = replace(plan, sizes=(500,), references=10, windows=50, rhos=(0.8,))
    return false_alarms.table(list(_shown(false_alarms.measure(plan))))


def _family(options: argparse.Namespace) -> str:
    plan = family.Plan(seed=options.seed)
    if options.quick:
        plan = replace(plan, evaluations=100)
    alarms = family.measure(plan)
    return (
        f"{plan.features} clean features, {plan.evaluations:,} evaluations of "
        f"{plan.sub_window_rows} rows: {alarms} alarms; the budget is one in "
        f"{family.MONTH_EVALUATIONS:,}."
    )


def _doses(options: argparse.Namespace) -> str:
    missing: dict[str, str] = {}
    windows = options.windows
    plan = doses.Plan(clean_windows=3 * windows, dosed_windows=windows, seed=options.seed)
    changes = [*CHANGES]
    if options.quick:
        plan = replace(plan, sizes=(1000,), clean_windows=300, dosed_windows=100)
        changes = [change for change in changes if change.name in QUICK_CHANGES]
    elif not options.no_peers:
        changes += _real_changes(options.environments, missing)
    changes = [change for change in changes if options.only in change.name]
    cells: list[doses.Cell] = []
    with tempfile.TemporaryDirectory(prefix="detection-") as folder:
        scratch = Path(folder)
        names = () if options.no_peers else WINDOW_PEERS
        with running_peers(names, options.environments, scratch, missing) as peers:
            for found in _shown(doses.measure(changes, plan, peers, scratch, missing)):
                cells += found
                if options.out:
                    options.out.write_text(json.dumps([asdict(cell) for cell in cells]))
    return f"{dose_report.everything(cells)}{_missing(missing)}"


def _real_changes(folder: Path, missing: dict[str, str]) -> Sequence[Change]:
    try:
        return real_changes(real_rows(folder))
    except PeerMissing as error:
        missing["nannyml's rows"] = str(error)
        return []


def _streams(options: argparse.Namespace) -> str:
    plan = streams.Plan(options.streams, seed=options.seed)
    if options.quick:
        plan = replace(plan, streams=2, policies=(Policy(),), rhos=())
    missing: dict[str, str] = {}

    def river(name: str, rows: Values) -> list[list[int]]:
        return river_claims(name, rows, options.environments)

    claims = None if options.no_peers else river
    try:
        found = list(_shown(streams.measure(plan, claims)))
    except PeerMissing as error:
        missing["river"] = str(error)
        found = list(_shown(streams.measure(plan, None)))
    return f"{streams.table(found)}{_missing(missing)}"


def _onset(options: argparse.Namespace) -> str:
    if options.no_peers:
        return "needs NannyML's rows: not without its environment"
    try:
        return onset.table(onset.measure(real_rows(options.environments)))
    except PeerMissing as error:
        return _missing({"nannyml": str(error)})


def _seasons(options: argparse.Namespace) -> str:
    plan = seasons.Plan(seed=options.seed)
    if options.quick:
        plan = replace(plan, features=4, sizes=(500,), windows=50, days=0.05, streams=3)
    return seasons.table(*seasons.measure(plan))


def _missing(missing: dict[str, str]) -> str:
    return "".join(f"\n\nnot measured: {name}: {reason}" for name, reason in missing.items())


def _shown(found: Iterable[T]) -> Iterator[T]:
    """Pass results on, and say that there is progress."""
    for number, one in enumerate(found, 1):
        print(f"\r{number}", end="", file=sys.stderr, flush=True)
        yield one
    print(file=sys.stderr)
