"""What a peer's program answers."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from loadtests.detection.changes import Values
from loadtests.detection.peers.answering import answer_jobs


def means(_: Values, windows: Values, kind: str) -> tuple[list[float], list[bool]]:
    """Judge as a peer would that knows numbers only."""
    if kind == "category":
        raise ValueError("no numbers")
    sys.stdout.write("peers print what they like")
    return windows.mean(axis=1).tolist(), [False] * len(windows)


def test_each_job_is_answered_or_its_error_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a job, whatever the peer prints or raises."""
    rows = tmp_path / "rows.npz"
    np.savez(rows, reference=np.zeros(3), windows=np.array([[1.0, 3.0], [4.0, 4.0]]))
    jobs = [
        {"rows": str(rows), "kind": kind, "answer": str(tmp_path / f"{kind}.json")}
        for kind in ("number", "category")
    ]
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(json.dumps(job) + "\n" for job in jobs)))
    answer_jobs(means)

    assert capsys.readouterr().out == "done\ndone\n"
    number, category = (json.loads(Path(job["answer"]).read_text()) for job in jobs)
    assert number == {"scores": [2.0, 4.0], "alerts": [False, False]}
    assert category == {"error": "ValueError: no numbers"}
