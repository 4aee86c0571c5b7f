"""Rebuild what `tidegate demo` plays: python models/demo.py [FOLDER].

Real rows of scikit-learn's data with their labels, and a candidate for `breast-cancer` that was
trained carelessly: on ten of the thirty columns, with three stumps. It answers a few per cent of
the rows otherwise than the version it is meant to replace. Needs what `make test` installs.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from build import IR_VERSION, OPSET
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

FILES = Path(__file__).parents[1] / "server" / "demo" / "files"
DIGITS = 600


def rows() -> dict[str, Any]:
    """Return the inputs and labels of each model, by `model/input` and `model:label`."""
    tumours, disease, digits = load_breast_cancer(), load_diabetes(), load_digits()
    people = load_diabetes(scaled=False)
    named = dict(zip(people.feature_names, people.data.T, strict=True))
    return {
        "breast-cancer/features": tumours.data.astype(np.float32),
        "breast-cancer:label": np.array(["malignant", "benign"])[tumours.target],
        "diabetes/features": disease.data.astype(np.float32),
        "diabetes:label": disease.target,
        "digits/pixels": (digits.data[:DIGITS] / 16.0).astype(np.float32),
        "digits:label": digits.target[:DIGITS],
        "diabetes-risk/sex": np.where(named["sex"] == 1.0, "female", "male").reshape(-1, 1),
        "diabetes-risk/age": named["age"].astype(np.int64).reshape(-1, 1),
        "diabetes-risk/bmi": named["bmi"].astype(np.float32).reshape(-1, 1),
        "diabetes-risk/bp": named["bp"].astype(np.float32).reshape(-1, 1),
        "diabetes-risk:label": np.where(people.target > 140, "high", "low"),
    }


def candidate(found: dict[str, Any]) -> bytes:
    """Return the careless candidate."""
    features, labels = found["breast-cancer/features"], found["breast-cancer:label"]
    model = Pipeline(
        [
            ("columns", ColumnTransformer([("first", "passthrough", list(range(10)))])),
            ("trees", GradientBoostingClassifier(n_estimators=3, max_depth=1, random_state=0)),
        ]
    )
    model.fit(features, labels)
    onnx_model = to_onnx(
        model,
        initial_types=[("features", FloatTensorType([None, features.shape[1]]))],
        options={id(model): {"zipmap": False}},
        target_opset={"": OPSET, "ai.onnx.ml": 3},
        name="breast-cancer",
    )
    onnx_model.ir_version = IR_VERSION
    opsets = sorted(onnx_model.opset_import, key=lambda opset: str(opset.domain))
    del onnx_model.opset_import[:]
    onnx_model.opset_import.extend(opsets)
    return bytes(onnx_model.SerializeToString(deterministic=True))


def main() -> None:
    """Write the files below the folder that is named, that of the program by default."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FILES
    folder.mkdir(parents=True, exist_ok=True)
    found = rows()
    with threadpool_limits(1):
        (folder / "candidate.onnx").write_bytes(candidate(found))
    with (folder / "rows.npz").open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **found)
    for path in sorted(folder.iterdir()):
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
