"""What a version's folder and its settings must agree on.

Decides which file is the model, and whether named features fit the model's inputs. Pure.
"""

from server.errors import ModelInvalid
from server.repository.layout import VersionFolder
from server.repository.model_settings import ModelSetup
from server.repository.verification import Verdict


def model_file_of(folder: VersionFolder, name: str) -> str:
    """Return the relative path of the model; Triton allows it to be in a folder of its name."""
    for candidate in (name, f"{name}/{name}"):
        if candidate in folder.files:
            return candidate
    found = ", ".join(folder.files[:4]) or "nothing"
    raise ModelInvalid(
        f"it has no {name} (found {found}); it may still be on its way",
        fix=f"put the model at {folder.path.parent.name}/{folder.path.name}/{name}",
    )


def checked_features(setup: ModelSetup, verdict: Verdict) -> dict[str, list[str]]:
    """Hold the names of features to the model's inputs.

    Raises:
        ModelInvalid: an input that does not exist, or another number of names than columns.

    """
    known = {spec.name: spec for spec in verdict.signature.inputs}
    for name, features in setup.features.items():
        fix = "mend [inputs] in model.toml"
        if name not in known:
            raise ModelInvalid(f"model.toml names features of '{name}', which is no input", fix=fix)
        columns = known[name].row_items
        if len(set(features)) != len(features):
            raise ModelInvalid(f"model.toml names a feature of '{name}' twice", fix=fix)
        if columns is not None and columns != len(features):
            raise ModelInvalid(
                f"model.toml names {len(features)} features of '{name}', which has {columns}",
                fix=fix,
            )
    return {name: list(features) for name, features in setup.features.items()}
