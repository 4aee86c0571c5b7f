"""What `tidegate serve` prints when it is ready: what is served, what is not, and a line to try.

Decides words and layout only.
"""

import json
import math
import shlex
import urllib.request
from typing import Any

from rich.console import Console
from rich.table import Table

from server.cli.plain import plain
from server.supervisor import Supervisor

_STYLES = {"READY": "green", "LOADING": "yellow", "UNAVAILABLE": "red"}
_SAMPLES: dict[str, Any] = {"BOOL": True, "BYTES": "a"}
_MAX_ITEMS = 64
"""A line with more numbers than that is nothing to try by hand."""


def index_table(rows: list[dict[str, Any]]) -> Table:
    """Return the repository's index as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("MODEL", "VERSION", "STATE", "LIVE", "DETAIL"):
        table.add_column(column, overflow="fold")
    for row in rows:
        state = str(row["state"])
        detail = [str(row.get("reason", ""))]
        if row.get("fix"):
            detail.append(f"fix: {row['fix']}")
        unready = row.get("unready", {})
        detail += [f"not ready on worker {worker}: {why}" for worker, why in unready.items()]
        detail += [f"note: {warning}" for warning in row.get("warnings", ())]
        table.add_row(
            plain(str(row["name"])),
            str(row.get("version", "")),
            f"[{_STYLES.get(state, '')}]{state}[/]",
            "live" if row.get("live") else "",
            plain("\n".join(line for line in detail if line)),
        )
    return table


def print_ready(supervisor: Supervisor, rows: list[dict[str, Any]]) -> None:
    """Say on standard error what is served and how to try it."""
    console = Console(stderr=True, highlight=False)
    settings = supervisor.settings
    scheme = "https" if settings.speaks_tls else "http"
    data = f"{scheme}://{_reachable(settings.host)}:{supervisor.port}"
    control = f"{scheme}://{_reachable(settings.control_host)}:{supervisor.control_port}"
    console.print()
    console.print(index_table(rows))
    console.print()
    console.print(f"predictions  [bold]{data}[/]   (Open Inference Protocol V2, V1 :predict)")
    console.print(f"control      [bold]{control}[/]   (repository, statistics, /metrics)")
    line = _curl_line(data, rows)
    if line:
        console.print("\ntry it:")
        console.print(line, soft_wrap=True, markup=False)
    console.print()


def _reachable(host: str) -> str:
    """Return an address that a client on this machine can use."""
    plain = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - compared only
    return f"[{plain}]" if ":" in plain and not plain.startswith("[") else plain


def _curl_line(data: str, rows: list[dict[str, Any]]) -> str:
    """Return a command that gets a prediction from the first model with a handy input."""
    for row in rows:
        if not row.get("live"):
            continue
        try:
            with urllib.request.urlopen(f"{data}/v2/models/{row['name']}", timeout=2) as answer:
                metadata = json.load(answer)
        except (OSError, ValueError):
            continue
        inputs = [_sample(tensor) for tensor in metadata["inputs"]]
        if all(one is not None for one in inputs):
            body = json.dumps({"inputs": inputs}, separators=(",", ":"))
            return f"curl -s {data}/v2/models/{row['name']}/infer -d {shlex.quote(body)}"
    return ""


def _sample(tensor: dict[str, Any]) -> dict[str, Any] | None:
    shape = [max(size, 1) for size in tensor["shape"]]
    items = math.prod(shape)
    if items > _MAX_ITEMS:
        return None
    value = _SAMPLES.get(tensor["datatype"], 1)
    return {
        "name": tensor["name"],
        "datatype": tensor["datatype"],
        "shape": shape,
        "data": [value] * items,
    }
