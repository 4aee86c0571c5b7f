"""Drive a target with wrk: a closed loop, as many requests as it answers."""

import re
import shutil
import subprocess
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadtests.bench_models import Workload, first_float, lua_string
from loadtests.processes import cpu_seconds
from loadtests.targets import Target

_IN_TURN = """
local paths, requests, turn = {%s}, {}, 0
function init(args)
  for at, path in ipairs(paths) do requests[at] = wrk.format(nil, path) end
end
function request()
  turn = turn %% #requests + 1
  return requests[turn]
end
"""

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True)
class Run:
    """What one run showed."""

    target: str
    workload: str
    connections: int
    requests: int
    errors: int
    requests_per_second: float
    p50_seconds: float
    p99_seconds: float
    cpu_seconds_per_request: float

    @property
    def is_valid(self) -> bool:
        """Whether every answer was good; other runs count for nothing."""
        return self.errors == 0 and self.requests > 0


def check_answer(target: Target, workload: Workload, expected: float) -> None:
    """Make sure that a target gives the right numbers before it is measured."""
    body, headers = workload.body()
    request = urllib.request.Request(target.url(workload), body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        got = first_float(answer.read(), answer.headers.get("Inference-Header-Content-Length"))
    if not np.isclose(got, expected, rtol=1e-3, atol=1e-6):
        raise SystemExit(f"{target.name} answers {got}, not {expected}: nothing to measure")


def run(
    target: Target,
    workload: Workload,
    connections: int,
    seconds: int,
    scratch: Path,
    paths: Sequence[str] = (),
) -> Run:
    """Send a workload for some seconds over some connections.

    To `paths` in turn, if there are any, and not to the workload's own model.
    """
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    body, headers = workload.body()
    script = scratch / "request.lua"
    lines = [f'wrk.method="POST"\nwrk.body={lua_string(body)}']
    lines += [f'wrk.headers["{name}"]="{value}"' for name, value in headers.items()]
    if paths:
        lines.append(_IN_TURN % ",".join(lua_string(path.encode()) for path in paths))
    script.write_text("\n".join(lines))
    before = cpu_seconds(target.pid)
    result = subprocess.run(
        [
            program, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
            "-s", str(script), target.url(workload),
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    spent = cpu_seconds(target.pid) - before
    return read(result.stdout, target.name, workload.name, connections, spent)


def read(text: str, target: str, workload: str, connections: int, cpu: float) -> Run:
    """Read what wrk printed; `cpu` is the processor time that the target spent meanwhile."""
    requests = int(_find(r"(\d+) requests in", text))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text
    )
    errors = int(bad.group(1)) if bad else 0
    errors += sum(map(int, broken.groups())) if broken else 0
    return Run(
        target,
        workload,
        connections,
        requests,
        errors,
        float(_find(r"Requests/sec:\s+([\d.]+)", text)),
        _seconds(_find(r"\n\s+50%\s+(\S+)", text)),
        _seconds(_find(r"\n\s+99%\s+(\S+)", text)),
        cpu / max(requests, 1),
    )


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"wrk printed something else than expected:\n{text}")
    return match.group(1)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    assert match is not None, text
    return float(match.group(1)) * _UNITS[match.group(2)]
