"""`tidegate feedback push` against a control port that answers what we tell it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from server.cli import app
from server.cli import feedback as command
from tests.support.fake_http import answering

JOINED = {"result": "joined"}


def push(
    file: Path, *more: str, results: list[dict[str, str]] | None = None
) -> tuple[Result, list[Any]]:
    """Push a file; return what came of it and the items of each call."""
    answer = (200, {"results": results if results is not None else [JOINED]})
    with answering({"POST /v1/feedback": answer}) as server:
        arguments = ["feedback", "push", str(file), *more, "--url", server.url]
        result = CliRunner().invoke(app, arguments)
    return result, [json.loads(body)["items"] for _, body in server.asked]


def written(folder: Path, name: str, text: str) -> Path:
    """Write a file."""
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_values_of_a_table_are_numbers_truths_or_text(tmp_path: Path) -> None:
    """Empty cells are left out; ids and models stay text whatever they look like."""
    file = written(
        tmp_path,
        "labels.csv",
        "prediction_id,label,row,ts,acted_on,model\n"
        "17,1,2,1.5,true,7\n"
        "a-b,3.5,,,,\n"
        "c,True,,,,\n"
        "d,ill,,,false,\n"
        "e,nan,,,,\n"
        "f,-1e-3,,,,\n",
    )

    result, (items,) = push(file, results=[JOINED] * 6)

    assert result.exit_code == 0
    assert result.output == "6 joined\n"
    assert items == [
        {"prediction_id": "17", "label": 1, "row": 2, "ts": 1.5, "acted_on": True, "model": "7"},
        {"prediction_id": "a-b", "label": 3.5},
        {"prediction_id": "c", "label": True},
        {"prediction_id": "d", "label": "ill", "acted_on": False},
        {"prediction_id": "e", "label": "nan"},
        {"prediction_id": "f", "label": -0.001},
    ]


def test_labels_of_a_table_may_be_taken_as_text(tmp_path: Path) -> None:
    """Classes that are called 1 and 2 but are words."""
    file = written(tmp_path, "labels.csv", "prediction_id,label\na,1\n")

    _, (items,) = push(file, "--text")

    assert items == [{"prediction_id": "a", "label": "1"}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.json", '[{"prediction_id": "a", "label": 1}]'),
        ("labels.json", '{"items": [{"prediction_id": "a", "label": 1}]}'),
        ("labels.jsonl", '\n{"prediction_id": "a", "label": 1}\n'),
    ],
)
def test_json_is_sent_as_it_is(tmp_path: Path, name: str, text: str) -> None:
    """A list, an object of items, or a line for each."""
    result, (items,) = push(written(tmp_path, name, text))

    assert result.exit_code == 0
    assert items == [{"prediction_id": "a", "label": 1}]


def test_what_was_rejected_is_named_by_its_line(tmp_path: Path) -> None:
    """With the reason, and exit code 1; the others are counted."""
    file = written(tmp_path, "labels.csv", "prediction_id,label\na,1\nb,x\nc,2\n")
    results = [JOINED, {"result": "rejected", "reason": "label: no\x1b[31m"}, {"result": "unknown"}]

    result, _ = push(file, results=results)

    assert result.exit_code == 1
    assert "1 joined, 1 rejected, 1 unknown" in result.output
    assert "line 3: label: no\\x1b[31m" in result.output
    told, _ = push(file, "--json", results=results)
    assert json.loads(told.output)["rejected"][0]["place"] == "line 3"


def test_large_files_go_in_several_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many labels at once, in order."""
    monkeypatch.setattr(command, "AT_ONCE", 1)
    file = written(tmp_path, "labels.csv", "prediction_id,label\na,1\nb,2\n")

    result, calls = push(file)

    assert result.output == "2 joined\n"
    assert [[item["prediction_id"] for item in items] for items in calls] == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("labels.txt", "", "is not .csv, .json or .jsonl"),
        ("labels.csv", "id,label\n", "the first line has no column prediction_id"),
        ("labels.json", "3", "it is no list of labels"),
        ("labels.json", "{", "cannot be read"),
        ("labels.csv", "", "the first line has no column"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    """Nothing is sent, and the reason is told."""
    result, calls = push(written(tmp_path, name, text))

    assert result.exit_code == 1
    assert words in result.output
    assert calls == []


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """The reason is the system's."""
    result, _ = push(tmp_path / "labels.csv")

    assert result.exit_code == 1
    assert "No such file" in result.output
