"""`python -m loadtests SCENARIO`: run one measurement and print its table."""

import argparse
import os
import platform
from pathlib import Path

from loadtests import bench_models, footprint, loading, monitoring, switches, throughput
from loadtests.detection import command as detection
from loadtests.release import command as release


def main() -> None:
    """Read the command line and run a scenario."""
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__)
    commands = parser.add_subparsers(dest="scenario", required=True)
    _throughput_options(commands.add_parser("throughput", help="requests/s and CPU per request"))
    switch = commands.add_parser("switches", help="version switches under load")
    switch.add_argument("--switches", type=int, default=1000)
    load = commands.add_parser("loading", help="p99 of one model while another one loads")
    load.add_argument("--rounds", type=int, default=5)
    watch = commands.add_parser("monitoring", help="what counting and judging rows costs")
    watch.add_argument("--rounds", type=int, default=6)
    watch.add_argument("--seconds", type=int, default=4)
    commands.add_parser("footprint", help="start, memory, scrape")
    detection.add_options(commands.add_parser("detection", help="how well drift is detected"))
    release.add_options(commands.add_parser("release", help="how often gates are right"))
    options = parser.parse_args()
    print(f"machine: {machine()}", flush=True)
    if options.scenario == "throughput":
        _throughput(options)
    elif options.scenario == "switches":
        print(switches.measure(options.switches))
    elif options.scenario == "loading":
        print(loading.measure(options.rounds))
    elif options.scenario == "monitoring":
        print(monitoring.measure(options.rounds, options.seconds))
    elif options.scenario == "detection":
        detection.run(options)
    elif options.scenario == "release":
        release.run(options)
    else:
        print(footprint.measure())


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


def machine() -> str:
    """Return what the figures were measured on."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return (
        f"{os.cpu_count()} cores, {model}, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
