"""What keys cost: processor time of requests with and without them.

Two gateways are measured in turns, one without keys and one that asks for them. Requests to the
second show a key, as its callers do; it is looked up among a thousand others.
"""

import contextlib
import json
import statistics
import tempfile
from argparse import ArgumentParser, Namespace
from dataclasses import asdict, replace
from pathlib import Path

from loadtests import bench_models, targets, throughput, wrk
from loadtests.wrk import Run
from server.access import key_file, keys
from server.access.key_file import new_token
from server.access.keys import Key
from server.access.roles import Role

CONNECTIONS = 64
KEYS = 1000


def add_options(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--json", action="store_true", help="print every run as JSON")


def run(options: Namespace) -> None:
    """Measure, and print the table."""
    runs = measure(options.rounds, options.seconds)
    if options.json:
        print(json.dumps({name: [asdict(one) for one in each] for name, each in runs.items()}))
        return
    print(throughput.table(runs))
    pairs = [
        with_keys.cpu_seconds_per_request - without.cpu_seconds_per_request
        for without, with_keys in zip(runs["no keys"], runs["keys"], strict=True)
    ]
    print(f"\nkeys cost {statistics.median(pairs) * 1e6:+.2f} µs a request (median over rounds)")


def write_keys(path: Path) -> str:
    """Write a thousand keys; return one of them."""
    tokens = [new_token() for _ in range(KEYS)]
    entries = [
        Key(key_id, "load", (Role.PREDICT,), None, keys.digest(token.encode()))
        for key_id, token in tokens
    ]
    key_file.change(path, lambda _: entries)
    return tokens[KEYS // 2][1]


def measure(rounds: int, seconds: int) -> dict[str, list[Run]]:
    """Return the runs of both gateways."""
    workload = bench_models.workloads()["tabular-json-1"]
    runs: dict[str, list[Run]] = {"no keys": [], "keys": []}
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        repository, path = scratch / "models", scratch / "keys.json"
        bench_models.write_repository(repository)
        token = write_keys(path)
        shown = replace(workload, headers={"Authorization": f"Bearer {token}"})
        flags: dict[str, tuple[str, ...]] = {"no keys": (), "keys": ("--keys-file", str(path))}
        running = [
            (
                stack.enter_context(targets.tidegate(scratch, repository, 1, name, *more)),
                shown if more else workload,
            )
            for name, more in flags.items()
        ]
        for target, asked in running:
            wrk.run(target, asked, CONNECTIONS, throughput.WARM_SECONDS, scratch)
        for number in range(rounds):
            # Whoever is second finds a warmer machine: each is first as often as the other.
            for target, asked in running if number % 2 else running[::-1]:
                runs[target.name].append(wrk.run(target, asked, CONNECTIONS, seconds, scratch))
    return runs
