"""The three commands, as they are typed."""

import argparse
import shutil
from pathlib import Path

import pytest

from loadtests.proof import command
from loadtests.proof.results import to_json
from tests.loadtests.proof.support import measured, outcome, results


def typed(*words: str) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = argparse.ArgumentParser()
    command.add_options(parser.add_subparsers(required=True))
    return parser.parse_args(words)


def run(*words: str) -> None:
    """Do what a command line says."""
    options = typed(*words)
    options.run(options)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "tables/1"], "no workload is called 'tables'"),
        (["run", "mlp-json-1/1", "--targets", "triton"], "no target is called 'triton'"),
        (["run", "mlp-json-1/1", "--rounds", "0"], "both must be 1 at least"),
        (["compare", "none.json", "none.json"], "none.json: .*No such file"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_starts(
    words: list[str], told: str
) -> None:
    """The command ends with what there is."""
    with pytest.raises(SystemExit, match=told):
        run(*words)


def test_scenarios_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is started."""
    run("run", "mlp-json-1/64*", "--list")

    assert capsys.readouterr().out.split() == [
        "mlp-json-1/64",
        "mlp-json-1/64/workers=2",
        "mlp-json-1/64/close",
        "mlp-json-1/64/rate=100",
        "mlp-json-1/64/load=50",
        "mlp-json-1/64/unmonitored",
        "mlp-json-1/64/shadow",
        "mlp-json-1/64/load=50/shadow",
    ]


def test_files_are_compared_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both commands read what `run` writes."""
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_bytes(to_json(results(outcome(measured("tidegate", [100, 101, 102])))))
    new.write_bytes(to_json(results(outcome(measured("tidegate", [200, 201, 202])))))

    run("compare", str(old), str(new))
    run("report", str(new))

    told = capsys.readouterr().out
    assert "| better |" in told
    assert "| tidegate | 201 [200, 202] |" in told


def test_another_file_is_refused(tmp_path: Path) -> None:
    """Its name and what is wrong with it."""
    path = tmp_path / "other.json"
    path.write_text("{}")

    with pytest.raises(SystemExit, match=r"other.json: not the result of a run: format"):
        run("report", str(path))


def test_pictures_are_written_as_both_kinds(tmp_path: Path) -> None:
    """SVG and PNG of each."""
    path = tmp_path / "new.json"
    path.write_bytes(to_json(results(outcome(measured("tidegate", [100])))))

    run("report", str(path), "--pictures", str(tmp_path / "pictures"))

    svg = sorted((tmp_path / "pictures").glob("*.svg"))
    png = sorted((tmp_path / "pictures").glob("*.png"))
    assert len(svg) == len(png) == 4
    assert all(one.read_bytes().startswith(b"\x89PNG") for one in png)


def test_without_a_browser_there_is_svg_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And it is said what PNG takes."""
    monkeypatch.setattr(shutil, "which", lambda _: None)

    command.draw({"one": "<svg/>"}, tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["one.svg"]
    assert "no PNG: that takes Chromium" in capsys.readouterr().err
