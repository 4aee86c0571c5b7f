"""`tidegate replay`: a candidate on captured rows, or why it cannot be run on them."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from server.capture.columns import CapturePlan
from server.capture.writer import CaptureWriter
from server.cli import app
from server.cli.check import check_version
from server.engine.session import Session
from server.shadow.runner import Opened
from server.wire.shadow import Runnable
from tests.support import models
from tests.support.captured import taken
from tests.support.shadow import record_of


def replay(*words: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, ["replay", *map(str, words)])


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A repository of two versions, and 2,000 rows that the first one answered."""
    repository = tmp_path / "models"
    first = models.put(repository, "m", 1, models.classifier(0.0))
    models.put(repository, "m", 2, models.classifier(0.2))
    (repository / "m" / "model.toml").write_text(
        "[shadow.segments]\n'x[1]' = [0]\n[inputs.x]\nfeatures = ['first', 'x[1]']\n"
    )
    scratch = tmp_path / "scratch"
    checked = check_version(first, scratch)
    runnable = Runnable("1", checked.digest, str(checked.model_path), "", True, 128)
    live = Opened(runnable, Session.open(checked.model_path))
    rows = np.random.default_rng(0).uniform(-1, 1, (2000, 2)).astype(np.float32)
    rows[:500, 1] = 0
    record = replace(record_of(live, {"x": rows}), digest=checked.digest)
    files = CaptureWriter(tmp_path / "capture", 1 << 30)
    files.write([taken(CapturePlan("m", "1", checked.digest, live.session.signature), record)])
    files.close()
    return tmp_path


def in_shop(shop: Path, version: str, *words: str | Path) -> Result:
    return replay(
        "m", version, "--capture", shop / "capture", "--repository", shop / "models", *words
    )


def test_a_flipped_candidate_is_refused(shop: Path) -> None:
    """What differs, by kind and segment, scores, speed, gates and samples; exit code 1."""
    done = in_shop(shop, "2")

    assert done.exit_code == 1, done.output
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "m  version 2 on 2,000 of 2,000 rows that version 1 answered"
    assert lines[3].split() == ["ANSWERS", "PAIRS", "SHARE", "ROWS", "LIVE", "AGAIN"]
    assert any(line.startswith("label flip ") for line in lines)
    assert any(
        line.startswith("x[1]=0: ") and line.endswith("of 500 pairs differ") for line in lines
    )
    assert "scores from 0 to 1" in lines
    assert any(line.startswith("processor time a row: ") for line in lines)
    assert "gates: fail" in lines
    assert any(line.startswith("  fail         disagreement: fail; ") for line in lines)
    assert sum(line.startswith("label flip  a0-cafe row 0") for line in lines) <= 2
    assert any(line.startswith('  candidate  {"label": [') for line in lines)


def test_an_equal_candidate_is_not(shop: Path) -> None:
    """Exit code 0; programs get JSON."""
    models.put(shop / "models", "m", 3, models.classifier(0.0) + b"")
    done = in_shop(shop, "3", "--json", "--against", "1")

    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["evidence"]["pairs"] == {"same": 2000}
    assert document["rows"] == document["captured_rows"] == 2000
    assert {gate["gate"]: gate["verdict"] for gate in document["gates"]}["disagreement"] == "pass"
    assert document["samples"] == []


def test_a_part_of_the_rows_is_enough_to_look(shop: Path) -> None:
    """The limit is about rows, oldest first."""
    document = json.loads(in_shop(shop, "2", "--json", "--limit", "300").stdout)

    assert 300 <= document["rows"] < 300 + 128


def test_other_files_than_those_that_answered_are_told(shop: Path) -> None:
    """The version that answered is run again, so it has to be the same."""
    models.put(shop / "models", "m", 1, models.classifier(0.1))
    done = in_shop(shop, "2")

    assert done.exit_code == 1
    assert "version 1 in the repository is not what answered: its files are" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("m", "7"), "has no model 'm' with a version '7'"),
        (("m", "../1"), "has no model 'm' with a version '../1'"),
        (("n", "1"), "no rows of model 'n' are in"),
        (("m", "2", "--against", "2"), "no rows of model 'm' version 2 are in"),
        (("m", "4"), "version 4: ONNX Runtime cannot load it"),
        (("m", "5"), "version 5 takes 'name', which the rows do not have"),
    ],
)
def test_what_cannot_be_replayed_is_told(shop: Path, words: tuple[str, ...], told: str) -> None:
    """Unknown versions, no rows, candidates that cannot be opened, or take something else."""
    (models.put(shop / "models", "m", 4, b"nonsense"))
    models.put(shop / "models", "m", 5, models.mixed())
    (shop / "models" / "m" / "model.toml").unlink()
    paths = ("--capture", shop / "capture", "--repository", shop / "models")
    done = replay(*words, *paths)

    assert done.exit_code == 1
    assert told in done.stderr
    assert "  fix: " in done.stderr
    assert done.stdout == ""


def test_it_needs_pyarrow(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is told, and how it is installed."""
    monkeypatch.delitem(sys.modules, "server.capture.reading", raising=False)
    monkeypatch.delitem(sys.modules, "server.capture.arrow", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = in_shop(shop, "2")

    assert done.exit_code == 1
    assert "pip install 'tidegate[parquet]'" in done.stderr
