"""`tidegate model check`: the same verdict as the gateway's, without one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from server.cli import app
from tests.support import models
from tests.support.permissions import without_root_rights
from tests.support.signing import Author, write_signers

EXAMPLES = Path(__file__).parents[2] / "models"


def check(*paths: Path | str) -> tuple[int, list[dict[str, Any]]]:
    """Check as JSON; return the exit code and the reports."""
    result = CliRunner().invoke(app, ["model", "check", "--json", *map(str, paths)])
    assert result.stderr == ""
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.parametrize(
    ("folder", "versions"),
    [
        ("breast-cancer", ["breast-cancer/1", "breast-cancer/2"]),
        ("breast-cancer/2", ["breast-cancer/2"]),
        ("diabetes", ["diabetes/1"]),
        ("diabetes-risk", ["diabetes-risk/1"]),
        ("digits", ["digits/1"]),
    ],
)
def test_the_example_models_can_be_served(folder: str, versions: list[str]) -> None:
    """Each example is batched, without a note, and its golden rows come out as recorded."""
    code, reports = check(EXAMPLES / folder)

    assert code == 0
    assert [report["path"] for report in reports] == [str(EXAMPLES / one) for one in versions]
    for report in reports:
        assert report["is_batched"]
        assert report["golden_rows"] >= 18
        assert report["warnings"] == []
        assert len(report["digest"]) == 64


def test_the_report_can_be_read(tmp_path: Path) -> None:
    """Tensors, batching, golden rows, time and notes are there in words."""
    folder = models.put(tmp_path, "m", 1, models.batch_mean())
    (tmp_path / "m" / "config.pbtxt").write_text("optimization { }")
    result = CliRunner().invoke(app, ["model", "check", str(folder)])

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"can be served  {folder}  (sha256 ")
    assert lines[1:5] == [
        "  input  x  FP32 [-1, 3]",
        "  output y  FP32 [-1, 3]",
        "  batched: no",
        "  golden rows compared: 0",
    ]
    assert lines[5].startswith("  one row takes ")
    assert lines[6:] == [
        "  note: config.pbtxt: optimization has no effect here",
        "  note: it is served unbatched: a row of output 'y' in a batch is not what it is alone",
    ]


def broken_model(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"nonsense")


def no_model(folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "net.onnx")


def bad_settings(folder: Path) -> None:
    (folder.parent / "model.toml").write_text("max_rows = 0")


def other_backend(folder: Path) -> None:
    (folder.parent / "config.pbtxt").write_text('backend: "python"')


def wrong_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"files": {"weights.bin": ""}}')


def wrong_golden(folder: Path) -> None:
    arrays: dict[str, Any] = {"inputs/x": np.zeros((1, 3)), "outputs/y": np.zeros((1, 3))}
    np.savez(folder / "golden.npz", **arrays)


def wrong_features(folder: Path) -> None:
    (folder.parent / "model.toml").write_text('[inputs.x]\nfeatures = ["a"]')


def link_out(folder: Path) -> None:
    (folder / "weights.bin").symlink_to("/etc/hostname")


@pytest.mark.parametrize(
    ("spoil", "error", "fix"),
    [
        (broken_model, "ONNX Runtime cannot load it", "export the model again"),
        (no_model, "it has no model.onnx (found net.onnx)", "put the model at m/2/model.onnx"),
        (bad_settings, "model.toml, line 1: max_rows", "mend model.toml"),
        (other_backend, "config.pbtxt asks for backend 'python'", "export the model to ONNX"),
        (wrong_manifest, "'weights.bin' is in manifest.json and is missing", "copy the version"),
        (wrong_golden, "golden output 'y' is not what the model answers", "save golden.npz again"),
        (wrong_features, "model.toml names 1 features of 'x', which has 3", "mend [inputs]"),
        (link_out, "'weights.bin' is a link that leads out", "mend the version's folder"),
    ],
)
def test_a_broken_version_says_cause_and_fix(
    tmp_path: Path, spoil: Any, error: str, fix: str
) -> None:
    """Exit code 1 and, for people and for programs, what is wrong and what would help."""
    folder = models.put(tmp_path, "m", 2, models.affine())
    spoil(folder)

    code, [report] = check(folder)
    assert code == 1
    assert error in report["error"]
    assert fix in report["fix"]
    result = CliRunner().invoke(app, ["model", "check", str(folder)])
    assert result.exit_code == 1
    assert f"cannot be served  {folder}: {report['error']}\n" in result.stdout
    assert f"  fix: {report['fix']}\n" in result.stdout


@pytest.mark.parametrize("table", ["shadow", "capture"])
def test_a_name_to_be_left_out_that_is_not_there_is_told(tmp_path: Path, table: str) -> None:
    """What is misspelt would be shown, or written."""
    folder = models.put(tmp_path, "m", 1, models.affine())
    (tmp_path / "m" / "model.toml").write_text(f'[{table}]\nredact = ["agee"]\n')
    code, [report] = check(folder)

    assert code == 1
    assert "redacts 'agee', which is no feature" in report["error"]
    assert report["fix"] == f"mend [{table}] in model.toml"


def test_one_broken_version_does_not_hide_the_others(tmp_path: Path) -> None:
    """All versions of a model are reported, in their order, and one is enough for exit code 1."""
    for version in (10, 2, 1):
        models.put(tmp_path, "m", version, models.affine())
    broken_model(tmp_path / "m" / "2")

    code, reports = check(tmp_path / "m")
    assert code == 1
    assert [Path(report["path"]).name for report in reports] == ["1", "2", "10"]
    assert ["error" in report for report in reports] == [False, True, False]


def test_links_are_judged_as_the_gateway_does(tmp_path: Path) -> None:
    """A version or model that is a link out of the repository is refused here too."""
    outside = models.put(tmp_path / "outside", "m", 1, models.affine())
    repository = tmp_path / "models"
    (repository / "m").mkdir(parents=True)
    (repository / "m" / "1").symlink_to(outside)
    (repository / "n").symlink_to(outside.parent)

    for path in (repository / "m" / "1", repository / "n" / "1"):
        code, [report] = check(path)
        assert code == 1
        assert "link that leads out of the repository" in report["error"]


def test_a_folder_may_be_named_from_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths, the current folder's own included, name the same version."""
    monkeypatch.chdir(models.put(tmp_path, "m", 1, models.affine()))

    for path in (".", "../1", "../../m/1", ".."):
        assert check(path)[0] == 0


@pytest.mark.parametrize("path", ["nowhere", "empty", "file", "17"])
def test_what_is_no_version_is_told(tmp_path: Path, path: str) -> None:
    """A path that names nothing gets exit code 1 and the form of one that does."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(app, ["model", "check", str(tmp_path / path)])

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"tidegate: {tmp_path / path} holds no version\n"
        "  fix: name a folder like models/<name>/<version>\n"
    )


def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    """A missing right is named as such, not as a missing version."""
    folder = models.put(tmp_path, "m", 1, models.affine())
    (tmp_path / "m").chmod(0o100)
    with without_root_rights():
        code, [report] = check(folder)

    assert code == 1
    assert report["error"] == "it cannot be read: Permission denied"


def test_a_check_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy that was checked is gone, and the folder is as it was."""
    folder = models.put(tmp_path, "m", 1, models.affine())
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    assert check(folder)[0] == 0
    assert list(scratch.iterdir()) == []
    assert [path.name for path in folder.iterdir()] == ["model.onnx"]


def test_a_version_is_held_to_its_signature_if_that_is_asked(tmp_path: Path) -> None:
    """As a gateway that requires signatures would; the signer is named."""
    folder = models.put(tmp_path / "models", "m", 1, models.affine())
    ann = Author(tmp_path, "ann")
    signers = write_signers(tmp_path, ann)
    code, (report,) = check("--signers", signers, folder)
    assert (code, report["error"]) == (1, "it has no model.sig, and versions have to be signed")

    ann.sign(folder)
    code, (report,) = check("--signers", signers, folder)
    assert (code, report["signer"]) == (0, "ann")
    result = CliRunner().invoke(app, ["model", "check", "--signers", str(signers), str(folder)])
    assert "  signed by ann" in result.stdout.splitlines()
