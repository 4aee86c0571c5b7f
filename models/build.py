"""Rebuild the example models from scikit-learn's own data: python models/build.py [FOLDER].

Each model is small, deterministic, and trained on real data; beside it lie golden rows (real rows
with scikit-learn's own answers), a manifest, and the reference profile of the rows it was trained
on, which the program itself makes. The digits' net is the same each time on one kind of processor
only: another one rounds differently, and training adds that up. Needs what `make test` installs.
"""

import csv
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

OPSET = 17
IR_VERSION = 8
GOLDEN_EVERY = 25
"""Every so many rows of the data becomes a golden row, so that all classes are among them."""


def save(
    folder: Path,
    model: onnx.ModelProto,
    names: dict[str, str],
    inputs: dict[str, Any],
    outputs: dict[str, Any],
) -> None:
    """Write a version: the model with its outputs renamed, golden rows, manifest."""
    for node in model.graph.node:
        node.output[:] = [names.get(name, name) for name in node.output]
        node.input[:] = [names.get(name, name) for name in node.input]
    for output in model.graph.output:
        output.name = names.get(output.name, output.name)
    model.ir_version = IR_VERSION
    # The converter takes them from a set, in another order each time.
    opsets = sorted(model.opset_import, key=lambda opset: str(opset.domain))
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    onnx.checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    golden = {f"inputs/{name}": array for name, array in inputs.items()}
    golden |= {f"outputs/{name}": array for name, array in outputs.items()}
    with (folder / "golden.npz").open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **golden)
    manifest = {"files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(f"{folder}: {path.stat().st_size:,} bytes")


def reference(folder: Path, columns: dict[str, Any], *flags: str) -> None:
    """Write a version's profile, made of columns as a user's file has them."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "train.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        model, version = folder.parts[-2:]
        command = [sys.executable, "-m", "server", "profile", "build", model, version]
        command += ["--repository", str(folder.parents[1].absolute()), "--data", str(path)]
        # The rows of these data are in no order.
        done = subprocess.run(  # noqa: S603 - ourselves
            [*command, "--unordered", *flags], cwd=Path(__file__).parents[1], capture_output=True
        )
    if done.returncode:
        raise SystemExit(done.stderr.decode())


def features_toml(comment: str, name: str, features: list[str], *lines: str) -> str:
    """Return a model.toml that names the columns of an input."""
    quoted = "".join(f'    "{feature}",\n' for feature in features)
    top = "".join(f"{line}\n" for line in lines)
    return f"# {comment}\n{top}\n[inputs.{name}]\nfeatures = [\n{quoted}]\n"


def breast_cancer(root: Path) -> None:
    """Two versions of boosted trees that tell benign from malignant tumours."""
    data = load_breast_cancer()
    rows = data.data.astype(np.float32)
    labels = np.array(["malignant", "benign"])[data.target]
    for version, trees in (("1", 50), ("2", 100)):
        model = GradientBoostingClassifier(n_estimators=trees, max_depth=3, random_state=0)
        model.fit(rows, labels)
        onnx_model = to_onnx(
            model,
            initial_types=[("features", FloatTensorType([None, rows.shape[1]]))],
            options={id(model): {"zipmap": False}},
            target_opset={"": OPSET, "ai.onnx.ml": 3},
            name="breast-cancer",
        )
        golden = rows[::GOLDEN_EVERY]
        save(
            root / "breast-cancer" / version,
            onnx_model,
            {},
            {"features": golden},
            {
                "label": model.predict(golden).astype(np.str_),
                "probabilities": model.predict_proba(golden).astype(np.float32),
            },
        )
    (root / "breast-cancer" / "model.toml").write_text(
        features_toml(
            "Both versions stay loaded; the higher one answers when none is named.",
            "features",
            list(data.feature_names),
            'version_policy = "latest:2"',
        )
    )
    columns = dict(zip(data.feature_names, data.data.T.tolist(), strict=True))
    for version in ("1", "2"):
        folder = root / "breast-cancer" / version
        reference(folder, {**columns, "diagnosis": labels.tolist()}, "--labels", "diagnosis")


def diabetes(root: Path) -> None:
    """Regression: how far the disease has come after a year."""
    data = load_diabetes()
    rows = data.data.astype(np.float32)
    model = GradientBoostingRegressor(n_estimators=60, max_depth=3, random_state=0)
    model.fit(rows, data.target)
    onnx_model = to_onnx(
        model,
        initial_types=[("features", FloatTensorType([None, rows.shape[1]]))],
        target_opset={"": OPSET, "ai.onnx.ml": 3},
        name="diabetes",
    )
    golden = rows[::GOLDEN_EVERY]
    save(
        root / "diabetes" / "1",
        onnx_model,
        {"variable": "progression"},
        {"features": golden},
        {"progression": model.predict(golden).astype(np.float32).reshape(-1, 1)},
    )
    check = (
        "# The columns are scaled: a body mass index like 25 comes of a pipeline that forgot to."
    )
    check += '\n[checks.bmi]\nminimum = -1\nmaximum = 1\nnullable = false\npolicy = "warn"\n'
    features = list(data.feature_names)
    (root / "diabetes" / "model.toml").write_text(
        features_toml("Columns as in scikit-learn's data.", "features", features) + "\n" + check
    )
    columns = dict(zip(data.feature_names, data.data.T.tolist(), strict=True))
    reference(root / "diabetes" / "1", columns)


def digits(root: Path) -> None:
    """A dense net that reads 8x8 images of digits."""
    data = load_digits()
    rows = (data.data / 16.0).astype(np.float32)
    model = MLPClassifier(hidden_layer_sizes=(64,), max_iter=500, random_state=0)
    model.fit(rows, data.target)
    onnx_model = to_onnx(
        model,
        initial_types=[("pixels", FloatTensorType([None, rows.shape[1]]))],
        options={id(model): {"zipmap": False}},
        target_opset={"": OPSET, "ai.onnx.ml": 3},
        name="digits",
    )
    golden = rows[::GOLDEN_EVERY]
    save(
        root / "digits" / "1",
        onnx_model,
        {},
        {"pixels": golden},
        {
            "label": model.predict(golden).astype(np.int64),
            "probabilities": model.predict_proba(golden).astype(np.float32),
        },
    )
    columns = {f"pixels[{place}]": column for place, column in enumerate(rows.T.tolist())}
    columns["digit"] = data.target.tolist()
    reference(root / "digits" / "1", columns, "--labels", "digit")


def diabetes_risk(root: Path) -> None:
    """A pipeline with one input for each column, of text, whole numbers and fractions."""
    import pandas

    data = load_diabetes(scaled=False, as_frame=True)
    frame = pandas.DataFrame(
        {
            "sex": data.data["sex"].map({1.0: "female", 2.0: "male"}).astype(str),
            "age": data.data["age"].astype(np.int64),
            "bmi": data.data["bmi"].astype(np.float32),
            "bp": data.data["bp"].astype(np.float32),
        }
    )
    labels = np.where(data.target > 140, "high", "low")
    pipeline = Pipeline(
        [
            (
                "columns",
                ColumnTransformer(
                    [
                        ("text", OneHotEncoder(handle_unknown="ignore"), ["sex"]),
                        ("numbers", StandardScaler(), ["age", "bmi", "bp"]),
                    ]
                ),
            ),
            ("model", LogisticRegression(random_state=0)),
        ]
    )
    pipeline.fit(frame, labels)
    onnx_model = to_onnx(
        pipeline,
        initial_types=[
            ("sex", StringTensorType([None, 1])),
            ("age", Int64TensorType([None, 1])),
            ("bmi", FloatTensorType([None, 1])),
            ("bp", FloatTensorType([None, 1])),
        ],
        options={id(pipeline): {"zipmap": False}},
        target_opset={"": OPSET, "ai.onnx.ml": 3},
        name="diabetes-risk",
    )
    golden = frame[::GOLDEN_EVERY]
    kinds: dict[str, Any] = {"sex": np.str_, "age": np.int64, "bmi": np.float32, "bp": np.float32}
    save(
        root / "diabetes-risk" / "1",
        onnx_model,
        {},
        {name: golden[name].to_numpy().astype(kind).reshape(-1, 1) for name, kind in kinds.items()},
        {
            "label": pipeline.predict(golden).astype(np.str_),
            "probabilities": pipeline.predict_proba(golden).astype(np.float32),
        },
    )
    columns = {name: frame[name].tolist() for name in kinds}
    reference(
        root / "diabetes-risk" / "1", {**columns, "risk": labels.tolist()}, "--labels", "risk"
    )


BUILDERS: tuple[Callable[[Path], None], ...] = (breast_cancer, diabetes, diabetes_risk, digits)


def main() -> None:
    """Rebuild every model below the folder that is named, this one by default."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    # With several threads, sums come out in another order, and training goes another way.
    with threadpool_limits(1):
        for build in BUILDERS:
            build(root)


if __name__ == "__main__":
    main()
