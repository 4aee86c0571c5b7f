"""The example models are what their script makes, and get real rows of their data right."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from server.cli.check import check_version
from server.engine.session import Session
from server.monitoring.columns import Side
from server.monitoring.fitting import differences
from server.repository.layout import PROFILE_FILE, scan
from server.repository.model_settings import read_setup
from server.repository.reference import find_reference, load_profile
from server.repository.verdict import VerificationOrder
from server.repository.verification import verify
from server.settings import ModelSettings

MODELS = Path(__file__).parents[1] / "models"
VERSIONS = {"breast-cancer/1", "breast-cancer/2", "diabetes/1", "diabetes-risk/1", "digits/1"}
MAX_BYTES = 200_000
PLAYED = MODELS.parent / "server" / "demo" / "files"


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models as the script makes them now."""
    folder = tmp_path_factory.mktemp("rebuilt")
    done = subprocess.run(
        [sys.executable, str(MODELS / "build.py"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(VERSIONS)
    return folder


def arrays(path: Path) -> dict[str, Any]:
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def real_rows(version: str) -> tuple[Any, Any]:
    """Return all rows of a classifier's data, and their labels."""
    if version == "digits/1":
        digits = load_digits()
        return (digits.data / 16).astype(np.float32), digits.target
    tumours = load_breast_cancer()
    labels = np.array(["malignant", "benign"])[tumours.target]
    return tumours.data.astype(np.float32), labels


def run(folder: Path, *inputs: Any, file: str = "model.onnx") -> dict[str, Any]:
    """Run a model; return its outputs by name."""
    session = Session.open(folder / file)
    outputs = session.run(inputs)
    return {
        spec.name: array for spec, array in zip(session.signature.outputs, outputs, strict=True)
    }


def test_the_repository_holds_the_examples_and_nothing_broken() -> None:
    """What `make serve` shows a newcomer is whole, and the script beside it is no model."""
    listing = scan(MODELS)

    assert listing.problems == {}
    found = {
        f"{name}/{version}": folder.problem
        for name, model in listing.models.items()
        for version, folder in model.versions.items()
    }
    assert found == dict.fromkeys(VERSIONS, "")


@pytest.mark.parametrize("version", sorted(VERSIONS - {"digits/1"}))
def test_the_script_makes_the_same_bytes(rebuilt: Path, version: str) -> None:
    """Model and manifest are rebuilt byte for byte, golden rows value for value."""
    for name in ("model.onnx", "manifest.json"):
        assert (rebuilt / version / name).read_bytes() == (MODELS / version / name).read_bytes()
    now, committed = (arrays(root / version / "golden.npz") for root in (rebuilt, MODELS))
    assert now.keys() == committed.keys()
    for name, array in now.items():
        assert array.dtype == committed[name].dtype
        assert (array == committed[name]).all()


@pytest.mark.parametrize("version", sorted(VERSIONS - {"digits/1"}))
def test_the_script_makes_the_same_profile(rebuilt: Path, version: str) -> None:
    """Of what goes in, to the last digit; answers may be rounded otherwise on another processor."""
    now, committed = (load_profile(root / version / PROFILE_FILE) for root in (rebuilt, MODELS))

    assert now.created_from == committed.created_from
    assert now.layout == committed.layout
    for new, old in zip(now.columns, committed.columns, strict=True):
        if new.column.side is Side.INPUT:
            assert replace(new, importance=None).to_json() == (
                replace(old, importance=None).to_json()
            )


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_each_model_has_a_profile_that_fits(version: str) -> None:
    """Made with its own files, of all rows of its data; those of classifiers know the labels."""
    folder = MODELS / version
    session = Session.open(folder / "model.onnx")
    setup = read_setup(folder.parent, ModelSettings())
    profile = load_profile(folder / PROFILE_FILE)

    assert differences(profile, folder.parent.name, session.signature, setup.features) == []
    sizes = {"breast-cancer": 569, "diabetes": 442, "diabetes-risk": 442, "digits": 1797}
    assert profile.created_from.rows == sizes[folder.parent.name]
    assert not profile.is_self_reference
    assert (profile.score is None) == (version == "diabetes/1")
    assert len(profile.to_json()) < 50_000


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_the_profile_is_of_the_files_beside_it(version: str, tmp_path: Path) -> None:
    """Nobody has changed a model without its profile."""
    checked = check_version(MODELS / version, tmp_path)
    found = find_reference(
        MODELS / version, checked.verdict.signature, checked.setup.features, checked.digest
    )

    assert found.profile is not None
    assert found.warnings == []


def test_the_script_makes_an_equal_net(rebuilt: Path, tmp_path: Path) -> None:
    """A net trained on another processor differs in its weights, and in nothing that shows."""
    folder = rebuilt / "digits" / "1"
    order = VerificationOrder(
        folder / "model.onnx", folder / "golden.npz", tmp_path / "samples.npz", 1, 64, True
    )
    verdict = verify(order)

    assert verdict.golden_rows == 72
    assert verdict.is_batched
    assert verdict.signature == Session.open(MODELS / "digits" / "1" / "model.onnx").signature
    rows, labels = real_rows("digits/1")
    assert (run(folder, rows)["label"] == labels).mean() > 0.98


@pytest.mark.parametrize("name", ["breast-cancer", "diabetes"])
def test_the_script_makes_the_same_settings(rebuilt: Path, name: str) -> None:
    """model.toml belongs to what is rebuilt."""
    assert (rebuilt / name / "model.toml").read_text() == (MODELS / name / "model.toml").read_text()


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_each_model_is_small_and_is_what_its_manifest_says(version: str) -> None:
    """A clone stays light, and nobody has changed a model without its manifest."""
    content = (MODELS / version / "model.onnx").read_bytes()
    manifest = json.loads((MODELS / version / "manifest.json").read_text())

    assert len(content) < MAX_BYTES
    assert manifest == {"files": {"model.onnx": hashlib.sha256(content).hexdigest()}}


@pytest.mark.parametrize("name", ["breast-cancer", "diabetes"])
def test_features_have_the_names_of_the_data(name: str) -> None:
    """Columns are named as scikit-learn names them."""
    loaded = load_breast_cancer() if name == "breast-cancer" else load_diabetes()
    setup = read_setup(MODELS / name, ModelSettings())

    assert setup.features == {"features": list(loaded.feature_names)}
    assert setup.warnings == ()


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_real_tumour_gets_the_right_class(version: str) -> None:
    """The first row of the data is malignant, the last benign, and both versions say so."""
    data = load_breast_cancer()
    rows = data.data[[0, -1]].astype(np.float32)
    answer = run(MODELS / "breast-cancer" / version, rows)

    assert [data.target_names[target] for target in data.target[[0, -1]]] == ["malignant", "benign"]
    assert answer["label"].tolist() == ["malignant", "benign"]
    # Classes are in the order of their names: benign, malignant.
    assert answer["probabilities"].argmax(axis=1).tolist() == [1, 0]


@pytest.mark.parametrize("version", ["breast-cancer/1", "breast-cancer/2", "digits/1"])
def test_classifiers_know_their_data(version: str) -> None:
    """They are trained models, not noise: 98 of 100 rows of their data come out right."""
    rows, labels = real_rows(version)

    assert (run(MODELS / version, rows)["label"] == labels).mean() > 0.98


def test_the_two_versions_can_be_told_apart() -> None:
    """Version 2 has twice the trees, so its probabilities are its own."""
    rows = load_breast_cancer().data.astype(np.float32)

    one, two = (run(MODELS / "breast-cancer" / version, rows)["probabilities"] for version in "12")
    assert not np.allclose(one, two, atol=0.01)


def test_what_the_demo_plays_is_what_its_script_makes(tmp_path: Path) -> None:
    """Rows and candidate: nobody has to take them on trust."""
    done = subprocess.run(
        [sys.executable, str(MODELS / "demo.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    made, kept = arrays(tmp_path / "rows.npz"), arrays(PLAYED / "rows.npz")
    assert made.keys() == kept.keys()
    assert all(np.array_equal(made[name], kept[name]) for name in made)
    rows = made["breast-cancer/features"]
    answers = [run(folder, rows, file="candidate.onnx")["label"] for folder in (tmp_path, PLAYED)]
    assert np.array_equal(*answers)
    live = run(MODELS / "breast-cancer" / "2", rows)["label"]
    assert 0.03 < (answers[0] != live).mean() < 0.2
