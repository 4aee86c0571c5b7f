"""`python -m loadtests SCENARIO`: run one measurement and print its table."""

import argparse
from collections.abc import Callable
from typing import Any

from loadtests import (
    access,
    bench_models,
    capture,
    consoles,
    feedback,
    footprint,
    kills,
    loading,
    machine,
    monitoring,
    pictures,
    rollbacks,
    switches,
    throughput,
)
from loadtests.detection import command as detection
from loadtests.hostile import command as hostile
from loadtests.overload import command as overload
from loadtests.peers import command as peers
from loadtests.proof import command as proof
from loadtests.release import command as release
from loadtests.scale import command as scale
from loadtests.shadowing import command as shadow
from loadtests.soak import command as soak


def main() -> None:
    """Read the command line and run a scenario."""
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__)
    commands = parser.add_subparsers(dest="scenario", required=True)
    tested = commands.add_parser("throughput", help="requests/s and CPU per request")
    _throughput_options(tested)
    tested.set_defaults(run=_throughput)
    tested = commands.add_parser("pictures", help="draw those of docs/statistics.md anew")
    tested.set_defaults(run=lambda _: pictures.draw())
    _add_measurements(commands)
    for add in (proof.add_options, hostile.add_options, scale.add_options):
        add(commands)
    for name, words, module in (
        ("detection", "how well drift is detected", detection),
        ("release", "how often gates are right", release),
        ("shadow", "p99 beside shadows, bad ones too", shadow),
        ("overload", "up to ten times what a model can take", overload),
        ("peers", "which other servers can be measured here", peers),
        ("access", "what keys cost", access),
        ("soak", "whether anything grows in a long mixed run", soak),
        ("console", "what twenty open tabs cost", consoles),
    ):
        tested = commands.add_parser(name, help=words)
        module.add_options(tested)
        tested.set_defaults(run=module.run)
    options = parser.parse_args()
    if not getattr(options, "json", False) and not getattr(options, "says_machine", False):
        print(f"machine: {machine.described()}", flush=True)
    options.run(options)


def _add_measurements(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the scenarios that print one result, each with the numbers that it is given."""
    for name, words, measure, numbers in (
        ("switches", "version switches under load", switches.by_policy, {"switches": 1000}),
        ("promotions", "promote and roll back under load", switches.by_release, {"switches": 2000}),
        ("rollbacks", "roll back from a version that hangs", rollbacks.measure, {"rounds": 5}),
        ("kills", "kill -9 while a release changes", kills.measure, {"kills": 200}),
        ("loading", "p99 of one model while another one loads", loading.measure, {"rounds": 5}),
        ("monitoring", "what counting costs", monitoring.measure, {"rounds": 6, "seconds": 4}),
        ("feedback", "what labels cost", feedback.measure, {"rounds": 6, "seconds": 4}),
        ("capture", "what captured rows cost", capture.measure, {"rounds": 6, "seconds": 4}),
        ("footprint", "start, memory, scrape", footprint.measure, {}),
    ):
        tested = commands.add_parser(name, help=words)
        for option, default in numbers.items():
            tested.add_argument(f"--{option}", type=int, default=default)
        tested.set_defaults(run=_printing(measure, list(numbers)))


def _printing(measure: Callable[..., str], numbers: list[str]) -> Callable[[Any], None]:
    """Return what measures with the numbers of the command line, and prints the result."""
    return lambda options: print(measure(*(getattr(options, name) for name in numbers)))


def _throughput_options(parser: argparse.ArgumentParser) -> None:
    known = ", ".join(bench_models.workloads())
    parser.add_argument(
        "--workload", default="tabular-json-1", choices=bench_models.workloads(), help=known
    )
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--targets", nargs="+", default=["tidegate", "plain"], choices=["tidegate", "plain", "bare"]
    )
    parser.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="NAME=PORT=COMMAND",
        help="another server to measure in the same run, which answers at 127.0.0.1:PORT",
    )
    parser.add_argument(
        "--pinned", action="store_true", help="servers on core 0, the load generator on core 1"
    )


def _throughput(options: argparse.Namespace) -> None:
    pinned = options.pinned or "bare" in options.targets
    runs = throughput.compare(
        throughput.Options(
            options.targets,
            options.workload,
            options.connections,
            options.rounds,
            options.seconds,
            options.workers,
            options.beside,
            pinned,
        )
    )
    print(
        f"workload {options.workload}, {options.connections} connections, "
        f"{options.workers} worker(s), medians of {options.rounds} x {options.seconds} s"
        f"{', servers on core 0' if pinned else ''}\n"
    )
    print(throughput.table(runs))


if __name__ == "__main__":
    main()
