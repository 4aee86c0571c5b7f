"""`tidegate profile`: a profile is made, written and drawn, or it is said why not."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from typer.testing import CliRunner, Result

from server.cli import app
from server.cli.check import check_version
from server.repository.layout import PROFILE_FILE
from server.repository.reference import find_reference, load_profile
from tests.support import models
from tests.support.permissions import without_root_rights

EXAMPLES = Path(__file__).parents[2] / "models"


def profile(*words: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["profile", *map(str, words)])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Rows of a model of three values."""
    rows = np.random.default_rng(0).standard_normal((500, 3))
    path = tmp_path / "train.csv"
    np.savetxt(path, rows, delimiter=",", header="x[0],x[1],x[2]", comments="")
    return path


@pytest.fixture
def version(repository: Path) -> Path:
    """A model of three values, in a repository."""
    return models.put(repository, "m", 1, models.affine())


def test_a_profile_is_made_beside_the_version(version: Path, repository: Path, data: Path) -> None:
    """It fits the version as control would take it; the table is output, all else is not."""
    done = profile("build", "m", "1", "--data", data, "--repository", repository)

    assert done.exit_code == 0, done.output
    path = version / PROFILE_FILE
    assert done.stderr.splitlines()[-1] == f"wrote {path}"
    lines = done.stdout.splitlines()
    assert lines[0].startswith("m 1, from 500 rows of train.csv, ")
    assert lines[2].split() == [
        "COLUMN",
        "KIND",
        "MISSING",
        "VALUES",
        "SHAPE",
        "IMPORTANCE",
        "NOTE",
    ]
    assert [line.split()[0] for line in lines[3:]] == [
        "x[0]",
        "x[1]",
        "x[2]",
        "y[0]",
        "y[1]",
        "y[2]",
    ]
    made = load_profile(path)
    assert made.created_from.rows == 500
    assert len(made.created_from.sha256) == 64
    checked = check_version(version, repository.parent / "scratch")
    found = find_reference(version, checked.verdict.signature, {}, checked.digest)
    assert found.profile is not None
    assert found.warnings == []


def test_it_is_the_same_file_each_time(version: Path, repository: Path, data: Path) -> None:
    """A profile that is under version control changes when the data do."""
    contents = []
    for _ in range(2):
        assert profile("build", "m", "1", "--data", data, "--repository", repository).exit_code == 0
        contents.append((version / PROFILE_FILE).read_bytes())

    assert contents[0] == contents[1]


def test_it_can_be_written_elsewhere(version: Path, repository: Path, data: Path) -> None:
    """A repository is often not for writing."""
    path = repository.parent / "mine.json"
    done = profile("build", "m", "1", "--data", data, "--repository", repository, "--output", path)

    assert done.exit_code == 0
    assert load_profile(path).model == "m"
    assert not (version / PROFILE_FILE).exists()


def test_what_is_in_its_place_is_replaced_and_never_waited_for(
    version: Path, repository: Path, data: Path
) -> None:
    """A pipe beside a version is no profile, and does not keep one from being made."""
    os.mkfifo(version / PROFILE_FILE)
    shown = profile("show", "m", "1", "--repository", repository)
    assert "is no profile: it is not a regular file" in shown.stderr
    assert profile("build", "m", "1", "--data", data, "--repository", repository).exit_code == 0

    assert load_profile(version / PROFILE_FILE).model == "m"


def test_labels_make_a_score(tmp_path: Path) -> None:
    """All flags at once, on a real model and its data."""
    tumours = load_breast_cancer()
    path = tmp_path / "train.npz"
    np.savez(
        path,
        features=tumours.data.astype(np.float32),
        truth=np.array(["malignant", "benign"])[tumours.target],
        patient=np.arange(569),
    )
    output = tmp_path / "profile.json"
    words = ["--labels", "truth", "--positive", "benign", "--ignore", "patient", "--unordered"]
    done = profile(
        "build", "breast-cancer", "2", "--data", path, "--repository", EXAMPLES, *words,
        "--categorical", "mean radius", "--output", output,
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    made = load_profile(output)
    assert made.score is not None
    assert made.score.positive == "benign"
    assert made.column("mean radius").column.kind.value == "category"
    assert "note: 569 rows are few" in done.stderr
    assert "half of the rows" not in done.stderr


@pytest.mark.usefixtures("version")
def test_what_is_odd_is_told(repository: Path, tmp_path: Path) -> None:
    """In the table, and in notes: rows that drift themselves make a poor measure."""
    rows = np.zeros((2000, 3))
    rows[:, 0] = np.arange(2000) // 100
    rows[:, 1] = np.nan
    path = tmp_path / "train.csv"
    np.savetxt(path, rows, delimiter=",", header="x[0],x[1],x[2]", comments="")
    done = profile("build", "m", "1", "--data", path, "--repository", repository)

    assert done.exit_code == 0
    first, second, third = done.stdout.splitlines()[3:6]
    assert "neighbours alike" in first
    assert "all missing" in second
    assert "100 %" in second
    assert "constant" in third
    assert "the second half of the rows does not look like the first: " in done.stderr
    assert "rows resemble their neighbours" in done.stderr
    assert done.stderr.count("--unordered") == 2


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["m", "2"], "has no model 'm' with a version '2'"),
        (["../models", "1"], "has no model '../models' with a version '1'"),
        (["n", "1"], "has no model 'n' with a version '1'"),
        (["broken", "1"], "ONNX Runtime cannot load it"),
        (["m", "1", "--data", "rows.txt"], "rows.txt: expected a file whose name ends in .csv"),
        (["m", "1", "--data", "nowhere.csv"], "nowhere.csv cannot be read: No such file"),
        (["m", "1", "--labels", "y"], "the data lacks 'y'"),
        (["m", "1", "--output", "nowhere/p.json"], "cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_said(
    version: Path, repository: Path, data: Path, words: list[str], error: str
) -> None:
    """On standard error, with what would help, and exit code 1; nothing is written."""
    models.put(repository, "broken", 1, b"rubbish")
    given = words if "--data" in words else [*words, "--data", str(data)]
    done = profile("build", *given, "--repository", repository)

    assert done.exit_code == 1
    assert done.stdout == "" or "--output" in words
    assert error in done.stderr
    assert "\n  fix: " in done.stderr
    assert [path.name for path in version.iterdir()] == ["model.onnx"]


def test_a_version_that_may_not_be_written_is_said(
    version: Path, repository: Path, data: Path
) -> None:
    """With the way round."""
    version.chmod(0o555)
    with without_root_rights():
        done = profile("build", "m", "1", "--data", data, "--repository", repository)

    assert done.exit_code == 1
    assert "cannot be written: Permission denied" in done.stderr
    assert "--output" in done.stderr


def test_flags_that_do_not_go_together_are_wrong_usage(data: Path) -> None:
    """A positive label without labels, or no data: exit code 2."""
    for words in (["--data", str(data), "--positive", "x"], []):
        assert profile("build", "m", "1", *words).exit_code == 2


def test_a_profile_is_drawn(version: Path, repository: Path, data: Path) -> None:
    """Whole, one column, or as JSON; and the model's check knows it."""
    assert profile("build", "m", "1", "--data", data, "--repository", repository).exit_code == 0
    whole = profile("show", "m", "1", "--repository", repository)
    column = profile("show", "m", "1", "x[1]", "--repository", repository)
    as_json = profile("show", "m", "1", "--json", "--repository", repository)

    assert [done.exit_code for done in (whole, column, as_json)] == [0, 0, 0]
    assert len(whole.stdout.splitlines()) == 9
    assert column.stdout.splitlines()[0] == "x[1]: number, value:1 of x"
    assert "█" in column.stdout
    content = json.loads((version / PROFILE_FILE).read_text())
    assert json.loads(as_json.stdout) == content
    checked = CliRunner().invoke(app, ["model", "check", str(version)])
    assert "note" not in checked.stdout


def test_a_profile_that_does_not_fit_is_told_by_the_check(
    version: Path, repository: Path, data: Path
) -> None:
    """Before a gateway finds out."""
    assert profile("build", "m", "1", "--data", data, "--repository", repository).exit_code == 0
    (version / "model.onnx").write_bytes(models.affine(dims=("N", 2)))
    checked = CliRunner().invoke(app, ["model", "check", str(version)])

    assert checked.exit_code == 0
    assert "note: profile.json is not used, because it does not fit the model" in checked.stdout


@pytest.mark.parametrize(
    ("content", "words", "error"),
    [
        (None, [], "has no profile"),
        ("{", [], "is no profile: it is not JSON"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    version: Path, repository: Path, content: str | None, words: list[str], error: str
) -> None:
    """With the command that makes a profile."""
    if content is not None:
        (version / PROFILE_FILE).write_text(content)
    done = profile("show", "m", "1", *words, "--repository", repository)

    assert done.exit_code == 1
    assert error in done.stderr
    assert "tidegate profile build" in done.stderr


@pytest.mark.usefixtures("version")
def test_a_column_that_is_not_there_is_said(repository: Path, data: Path) -> None:
    """With some that are."""
    assert profile("build", "m", "1", "--data", data, "--repository", repository).exit_code == 0
    done = profile("show", "m", "1", "age", "--repository", repository)

    assert done.exit_code == 1
    assert done.stderr.splitlines()[0] == "tidegate: the profile has no column 'age'"
    assert "x[0], x[1], x[2]" in done.stderr


@pytest.mark.usefixtures("version")
def test_moments_make_hours_and_show_draws_them(repository: Path, tmp_path: Path) -> None:
    """The note says why hours of the day were taken, and which of them have few rows."""
    rows = np.random.default_rng(0).standard_normal((900, 3))
    moments = 1_767_571_200 + np.arange(900)[:, np.newaxis] * 120.0
    path = tmp_path / "train.csv"
    np.savetxt(path, np.hstack([rows, moments]), delimiter=",", header="x[0],x[1],x[2],at",
               comments="")  # fmt: skip
    made = profile("build", "m", "1", "--data", path, "--time", "at", "--repository", repository)

    assert made.exit_code == 0, made.output
    assert "hours of all days are taken together" in made.stderr
    assert "24 of 24 hours have few rows, such as 00h: others stand in for them" in made.stderr
    shown = profile("show", "m", "1", "--repository", repository)
    assert "by hour of the day (UTC), rows from 0h to 23h ██████▅▅▅" in " ".join(
        shown.output.split()
    )
    path.write_text(path.read_text().replace("1.767", "never"))
    refused = profile("build", "m", "1", "--data", path, "--time", "at", "--repository", repository)
    assert refused.exit_code == 1
    assert "is no moment" in refused.stderr
