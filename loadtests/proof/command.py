"""`run`, `compare`, `report`: measure scenarios, hold results against each other, show them."""

import argparse
import datetime
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from loadtests import bench_models, machine
from loadtests.proof import comparing, plots, report, running
from loadtests.proof.catalogue import OPTIONS, SETS, Scenario, Unknown, selected
from loadtests.proof.contestants import NAMES, names
from loadtests.proof.results import FORMAT, Outcome, Results, Unreadable, from_json, to_json
from loadtests.proof.running import Plan

START_SECONDS = 8
"""What a server takes to start and to be checked, roughly: for how long a command may take."""
_CLOSING = "\n".join(
    [
        "scenarios: WORKLOAD/CONNECTIONS[/OPTION…], patterns of them with *, and sets",
        f"workloads: {', '.join(bench_models.WORKLOADS)}",
        *(f"option {name}: {words}" for name, words in OPTIONS.items()),
        *(f"set {name}: {words}" for name, words in SETS.items()),
    ]
)


def add_options(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the three commands."""
    parser = commands.add_parser(
        "run",
        help="scenarios, beside other servers",
        epilog=_CLOSING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "scenarios", nargs="+", metavar="SCENARIO", help="such as tabular-json-1/64"
    )
    parser.add_argument(
        "--targets",
        nargs="+",
        default=["tidegate", "plain"],
        metavar="NAME",
        help=f"of {', '.join(NAMES)} (default: tidegate plain)",
    )
    parser.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="NAME=PORT=COMMAND",
        help="another server, which answers as the gateway does at 127.0.0.1:PORT",
    )
    parser.add_argument("--rounds", type=int, default=5, help="runs of each target (default: 5)")
    parser.add_argument("--seconds", type=int, default=4, help="of a run (default: 4)")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write every run there, after each scenario"
    )
    parser.add_argument("--json", action="store_true", help="print every run instead of tables")
    parser.add_argument("--list", action="store_true", help="name the scenarios, measure nothing")
    parser.set_defaults(run=run, says_machine=True)
    parser = commands.add_parser("compare", help="two results of `run`, and what is only noise")
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.set_defaults(run=compare, says_machine=True)
    parser = commands.add_parser("report", help="tables and pictures of results of `run`")
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="write SVG and PNG there")
    parser.set_defaults(run=show, says_machine=True)


def run(options: argparse.Namespace) -> None:
    """Measure what the command line names, and print tables or JSON."""
    try:
        scenarios = selected(options.scenarios, bench_models.WORKLOADS)
        each = [names(scenario, options.targets, options.beside) for scenario in scenarios]
    except Unknown as error:
        sys.exit(str(error))
    if options.rounds < 1 or options.seconds < 1:
        sys.exit(f"--rounds {options.rounds} --seconds {options.seconds}: both must be 1 at least")
    if options.list:
        print("\n".join(scenario.name for scenario in scenarios))
        return
    seconds = _expected_seconds(scenarios, [len(some) for some in each], options)
    _tell(f"{len(scenarios)} scenarios, about {seconds / 60:.0f} minutes")
    plan = Plan(options.targets, options.beside, options.rounds, options.seconds)
    done: list[Outcome] = []
    for outcome in running.outcomes(scenarios, plan, _tell):
        done.append(outcome)
        if options.output is not None:
            _write(options.output, to_json(_results(options, done)))
    results = _results(options, done)
    print(to_json(results).decode() if options.json else report.report(results))


def _expected_seconds(
    scenarios: Sequence[Scenario], targets: Sequence[int], options: argparse.Namespace
) -> float:
    """Return how long a run takes, roughly: starts, warming and runs."""
    total, before = 0.0, None
    for scenario, count in zip(scenarios, targets, strict=True):
        total += count * (running.WARM_SECONDS + options.rounds * options.seconds)
        total += count * START_SECONDS * (scenario.servers != before)
        before = scenario.servers
    return total


def _results(options: argparse.Namespace, outcomes: Sequence[Outcome]) -> Results:
    now = datetime.datetime.now(datetime.UTC)
    return Results(
        format=FORMAT,
        when=now.isoformat(timespec="seconds"),
        command=shlex.join(["python", "-m", "loadtests", *sys.argv[1:]]),
        commit=machine.commit(),
        machine=machine.machine(),
        versions=machine.versions(),
        rounds=options.rounds,
        seconds=options.seconds,
        outcomes=tuple(outcomes),
    )


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: hours of measuring are in it."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def compare(options: argparse.Namespace) -> None:
    """Print what differs between two files."""
    print(comparing.table(_read(options.old), _read(options.new)))


def show(options: argparse.Namespace) -> None:
    """Print each file's tables; draw its pictures if there is a folder for them."""
    for path in options.results:
        results = _read(path)
        print(report.report(results), end="\n\n")
        if options.pictures is not None:
            folder = options.pictures
            folder.mkdir(parents=True, exist_ok=True)
            prefix = f"{path.stem}-" if len(options.results) > 1 else ""
            drawn = {prefix + name: svg for name, svg in plots.pictures(results).items()}
            draw(drawn, folder)


def draw(pictures: dict[str, str], folder: Path) -> None:
    """Write pictures as SVG, and as PNG where there is a browser to draw them."""
    for name, svg in pictures.items():
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    program = next(filter(None, found), None)
    if program is None:
        _tell("no PNG: that takes Chromium or Google Chrome")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # The sandbox of Chromium needs a kernel that lets it, which few containers have.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(device_scale_factor=2)
        for name, svg in pictures.items():
            page.set_content(f'<body style="margin:0">{svg}</body>')
            page.locator("svg").screenshot(path=folder / f"{name}.png")
        browser.close()


def _read(path: Path) -> Results:
    try:
        return from_json(path.read_bytes())
    except (OSError, Unreadable) as error:
        sys.exit(f"{path}: {error}")
