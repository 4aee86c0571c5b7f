"""The real process: what it says before, between and after runs, and how candidates spoil it."""

import os
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from server.release.shadow_rules import NO_RULES
from server.shadow.process import EXITS
from server.shadow.runner import Opened
from server.shadow.watch import Trouble
from server.tensors import Array
from server.wire.shadow import CandidatePlan, ComparisonPlan, Run
from tests.support import models
from tests.support.shadow import opened, record_of
from tests.support.shadow_process import running_shadow

pytestmark = pytest.mark.alone
MIB = 1 << 20


def plan_of(live: Opened, *candidates: Opened) -> ComparisonPlan:
    """Return the plan of a model, with an epoch for each candidate; answers of "3" are wanted."""
    return ComparisonPlan(
        "m",
        live.runnable,
        NO_RULES,
        tuple(
            CandidatePlan(
                one.runnable,
                f"e{one.runnable.version}",
                wants_answers=one.runnable.version == "3",
            )
            for one in candidates
        ),
    )


def numbers(*values: int) -> dict[str, Array]:
    return {"x": np.array(values, np.int64).reshape(-1, 1)}


def test_candidates_run_side_by_side_and_it_ends_when_told_to(tmp_path: Path) -> None:
    """Each has evidence of its own; a run is announced, and that there is none; it gives way."""
    live, same, other = (
        opened(tmp_path, version, models.classifier(boundary))
        for version, boundary in (("1", 0), ("2", 0), ("3", 1))
    )
    rows = {"x": np.array([[0.5, 0], [3, 0]], np.float32)}
    with running_shadow(tmp_path) as process:
        process.plan(plan_of(live, same, other))
        process.mirror(["2", "3"], record_of(live, rows))
        process.until(lambda: process.evidence("3").pairs.total() == 2)
        process.until(lambda: process.runs[-1] is None)

        assert process.evidence("2").rows == Counter(same=2)
        assert process.evidence("3").rows == Counter(label_flip=1, out_of_tolerance=1)
        assert {one.kind for one in process.deltas[-1].samples} >= {"label_flip"}
        assert [(one.version, one.rows) for one in process.answers] == [("3", 2)]
        runs = [run for run in process.runs if run is not None and run.pairs]
        assert runs == [Run("m", "2", "e2", 2), Run("m", "3", "e3", 2)]
        pid = process.process.pid
        assert os.sched_getscheduler(pid) == os.SCHED_IDLE
        assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "1000"

        process.plan(plan_of(live, same))
        process.mirror(["2", "3"], record_of(live, rows))
        process.until(lambda: process.evidence("2").pairs.total() == 4)
        os.kill(pid, signal.SIGTERM)
        assert process.read_to_end() == 0
        assert process.evidence("3").pairs.total() == 2


def test_a_crash_has_the_name_of_the_candidate_that_ran(tmp_path: Path) -> None:
    """The last that was said is which candidate is about to run, and on how many requests."""
    live = opened(tmp_path, "1", models.identity("INT32", ("N", 1)))
    candidate = opened(tmp_path, "2", models.crashing())
    rows = {"x": np.array([[1], [-2]], np.int32)}
    with running_shadow(tmp_path) as process:
        process.plan(plan_of(live, candidate))
        process.mirror(["2"], record_of(live, rows))

        assert process.read_to_end() == -signal.SIGFPE
        assert process.runs[-1] == Run("m", "2", "e2", 2)


def test_a_hang_is_a_finding_and_ends_the_process(tmp_path: Path) -> None:
    """The pairs that it hung on are counted, and what still waits is given up."""
    live = opened(tmp_path, "1", models.identity("INT64", ("N", 1)))
    candidate = opened(tmp_path, "2", models.loop())
    with running_shadow(tmp_path) as process:
        process.plan(plan_of(live, candidate))
        process.mirror(["2"], record_of(live, numbers(3)))
        process.mirror(["2"], record_of(live, numbers(2**62, 1)))
        process.mirror(["2"], record_of(live, numbers(3)))

        assert process.read_to_end() == EXITS[Trouble.HANG]
        evidence = process.evidence("2")
        assert evidence.pairs == Counter(same=1, timeout=2)
        assert evidence.findings == Counter(hang=1)
        assert evidence.dropped == Counter(down=1)
        assert process.runs[-1] is None


def test_too_much_memory_is_a_finding_and_ends_the_process(tmp_path: Path) -> None:
    """A candidate that takes more than there is for all of them goes, before others have to."""
    live = opened(tmp_path, "1", models.identity("INT64", ("N", 1)))
    candidate = opened(tmp_path, "2", models.hoarding())
    with running_shadow(tmp_path, shadow_memory_bytes=64 * MIB) as process:
        process.plan(plan_of(live, candidate))
        process.mirror(["2"], record_of(live, numbers(300 * MIB)))

        assert process.read_to_end() == EXITS[Trouble.MEMORY]
        assert process.evidence("2").findings == Counter(memory=1)
        assert process.evidence("2").pairs == Counter(error=1)


def test_a_candidate_that_cannot_be_opened_is_a_finding(tmp_path: Path) -> None:
    """It is not run, the others are, and it is not tried again without end."""
    live, good, bad = (opened(tmp_path, version, models.identity()) for version in "123")
    Path(bad.runnable.path).write_bytes(b"not a model")
    rows = {"x": np.ones((1, 3), np.float32)}
    with running_shadow(tmp_path) as process:
        process.send_plan(plan_of(live, bad, good))
        process.until(lambda: process.statuses and process.statuses[-1].loaded)
        process.send_plan(plan_of(live, bad, good))
        process.mirror(["2", "3"], record_of(live, rows))
        process.until(lambda: process.evidence("2").pairs)

        assert process.statuses[-1].loaded == {"m": ["e2"]}
        assert process.evidence("3").findings == Counter(load=1)
        assert not process.evidence("3").pairs


def test_it_ends_when_control_is_gone(tmp_path: Path) -> None:
    """Without control there is nothing to do."""
    with running_shadow(tmp_path) as process:
        process.until(lambda: process.statuses)
        process.hang_up()

        assert process.process.wait(60) == 0
