"""One short run of real servers: a right one is measured, a wrong one is not."""

import shlex
import sys
from pathlib import Path

import pytest

from loadtests import targets
from loadtests.bench_models import WORKLOADS
from loadtests.proof import running
from loadtests.proof.catalogue import parse
from loadtests.proof.running import Plan, outcomes

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
