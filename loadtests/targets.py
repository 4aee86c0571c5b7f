"""What is measured: the gateway, or any command.

A target is a process that answers the same request at a port of its own.
"""

import contextlib
import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench_models import Workload

START_SECONDS = 180.0


class NotStarted(SystemExit):
    """A server has ended, or does not answer; nobody who does not expect it goes on."""


@dataclass(frozen=True)
class Target:
    """A running server."""

    name: str
    pid: int
    port: int

    def url(self, workload: Workload) -> str:
        """Return the address of a workload's model."""
        return f"http://127.0.0.1:{self.port}/v2/models/{workload.model}/infer"


def free_port() -> int:
    """Return a port that the system gives."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@contextlib.contextmanager
def started(
    name: str,
    command: list[str],
    port: int,
    cwd: Path,
    probe: str,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Target]:
    """Run a command until the block ends; it is ready when `probe` answers with 200.

    Without a path to probe, a port that accepts is enough.

    Raises:
        NotStarted: it has ended, or does not answer in time.

    """
    environment = {**os.environ, "PORT": str(port), **(variables or {})}
    with (cwd / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=log, stderr=log)
        try:
            _wait_for(port, probe, process, name)
            yield Target(name, process.pid, port)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(port: int, probe: str, process: subprocess.Popen[bytes], name: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError):
            if not probe:
                socket.create_connection(("127.0.0.1", port), 2).close()
                return
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{probe}", timeout=2) as answer:
                if answer.status == 200:
                    return
        if process.poll() is not None or time.monotonic() > deadline:
            raise NotStarted(f"{name} did not start; see {name}.log")
        time.sleep(0.05)


@contextlib.contextmanager
def tidegate(
    scratch: Path,
    repository: Path,
    workers: int = 1,
    name: str = "tidegate",
    *flags: str,
    probe: str = "/v2/health/ready",
) -> Iterator[Target]:
    """Run the gateway with everything on; it is ready when `probe` answers, see `started`."""
    port = free_port()
    command = [
        sys.executable, "-m", "server", "serve", str(repository),
        "--port", str(port), "--control-port", "0", "--workers", str(workers),
        "--state-dir", str(scratch / f"state-{name}"), "--log-level", "warning", *flags,
    ]  # fmt: skip
    with started(name, command, port, scratch, probe) as target:
        yield target


@contextlib.contextmanager
def other(scratch: Path, name: str, command: str, port: int) -> Iterator[Target]:
    """Run somebody else's command, which must answer at `port` whatever the path."""
    with started(name, shlex.split(command), port, scratch, "") as target:
        yield target
