"""Rolling restarts behind HAProxy, of which its clients should notice nothing.

Two gateways stand behind HAProxy, which asks each for readiness once a second and takes it out
after the second refusal: for two seconds it goes on sending to a gateway that is about to stop, as
a cluster does whose endpoints are stale. One after the other is told to stop, drains, ends and is
started again, while an open loop of clients sends at a share of what both can do.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loadtests import open_loop, targets
from loadtests.hostile.models import affine, put
from loadtests.hostile.slow_clients import BODY, EXPECTED

DRAIN_DELAY_SECONDS = 4
UP_SECONDS = 3.0
"""Time for HAProxy to take a gateway in again: two probes, one second apart."""
CALIBRATION_SECONDS = 5
_START_SECONDS, _END_SECONDS = 300.0, 120.0
TEMPLATE = """\
global
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
    option httpchk GET /v2/health/ready
    http-check expect status 200
frontend clients
    bind 127.0.0.1:{port}
    default_backend gateways
backend gateways
    balance roundrobin
    default-server check inter 1s fall 2 rise 2
"""


class Gateway:
    """One of the gateways: started, stopped and started again on its port."""

    def __init__(self, scratch: Path, name: str) -> None:
        self.port = targets.free_port()
        self._log = (scratch / f"{name}.log").open("w")
        self._command = [
            sys.executable, "-m", "server", "serve", str(scratch / "models"),
            "--port", str(self.port), "--control-port", "0", "--workers", "1",
            "--state-dir", str(scratch / f"state-{name}"), "--log-level", "warning",
            "--drain-delay-seconds", str(DRAIN_DELAY_SECONDS),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self._process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                url = f"http://127.0.0.1:{self.port}/v2/health/ready"
                with urllib.request.urlopen(url, timeout=5) as answer:
                    if answer.status == 200:
                        return
            time.sleep(0.05)
        raise SystemExit("a gateway did not start")

    def stop(self) -> int:
        """Stop it as a cluster does, and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_END_SECONDS)


def measure(restarts: int, load: float) -> dict[str, Any]:
    """Restart gateways that many times in all, at a share of what both can take together."""
    haproxy = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin")
    if haproxy is None:
        raise SystemExit("this needs HAProxy: apt-get install haproxy")
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        scratch = Path(folder)
        put(scratch / "models", "affine", affine())
        gateways = [Gateway(scratch, f"gateway-{number}") for number in range(2)]
        with contextlib.ExitStack() as stack:
            for gateway in gateways:
                gateway.start()
                stack.callback(gateway.stop)
            port = stack.enter_context(_proxy(scratch, haproxy, gateways))
            time.sleep(UP_SECONDS)
            return _measure(port, gateways, restarts, load)


@contextlib.contextmanager
def _proxy(scratch: Path, haproxy: str, gateways: list[Gateway]) -> Iterator[int]:
    port = targets.free_port()
    servers = [f"    server g{n} 127.0.0.1:{one.port}\n" for n, one in enumerate(gateways)]
    config = scratch / "haproxy.cfg"
    config.write_text(TEMPLATE.format(port=port) + "".join(servers))
    with (scratch / "haproxy.log").open("w") as log:
        process = subprocess.Popen([haproxy, "-db", "-f", str(config)], stdout=log, stderr=log)
        try:
            yield port
        finally:
            process.terminate()
            process.wait()


def _measure(port: int, gateways: list[Gateway], restarts: int, load: float) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}/v2/models/affine/infer"
    capacity = _capacity(url)
    codes: list[int] = []
    is_over = threading.Event()

    def roll() -> None:
        try:
            for number in range(restarts):
                gateway = gateways[number % len(gateways)]
                codes.append(gateway.stop())
                gateway.start()
                time.sleep(UP_SECONDS)
        finally:  # A restart that fails ends the run, and shows in the number of exit codes.
            is_over.set()

    rolling = threading.Thread(target=roll)
    rolling.start()
    requests, failures, latencies = 0, [], []
    started = time.monotonic()
    while not is_over.is_set():
        answers = open_loop.run(url, BODY, EXPECTED, load * capacity, 10)
        requests += len(answers.latencies)
        failures += answers.failures
        latencies.append(answers.quantile(0.99) * 1000)
    rolling.join()
    return {
        "restarts": f"{len(codes)} of {restarts}",
        "seconds": round(time.monotonic() - started),
        "capacity, requests/s": round(capacity),
        "load": load,
        "requests": requests,
        "failed": len(failures),
        "failures": failures[:5],
        "exit codes": sorted(set(codes)),
        "p99 ms, median of 10 s windows": round(sorted(latencies)[len(latencies) // 2], 1),
    }


def _capacity(url: str) -> float:
    """Return the rate at which both gateways answer together, by asking for ever more."""
    rate = 200.0
    while True:
        answers = open_loop.run(url, BODY, EXPECTED, rate * 1.5, CALIBRATION_SECONDS)
        if answers.failures or answers.quantile(0.99) > 0.2:
            return rate
        rate *= 1.5
