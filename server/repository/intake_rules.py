"""What a version's folder and its settings must agree on.

Decides which file is the model, and whether named features, data checks, rules of comparison and
what is not captured fit the model's tensors. Pure.
"""

from collections.abc import Mapping
from difflib import get_close_matches

from server.errors import ModelInvalid
from server.monitoring.checks import Check, Policy, problem
from server.monitoring.columns import Column, Side, layout_of
from server.monitoring.taking import VALUE
from server.release.shadow_rules import ShadowRules
from server.repository.capture_table import left_out
from server.repository.layout import VersionFolder
from server.repository.model_settings import ModelSetup
from server.repository.shadow_table import shadow_rules
from server.repository.verdict import Verdict


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


def checked_checks(setup: ModelSetup, verdict: Verdict) -> tuple[Check, ...]:
    """Hold the data checks of model.toml to the model's inputs.

    Raises:
        ModelInvalid: a feature that does not exist, or a check that its type cannot have.

    """
    if not setup.checks:
        return ()
    columns = _values_by_feature(setup, verdict)
    specs = {spec.name: spec for spec in verdict.signature.inputs}
    checks = []
    for feature, table in setup.checks.items():
        fix = f"mend [checks.{feature!r}] in model.toml"
        column = columns.get(feature)
        if column is None:
            known = ", ".join(f"'{name}'" for name in list(columns)[:8])
            raise ModelInvalid(
                f"model.toml checks '{feature}', which is no feature; there are {known or 'none'}",
                fix=fix,
            )
        check = Check(
            feature,
            column.tensor,
            int(column.take.removeprefix(VALUE)),
            Policy(table.policy or setup.settings.check_policy),
            table.minimum,
            table.maximum,
            table.nullable,
            None if table.categories is None else tuple(table.categories),
        )
        wrong = problem(check, specs[column.tensor])
        if wrong:
            raise ModelInvalid(f"model.toml checks '{feature}', but {wrong}", fix=fix)
        checks.append(check)
    return tuple(checks)


def checked_shadow(setup: ModelSetup, verdict: Verdict) -> ShadowRules:
    """Hold what model.toml says of comparisons to the model's inputs and outputs.

    Raises:
        ModelInvalid: a feature or an output that does not exist, or values it cannot have; or a
            budget for a segment that is not declared.

    """
    columns = _values_by_feature(setup, verdict)
    rules = shadow_rules(setup.shadow, verdict.signature, columns, setup.features)
    if setup.gates is not None:
        known = [name for segment in rules.segments for name in segment.names]
        for name in setup.gates.disagreement.segments.keys() - set(known):
            close = get_close_matches(name, known, n=1)
            raise ModelInvalid(
                f"model.toml has a budget for segment '{name[:64]}', which is not declared"
                + (f"; did you mean '{close[0]}'?" if close else ""),
                fix="declare it in [shadow.segments], or mend [gates.disagreement.segments]",
            )
    return rules


def checked_capture(setup: ModelSetup, verdict: Verdict) -> Mapping[str, tuple[int, ...]]:
    """Hold what model.toml leaves out of captured rows to the model's inputs and outputs.

    Raises:
        ModelInvalid: a feature, input or output that does not exist.

    """
    return left_out(setup.capture, verdict.signature, _values_by_feature(setup, verdict))


def _values_by_feature(setup: ModelSetup, verdict: Verdict) -> dict[str, Column]:
    """Return the columns of inputs that are single values of a row."""
    layout = layout_of(verdict.signature, setup.features)
    return {
        column.name: column
        for column in layout.inputs.columns
        if column.side is Side.INPUT and column.take.startswith(VALUE)
    }
