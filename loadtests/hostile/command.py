"""The commands of the hostile clients, and how their results are printed."""

import argparse
import json
from collections.abc import Callable
from typing import Any

from loadtests.hostile import (
    aborts,
    certificates,
    controls,
    disconnects,
    floods,
    fuzz,
    hangs,
    poison,
    restarts,
    slow_clients,
)

Measure = Callable[..., dict[str, Any]]

COMMANDS: list[tuple[str, str, Measure, dict[str, int | float]]] = [
    (
        "slow_clients",
        "what slow clients cost good ones",
        slow_clients.measure,
        {"slow": 500, "readers": 200, "rounds": 2, "seconds": 12},
    ),
    ("aborts", "a model that kills its worker each second", aborts.measure, {"kills": 60}),
    ("hangs", "models that hang beside a good one", hangs.measure, {"loops": 15, "kernels": 3}),
    ("controls", "control killed again and again", controls.measure, {"kills": 10}),
    ("poison", "bad requests in good batches", poison.measure, {"requests": 10_000, "seed": 1}),
    (
        "disconnects",
        "members of batches that leave",
        disconnects.measure,
        {"batches": 1000, "seed": 1},
    ),
    ("floods", "floods on one connection", floods.measure, {"count": 1_000_000}),
    ("fuzz", "mutated requests", fuzz.measure, {"requests": 100_000, "seed": 1}),
    (
        "certificates",
        "certificates that change under load",
        certificates.measure,
        {"swaps": 20, "clients": 4},
    ),
    (
        "restarts",
        "rolling restarts behind HAProxy",
        restarts.measure,
        {"restarts": 20, "load": 0.8},
    ),
]


def add_options(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the scenarios, each with the numbers that it is given."""
    for name, words, measure, numbers in COMMANDS:
        tested = commands.add_parser(name, help=words)
        for option, default in numbers.items():
            tested.add_argument(f"--{option}", type=type(default), default=default)
        tested.add_argument("--json", action="store_true", help="print JSON, and no table")
        tested.set_defaults(run=_printing(measure, list(numbers)))


def _printing(measure: Measure, numbers: list[str]) -> Callable[[Any], None]:
    def run(options: Any) -> None:
        found = measure(*(getattr(options, name) for name in numbers))
        print(json.dumps(found) if options.json else table(found))

    return run


def table(found: dict[str, Any]) -> str:
    """Return what was found as a table of two columns; what is nested has its path as name."""
    return "\n".join(["| what | found |", "|---|---|", *_lines(found, "")])


def _lines(found: dict[str, Any], prefix: str) -> list[str]:
    lines = []
    for name, value in found.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{prefix}{name}: ")
        else:
            shown = ("; ".join(map(str, value)) or "none") if isinstance(value, list) else value
            lines.append(f"| {prefix}{name} | {shown} |")
    return lines
