"""The commands about scale: `scale`, `models`, `together`, `parts` and `fleet`."""

import argparse
import json
from collections.abc import Callable
from typing import Any

from loadtests.scale import fleet, many, parts, sweeps, together


def add_options(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands and their options."""
    tested = commands.add_parser("scale", help="how the cost of a request grows")
    tested.add_argument(
        "--of", nargs="+", default=list(sweeps.SWEEPS), choices=sweeps.SWEEPS, help="what to vary"
    )
    tested.add_argument("--rounds", type=int, default=3)
    tested.add_argument("--seconds", type=int, default=3, help="of each point in a round")
    _finish(
        tested,
        lambda options: sweeps.measure(options.of, options.rounds, options.seconds),
        sweeps.table,
    )
    tested = commands.add_parser("models", help="200 models at once, asked and at rest")
    tested.add_argument("--count", type=int, default=200)
    tested.add_argument("--rounds", type=int, default=3)
    tested.add_argument("--seconds", type=int, default=4)
    tested.add_argument("--idle-seconds", type=int, default=20)
    _finish(
        tested,
        lambda options: many.measure(
            options.count, options.rounds, options.seconds, options.idle_seconds
        ),
        many.table,
    )
    tested = commands.add_parser("together", help="a slow and a fast model in one worker")
    tested.add_argument("--rounds", type=int, default=3)
    tested.add_argument("--seconds", type=int, default=5)
    tested.add_argument("--rate", type=int, default=500, help="of the fast model, a second")
    _finish(
        tested,
        lambda options: together.measure(options.rounds, options.seconds, options.rate),
        together.table,
    )
    tested = commands.add_parser("parts", help="what is paid for each version, in this process")
    _finish(tested, lambda _: parts.figures(), parts.table)
    tested = commands.add_parser("fleet", help="64 cores and 100 replicas, simulated")
    tested.add_argument(
        "--request-us", type=float, default=35.0, help="of a worker, as `throughput` measures it"
    )
    _finish(tested, lambda options: fleet.figures(options.request_us), fleet.table)


def _finish(
    parser: argparse.ArgumentParser,
    measure: Callable[[argparse.Namespace], dict[str, Any]],
    table: Callable[[dict[str, Any]], str],
) -> None:
    """Have a command measure, and print a table or JSON."""
    parser.add_argument("--json", action="store_true", help="print JSON, and no table")

    def run(options: argparse.Namespace) -> None:
        found = measure(options)
        print(json.dumps(found) if options.json else table(found))

    parser.set_defaults(run=run)
