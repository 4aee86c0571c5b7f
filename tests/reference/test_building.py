"""Profiles from files: of real models on their real data, and what makes none."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from server.engine.session import Session
from server.monitoring import sampling
from server.monitoring.columns import Kind
from server.monitoring.fitting import differences
from server.monitoring.profile import NumberProfile, Profile, Source
from server.operator_errors import DataInvalid
from server.reference import building
from server.reference.answering import Answers
from server.reference.building import Builder, Built, Options
from server.reference.opening import open_table
from server.repository.model_settings import read_setup
from server.settings import ModelSettings
from server.statistics.histogram import count_column
from tests.support import models

EXAMPLES = Path(__file__).parents[2] / "models"


def write(path: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    """Write a CSV file."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def build(
    version: str, data: Path, features: dict[str, list[str]] | None = None, **options: Any
) -> Built:
    """Build the profile of a version of an example, or of another model's file."""
    folder = EXAMPLES / version
    session = Session.open(folder / "model.onnx" if folder.is_dir() else Path(version))
    if features is None:
        features = dict(read_setup(folder.parent, ModelSettings()).features)
    table, _ = open_table(data)
    steps: list[tuple[str, float]] = []
    answers = Answers(session, 128, is_batched=True)
    builder = Builder(
        answers, features, table, Options(**options), lambda *step: steps.append(step)
    )
    built = builder.build("m", "1", "d", Source(data.name, 0, "s"))
    assert [share for _, share in steps if not 0 <= share <= 1] == []
    assert [step for step, share in steps if share == 1][-1] == "counting all rows"
    assert differences(built.profile, "m", session.signature, features) == []
    return built


@pytest.fixture(scope="module")
def tumours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The breast cancer data as a file, with its labels."""
    data = load_breast_cancer()
    columns = dict(zip(data.feature_names, data.data.T.tolist(), strict=True))
    columns["diagnosis"] = np.array(["malignant", "benign"])[data.target]
    return write(tmp_path_factory.mktemp("tumours") / "train.csv", columns)


def test_a_classifier_of_two_classes(tumours: Path) -> None:
    """Features, probabilities, labels; and how often the score came true."""
    profile = build("breast-cancer/2", tumours, labels="diagnosis").profile
    data = load_breast_cancer()

    assert [one.column.name for one in profile.columns[:30]] == list(data.feature_names)
    names = [one.column.name for one in profile.columns[30:]]
    assert names == ["probabilities." + word for word in ("top1", "margin", "score")] + ["label"]
    for place, one in enumerate(profile.columns[:30]):
        assert isinstance(one, NumberProfile)
        expected = count_column(one.bins, data.data[:, place].astype(np.float32))
        assert one.counts.to_array().tolist() == expected.to_array().tolist()
        assert one.importance is not None
    assert profile.created_from == Source("train.csv", 569, "s")
    assert profile.score is not None
    assert profile.score.positive == "malignant"
    assert profile.score.labelled.sum() == 569
    assert profile.score.positives.sum() == (data.target == 0).sum()


def test_the_other_class_can_be_the_positive_one(tumours: Path) -> None:
    """Then the score is its probability: the file is read once more."""
    one = build("breast-cancer/2", tumours, labels="diagnosis").profile
    other = build("breast-cancer/2", tumours, labels="diagnosis", positive="benign").profile

    assert other.score is not None
    assert one.score is not None
    assert other.score.positive == "benign"
    assert other.score.positives.sum() == (load_breast_cancer().target == 1).sum()
    assert other.score.positives[-1] > 300
    assert one.score.positives[0] < 5


def test_a_classifier_of_ten_classes(tmp_path: Path) -> None:
    """From an archive of its tensor; the score is that of being right."""
    data = load_digits()
    path = tmp_path / "train.npz"
    np.savez(path, pixels=(data.data / 16).astype(np.float32), digit=data.target)
    profile = build("digits/1", path, labels="digit").profile

    assert profile.score is not None
    assert (profile.score.column, profile.score.positive) == ("probabilities.top1", None)
    assert profile.score.labelled.sum() == len(data.target)
    assert profile.score.positives.sum() > 0.98 * len(data.target)
    label = profile.column("label")
    assert label.column.kind is Kind.CATEGORY
    assert label.counts.rows == len(data.target)


def test_a_regression(tmp_path: Path) -> None:
    """Its value is a number; labels are of no use to it, and that is told."""
    data = load_diabetes()
    columns = dict(zip(data.feature_names, data.data.T.tolist(), strict=True))
    path = write(tmp_path / "train.csv", {**columns, "target": data.target.tolist()})
    built = build("diabetes/1", path, labels="target")

    assert built.profile.score is None
    assert built.notes == ["the labels are not used: the model answers no probabilities"]
    assert built.profile.columns[-1].column.kind is Kind.NUMBER


def test_a_pipeline_of_columns_of_many_types(tmp_path: Path) -> None:
    """Text, whole numbers and fractions, each an input of its own."""
    data = load_diabetes(scaled=False)
    sex = ["female" if one == 1 else "male" for one in data.data[:, 1].tolist()]
    age, bmi, bp = (data.data[:, place] for place in (0, 2, 3))
    rows = {"bp": bp, "id": range(442), "sex": sex, "bmi": bmi, "age": age.astype(int)}
    path = write(tmp_path / "train.csv", rows)
    profile = build("diabetes-risk/1", path, ignored=["id"], categorical=["age"]).profile

    kinds = {one.column.name: one.column.kind for one in profile.columns}
    assert kinds["sex"] is Kind.CATEGORY
    assert kinds["age"] is Kind.CATEGORY
    assert kinds["bmi"] is Kind.NUMBER
    assert "id" not in kinds


def sigmoid(tmp_path: Path) -> str:
    """A model of one score a row, and of no label."""
    from onnx import helper

    content = models.model(
        [helper.make_node("Sigmoid", ["x"], ["y"])],
        [models.tensor("x", models.FLOAT, ("N", 1))],
        [models.tensor("y", models.FLOAT, ("N", 1))],
    )
    path = tmp_path / "sigmoid.onnx"
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize(
    ("labels", "options", "score"),
    [
        ([0, 1, 1, 0], {}, "1"),
        (["no", "yes", "yes", "no"], {"positive": "yes"}, "yes"),
        ([0, 1, 2, 3], {}, None),
        ([0.5, 0.25, 1.5, 7], {}, None),
    ],
)
def test_a_single_score_is_one_if_labels_say_so(
    tmp_path: Path, labels: Any, options: Any, score: str | None
) -> None:
    """Two labels and values from 0 to 1 are a probability; else it is a regression."""
    path = write(tmp_path / "train.csv", {"x": [-1, 1, 2, -2], "label": labels})
    profile = build(sigmoid(tmp_path), path, {}, labels="label", **options).profile

    assert (profile.score.positive if profile.score else None) == score
    kind = Kind.PROBABILITY if score else Kind.NUMBER
    assert profile.column("y").column.kind is kind


def long_file(tmp_path: Path, rows: int) -> Path:
    values = np.random.default_rng(1).standard_normal(rows).tolist()
    return write(tmp_path / "train.csv", {"x": values, "label": [int(v > 0) for v in values]})


def test_a_long_file_is_sampled_and_counted_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is asked about few rows twice; every row is counted."""
    monkeypatch.setattr(sampling, "SAMPLE_ROWS", 1000)
    profile = build(sigmoid(tmp_path), long_file(tmp_path, 10_000), {}, labels="label").profile

    assert profile.column("x").counts.rows == 10_000
    assert profile.created_from.rows == 10_000
    assert profile.score is not None
    assert profile.score.labelled.sum() == 10_000


def test_a_profile_is_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it is made from a sample."""
    monkeypatch.setattr(sampling, "SAMPLE_ROWS", 100)
    path = long_file(tmp_path, 5000)

    hashes = {build(sigmoid(tmp_path), path, {}, labels="label").profile.hash for _ in range(2)}
    assert len(hashes) == 1


def test_shuffled_rows_are_taken_as_such(tmp_path: Path) -> None:
    """No likeness of neighbours, and no halves."""
    values = np.repeat(np.arange(50.0), 100).tolist()
    path = write(tmp_path / "train.csv", {"x": values})
    ordered, shuffled = (
        build(sigmoid(tmp_path), path, {}, is_ordered=is_ordered) for is_ordered in (True, False)
    )

    def inflation(profile: Profile) -> float:
        one = profile.column("x")
        assert isinstance(one, NumberProfile)
        return max(one.inflation)

    assert inflation(ordered.profile) > 10
    assert inflation(shuffled.profile) == 1
    assert [one.column for one in ordered.differences] == ["x", "y"]
    assert shuffled.differences == []


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("x\n", {}, "the file has no rows"),
        ("x,id\n1,2\n", {}, "the data has 'id', unknown to the model"),
        ("x\n1\n", {"labels": "y"}, "the data lacks 'y'"),
        ("x\n1\n", {"categorical": ["z"]}, "--categorical 'z': no column of the model"),
        ("x,y\n1,a\n2,b\n", {"labels": "y"}, "the labels are a, b: it is not clear"),
        ("x,y\n1,a\n", {"labels": "y", "positive": "c"}, "'c' is not among the labels: a"),
        ("x\n1\nz\n", {}, "row 2, column 'x': 'z' is no FP32"),
    ],
)
def test_data_that_makes_no_profile_is_refused(
    tmp_path: Path, content: str, options: Any, words: str
) -> None:
    """With what is wrong, and what would help."""
    path = tmp_path / "train.csv"
    path.write_text(content)
    with pytest.raises(DataInvalid, match=words) as caught:
        build(sigmoid(tmp_path), path, {}, **options)

    assert caught.value.fix


@pytest.mark.parametrize(
    "cells",
    [[""], ["", "", ""], ["7"] * 9, ["inf", "-inf", "nan"], ["1e39", "-1e39"], ["1"]],
    ids=["one missing row", "missing", "constant", "infinite", "too large", "one row"],
)
def test_odd_data_makes_a_profile_all_the_same(tmp_path: Path, cells: list[str]) -> None:
    """What is odd stands in it, and is no failure."""
    path = tmp_path / "train.csv"
    path.write_text("x,y\n" + "".join(f"{cell},1\n" for cell in cells))
    profile = build(sigmoid(tmp_path), path, {}, labels="y").profile

    assert profile.column("x").counts.rows == len(cells)


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """Its sample and its counts would be of different rows."""
    path = long_file(tmp_path, 100)
    session = Session.open(Path(sigmoid(tmp_path)))
    table, _ = open_table(path)

    def grow(step: str, share: float) -> None:
        if (step, share) == ("counting all rows", 0.0):
            with path.open("a") as file:
                file.write("1,1\n")

    options = Options(labels="label")
    builder = Builder(Answers(session, 8, is_batched=True), {}, table, options, grow)
    with pytest.raises(DataInvalid, match="the file had 100 rows, then 101"):
        builder.build("m", "1", "d", Source("train.csv", 0, ""))


def test_only_some_labels_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target of a regression has as many as there are rows."""
    monkeypatch.setattr(building, "MAX_LABELS", 10)
    path = write(tmp_path / "train.csv", {"x": range(9000), "label": range(9000)})
    session = Session.open(Path(sigmoid(tmp_path)))
    table, _ = open_table(path)
    options = Options(labels="label")
    answers = Answers(session, 128, is_batched=True)
    builder = Builder(answers, {}, table, options, lambda *_: None)
    builder.build("m", "1", "d", Source("train.csv", 0, ""))

    assert len(builder._labels) < 5000


def timed_file(tmp_path: Path, hours: float, per_hour: int = 10) -> Path:
    """Write rows of some hours, the first at midnight; values are the hour of the day."""
    seconds = 1_767_571_200 + np.arange(int(hours * per_hour)) * (3600 // per_hour)
    values = (seconds % 86_400 // 3600).tolist()
    return write(tmp_path / "train.csv", {"x": values, "when": seconds.tolist()})


@pytest.mark.parametrize(
    ("hours", "cycle"), [(24, "day"), (13.9 * 24, "day"), (14 * 24, "week"), (30 * 24, "week")]
)
def test_rows_with_moments_make_a_reference_by_hours(
    tmp_path: Path, hours: float, cycle: str
) -> None:
    """Of the week if every hour of it was there twice, else of the day; each has its own counts."""
    profile = build(sigmoid(tmp_path), timed_file(tmp_path, hours), {}, time="when").profile
    assert profile.hours is not None
    assert profile.hours.cycle == cycle
    assert profile.hours.rows.sum() == profile.created_from.rows
    table, x = profile.hours.columns[0], profile.column("x")
    assert isinstance(x, NumberProfile)
    for hour, counts in enumerate(table[:, : x.bins.count]):
        assert np.flatnonzero(counts).tolist() == [x.bins.locate(np.array([hour % 24.0]))[0]]


def test_rows_of_less_than_a_day_have_no_hours(tmp_path: Path) -> None:
    """They would say nothing of most of them."""
    with pytest.raises(DataInvalid, match=r"the rows cover 22.4 hours: .* needs a day"):
        build(sigmoid(tmp_path), timed_file(tmp_path, 22.5), {}, time="when")


def test_a_row_without_a_moment_is_refused(tmp_path: Path) -> None:
    """With its row and what is there."""
    path = write(tmp_path / "train.csv", {"x": [1, 2], "when": ["2026-01-05", "soon"]})
    with pytest.raises(DataInvalid, match="row 2, column 'when': 'soon' is no moment"):
        build(sigmoid(tmp_path), path, {}, time="when")
    with pytest.raises(DataInvalid, match="the data lacks 'then'"):
        build(sigmoid(tmp_path), path, {}, time="then", ignored=["when"])


@pytest.mark.parametrize(("most", "cycle"), [(24 * 60, "day"), (168 * 60, "week")])
def test_many_columns_have_hours_of_the_day_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, cycle: str
) -> None:
    """A reference by hours is bounded, however long the rows."""
    monkeypatch.setattr(building, "MAX_HOUR_COUNTS", most)
    profile = build(sigmoid(tmp_path), timed_file(tmp_path, 14 * 24), {}, time="when").profile
    assert profile.hours is not None
    assert profile.hours.cycle == cycle
    monkeypatch.setattr(building, "MAX_HOUR_COUNTS", 100)
    with pytest.raises(DataInvalid, match="2 columns are too many for a reference by hours"):
        build(sigmoid(tmp_path), timed_file(tmp_path, 14 * 24), {}, time="when")


def test_a_feature_of_the_model_cannot_be_passed_over(tumours: Path) -> None:
    """What the model needs to answer is named, and not read all the same without a word."""
    with pytest.raises(DataInvalid, match="'mean area' is a feature of the model"):
        build("breast-cancer/2", tumours, ignored=["diagnosis", "mean area"])
