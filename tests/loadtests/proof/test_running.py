"""One short run of real servers: a right one is measured, a wrong one is not."""

import contextlib
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests import targets
from loadtests.bench_models import WORKLOADS
from loadtests.proof import running
from loadtests.proof.catalogue import parse
from loadtests.proof.checking import Asked, last_output
from loadtests.proof.contestants import Contestant, Stand
from loadtests.proof.running import Ground, Plan, outcomes
from tests.support.gateway import eventually

WRONG = Path(__file__).parent / "wrong_server.py"


def test_targets_are_asked_in_turns_and_a_wrong_one_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Requests, checked answers, processor time and memory of the plain server; why the other."""
    monkeypatch.setattr(running, "WARM_SECONDS", 1)
    port = targets.free_port()
    command = shlex.join([sys.executable, str(WRONG), str(port)])
    plan = Plan(("plain",), (f"wrong={port}={command}",), rounds=1, seconds=1)
    told: list[str] = []

    (outcome,) = outcomes([parse("digits-json-1/4/rate=50", WORKLOADS)], plan, told.append)

    plain, wrong = outcome.targets
    assert (outcome.scenario, outcome.rate, outcome.rows) == ("digits-json-1/4/rate=50", 50.0, 1)
    (run,) = plain.runs
    assert not run.trouble
    assert run.checked >= 1
    assert 25 <= run.requests <= 51
    assert run.requests_per_second == pytest.approx(run.requests)
    assert 0 < run.p50_seconds <= run.p90_seconds <= run.p99_seconds <= run.p999_seconds
    assert run.pss_bytes > 2**20
    assert wrong.missing.startswith("it answers wrong")
    assert not wrong.runs
    assert told[-1] == "digits-json-1/4/rate=50"


def state(pid: int) -> str:
    """Return the letter by which the kernel tells what a process does."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_who_does_not_rest_is_stopped_until_its_turn(tmp_path: Path) -> None:
    """One that always works stands still while others are asked; one that sleeps is left alone."""
    started = "import sys, time; print(1, flush=True);"
    commands = (f"{started}\nwhile True: pass", f"{started} time.sleep(600)")
    with contextlib.ExitStack() as stack:
        pids = []
        for command in commands:
            process = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE)
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()
            pids.append(process.pid)
        nobody = Asked(1, [], last_output, [])
        busy, quiet = (Contestant(str(pid), pid, nobody) for pid in pids)
        ground = Ground(Stand(tmp_path, [], []), [busy, quiet])

        with contextlib.ExitStack() as measuring:
            running.hold_restless(ground, measuring)
            eventually(lambda: state(busy.pid) == "T")
            assert ground.restless == [busy]
            with ground.turn(busy):
                assert state(busy.pid) != "T"
            eventually(lambda: state(busy.pid) == "T")
            with ground.turn(quiet):
                assert state(busy.pid) == "T"
            assert state(quiet.pid) == "S"
        assert state(busy.pid) != "T"
