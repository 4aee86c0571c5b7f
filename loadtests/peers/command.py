"""`python -m loadtests peers`: which peers can be used on this machine, and answer right.

Each is installed if it is not there, started for each model, and asked once for each workload.
"""

import argparse
import json
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from loadtests import bench_models
from loadtests.bench_models import Workload
from loadtests.environments import PeerMissing
from loadtests.peers.base import Peer, Unsupported
from loadtests.peers.catalogue import PEERS
from loadtests.targets import Target
from loadtests.throughput import expected_answer

DEFAULT_WORKLOADS = (
    "tabular-json-1",
    "tabular-json-64",
    "tabular-binary-1",
    "mlp-json-1",
    "image-binary-1",
    "mixed-json-1",
    "mixed-binary-1",
)
RIGHT = "right"
Row = dict[str, str]
"""What was seen of one peer: a word for each column."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(PEERS)}; all")
    parser.add_argument(
        "--workloads",
        nargs="+",
        default=DEFAULT_WORKLOADS,
        choices=bench_models.WORKLOADS,
        metavar="NAME",
        help="what each is asked (default: one of each kind)",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that run the model")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(options: argparse.Namespace) -> None:
    """Ask the peers that the command line names, or all."""
    unknown = set(options.peers) - set(PEERS)
    if unknown:
        sys.exit(f"unknown peer {', '.join(sorted(unknown))}: expected {', '.join(PEERS)}")
    rows = ask_all(options.peers or list(PEERS), options.workloads, options.workers)
    print(json.dumps(rows) if options.json else table(rows))


def ask_all(names: Sequence[str], workloads: Sequence[str], workers: int) -> dict[str, Row]:
    """Return what each peer answered, by its name."""
    asked = [bench_models.workloads()[name] for name in workloads]
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        scratch = Path(folder)
        repository = scratch / "models"
        bench_models.write_repository(repository, tuple({one.model: None for one in asked}))
        expected = {one.name: expected_answer(repository, one)[0] for one in asked}
        for name in names:
            print(f"asking {name} …", file=sys.stderr)
            rows[name] = _ask(PEERS[name], asked, expected, (scratch, repository), workers)
    return rows


def _ask(
    peer: Peer,
    asked: Sequence[Workload],
    expected: dict[str, float],
    folders: tuple[Path, Path],
    workers: int,
) -> Row:
    """Start a peer once for each model."""
    row: Row = {}
    for model in {one.model: None for one in asked}:
        mine = [one for one in asked if one.model == model]
        began = time.monotonic()
        try:
            with peer.start(*folders, mine[0], workers) as target:
                row.setdefault("start", f"{time.monotonic() - began:.1f} s")
                for one in mine:
                    row[one.name] = answer(peer, target, one, expected[one.name])
        except PeerMissing as error:
            row |= {one.name: f"missing: {error}" for one in mine}
    return row


def answer(peer: Peer, target: Target, workload: Workload, expected: float) -> str:
    """Ask once, and return `right`, or what is not."""
    try:
        request = peer.request(workload)
    except Unsupported as error:
        return f"not possible: {error}"
    url = f"http://127.0.0.1:{target.port}{request.path}"
    asked = urllib.request.Request(url, request.body, dict(request.headers))
    try:
        with urllib.request.urlopen(asked, timeout=60) as got:
            number = peer.first_number(got.read(), dict(got.headers))
    except urllib.error.HTTPError as error:
        return f"status {error.code}: {error.read()[:200]!r}"
    except OSError as error:
        return f"no answer: {error}"
    return RIGHT if np.isclose(number, expected, rtol=1e-3, atol=1e-6) else f"wrong: {number}"


def table(rows: dict[str, Row]) -> str:
    """Return the rows as a Markdown table."""
    columns = list({column: None for row in rows.values() for column in row})
    lines = ["| peer | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        cells = (row.get(column, "").replace("|", "\\|") for column in columns)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
