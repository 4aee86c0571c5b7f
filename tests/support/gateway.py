"""A real gateway: supervisor, workers and control as processes, on ports that the system gives."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 60.0
"""How long to wait for what must happen: long, because only a failure costs it, and because on a
machine that has a lot to do a process may take many seconds to start."""
START_SECONDS = 3 * PATIENCE_SECONDS
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(url: str, body: bytes | dict[str, Any] | None = None, **headers: str) -> Reply:
    """Make a request; a body makes it a POST. Header names come with _ for -."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    request = urllib.request.Request(
        url, data, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return Reply(answer.status, _lower(answer.headers), answer.read())
    except urllib.error.HTTPError as error:
        return Reply(error.code, _lower(error.headers), error.read())


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def eventually(condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait until `condition` holds and return its value; fail the test if it never does.

    What it raises because something is not there yet counts as no; if it is still raised in the
    end, the failure names it as its cause.
    """
    deadline = time.monotonic() + seconds
    while True:
        cause: Exception | None = None
        try:
            value = condition()
            if value:
                return value
        except (OSError, http.client.HTTPException, ValueError, LookupError) as error:
            cause = error
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {seconds} s") from cause
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class Launched:
    """A `tidegate serve` that may or may not be ready, and where its log goes."""

    process: subprocess.Popen[str]
    log_path: Path


@dataclass
class Gateway:
    """A running `tidegate serve`."""

    process: subprocess.Popen[str]
    data: str
    control: str
    state_dir: Path
    log_path: Path

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of an event so far."""
        return [line for line in log_lines(self.log_path) if line["event"] == event]

    def infer(self, model: str, inputs: Any, version: str = "", **headers: str) -> Reply:
        """Infer with V2 JSON; `inputs` is the list of inputs, or one FP32 matrix for `x`."""
        if not isinstance(inputs[0], dict):
            rows = inputs
            inputs = [
                {"name": "x", "datatype": "FP32", "shape": [len(rows), len(rows[0])], "data": rows}
            ]
        path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
        return call(self.data + path, {"inputs": inputs}, **headers)

    def index(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the repository's index by name and version."""
        rows = call(self.control + "/v2/repository/index", b"").json
        return {(row["name"], row.get("version", "")): row for row in rows}

    def load(self, model: str, **parameters: Any) -> Reply:
        """Call load."""
        path = f"/v2/repository/models/{model}/load"
        return call(self.control + path, {"parameters": parameters})

    def metrics(self) -> str:
        """Return the text of /metrics."""
        return call(self.control + "/metrics").body.decode()

    def metric(self, sample: str) -> float:
        """Return the value of one sample, named with its labels as in the text."""
        for line in self.metrics().splitlines():
            if line.startswith(sample + " "):
                return float(line.rsplit(" ", 1)[1])
        raise KeyError(sample)

    def children(self) -> dict[str, int]:
        """Return the process ids of the children by name, from their command lines."""
        found: dict[str, int] = {}
        for pid in child_pids(self.process.pid):
            command = _command(pid)
            if b"server.controlplane.process" in command:
                found["control"] = pid
            elif b"server.dataplane.process" in command:
                found[f"worker-{pid}"] = pid
            elif b"server.shadow.start" in command:
                found["shadow"] = pid
        return found

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        return sorted(pid for name, pid in self.children().items() if name.startswith("worker-"))

    def stop(self, number: int = signal.SIGTERM, seconds: float = PATIENCE_SECONDS) -> int:
        """Send a signal to the supervisor; return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


def _command(pid: int) -> list[bytes]:
    """Return the command line of a process, nothing if it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


def child_pids(parent: int) -> list[int]:
    """Return the direct children of a process."""
    pids: list[int] = []
    for task in Path(f"/proc/{parent}/task").iterdir():
        with contextlib.suppress(OSError):  # A thread that has ended since has no children.
            pids += map(int, (task / "children").read_text().split())
    return pids


def descendants(parent: int) -> set[int]:
    """Return all processes below a process."""
    found: set[int] = set()
    waiting = [parent]
    while waiting:
        with contextlib.suppress(OSError):
            for pid in child_pids(waiting.pop()):
                found.add(pid)
                waiting.append(pid)
    return found


def is_running(pid: int) -> bool:
    """Whether a process is there and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def log_lines(path: Path) -> list[dict[str, Any]]:
    """Return the JSON lines of a log that has other text in it too; a half-written one is left."""
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]


@contextlib.contextmanager
def launched(repository: Path, state_dir: Path, **settings: Any) -> Iterator[Launched]:
    """Start `serve` and wait for nothing; every process of it is gone after the block."""
    flags = {"workers": 1, "port": 0, "control_port": 0, "poll_seconds": 0.2, "settle_seconds": 0.1}
    # Most tests are not about overload, and the machine may be busy with others.
    flags |= {"max_queue_ms": 60_000, **settings}
    command = [sys.executable, "-m", "tests.support.serve", str(os.getpid())]
    command += ["serve", str(repository), "--state-dir", str(state_dir)]
    for name, value in flags.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    log_path = Path(f"{state_dir}.log")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TIDEGATE_")}
    with log_path.open("w") as log_file:
        # A group of its own, so that a test can send what Ctrl-C sends.
        process = subprocess.Popen(
            command, stderr=log_file, text=True, env=environment, process_group=0
        )
        try:
            yield Launched(process, log_path)
        finally:
            everything = descendants(process.pid)
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(PATIENCE_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            for pid in everything:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def running(repository: Path, state_dir: Path, **settings: Any) -> Iterator[Gateway]:
    """Run a gateway until the block ends; every process of it is gone after that."""
    with launched(repository, state_dir, **settings) as launch:
        data, control = _wait_until_ready(launch.process, launch.log_path)
        yield Gateway(launch.process, data, control, state_dir, launch.log_path)


def _wait_until_ready(process: subprocess.Popen[str], log_path: Path) -> tuple[str, str]:
    """Wait for what `serve` prints when it is ready; return both addresses."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        # Lines may be read while they are being written: only whole ones count.
        told = dict(re.findall(r"(?m)^(predictions|control) +(\S+).*\n", log_path.read_text()))
        if len(told) == 2:
            return told["predictions"], told["control"]
        assert process.poll() is None, f"serve ended: {log_path.read_text()}"
        assert time.monotonic() < deadline, f"serve is not ready: {log_path.read_text()}"
        time.sleep(POLL_SECONDS)
