"""Kill a gateway while its release changes, again and again, and look at what the next one serves.

Under load, a promotion or a roll back is called; after a delay, another one each time, the
supervisor is killed with SIGKILL and all its processes die with it. The next gateway on the same
state directory must serve the version before the change or the one after it, the latter if the
change was acknowledged, and its audit must be sound.
"""

import contextlib
import os
import signal
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from loadtests import targets
from loadtests.clients import Clients
from loadtests.control import Control, expect
from loadtests.switches import BODY, MANUAL, OFFSETS, audit_of, checking, put_adders

LONGEST = 3.0
"""Delays reach from 0 to this many times what the same change takes when nobody is killed."""
READY_SECONDS = 3.0
"""In which a gateway is to be ready again."""
PATH = "/v2/models/adder/infer"


@dataclass
class Found:
    """What was seen over all kills."""

    outcomes: Counter[str] = field(default_factory=Counter)
    ready_seconds: list[float] = field(default_factory=list)
    """From the start of the next gateway to its first answer."""
    wrong: list[str] = field(default_factory=list)


def measure(kills: int) -> str:
    """Kill so many gateways, one after another, on one state directory."""
    found = Found()
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        scratch = Path(folder)
        put_adders(scratch / "models", MANUAL)
        live: str | None = None
        for number in range(kills):
            part = LONGEST * number / max(kills - 1, 1)
            live = _once(scratch, part, live, found)
        with _gateway(scratch, Control(targets.free_port())):
            pass
        chain = audit_of(scratch / "state-tidegate")
    slow = sorted(found.ready_seconds)
    outcomes = dict(sorted(found.outcomes.items()))
    in_time = sum(seconds <= READY_SECONDS for seconds in slow)
    return (
        f"{kills} kills: {outcomes}; the state was neither the old nor the new one: "
        f"{found.wrong[:3] or 'never'}; ready again in {READY_SECONDS:g} s: {in_time} of "
        f"{len(slow)} times, after {slow[len(slow) // 2]:.2f} s (median), {slow[-1]:.2f} s "
        f"(longest); {chain}"
    )


def _once(scratch: Path, part: float, live: str | None, found: Found) -> str:
    """Start, change, kill; return which version should be live in the next gateway, if known."""
    control = Control(targets.free_port())
    started = time.perf_counter()
    with _gateway(scratch, control) as target:
        now = _live(target.port)
        found.ready_seconds.append(time.perf_counter() - started)
        if live is not None and now not in live.split(" or "):
            found.wrong.append(f"version {now} is live, expected {live}")
        now = control.first_live("adder")
        other = "2" if now == "1" else "1"
        usual = _usual_seconds(control, now, other)
        said: list[int] = []
        check = checking(Counter())
        with contextlib.ExitStack() as stack:
            stack.enter_context(Clients(f"http://127.0.0.1:{target.port}", PATH, BODY, check, 2))
            call = threading.Thread(target=_change, args=(control, other, said))
            call.start()
            time.sleep(part * usual)
            # What had been answered before the kill began must hold.
            acknowledged = list(said)
            os.kill(target.pid, signal.SIGKILL)
            call.join()
        if acknowledged and acknowledged != [200]:
            raise SystemExit(f"a change of the release was refused: {acknowledged}")
    found.outcomes["acknowledged" if acknowledged else "in between"] += 1
    return other if acknowledged else f"{now} or {other}"


def _usual_seconds(control: Control, now: str, other: str) -> float:
    """Return how long a promotion takes; what was live before it is live again."""
    expect(control.promote("adder", other))  # The first one waits until the store is open.
    started = time.perf_counter()
    expect(control.promote("adder", now))
    return time.perf_counter() - started


def _change(control: Control, version: str, said: list[int]) -> None:
    with contextlib.suppress(OSError, ValueError):
        said.append(control.promote("adder", version)[0])


def _gateway(scratch: Path, control: Control) -> contextlib.AbstractContextManager[targets.Target]:
    flags = ("--control-port", str(control.port))
    return targets.tidegate(scratch, scratch / "models", 2, "tidegate", *flags)


def _live(port: int) -> str:
    """Return which version answers, as soon as one does."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{PATH}", BODY)
    deadline = time.monotonic() + targets.START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError):
            with urllib.request.urlopen(request, timeout=5) as answer:
                version = str(orjson.loads(answer.read())["model_version"])
            assert version in OFFSETS
            return version
        time.sleep(0.01)
    raise SystemExit("nobody answers")
