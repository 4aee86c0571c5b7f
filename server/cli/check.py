"""Check folders without a gateway: the same steps as control takes, in this process.

Decides nothing: copies to a scratch directory and verifies there.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.errors import ModelInvalid
from server.repository.intake_rules import (
    checked_capture,
    checked_checks,
    checked_features,
    checked_shadow,
    model_file_of,
)
from server.repository.layout import GOLDEN_FILE, VERSION_NAME, scan_model
from server.repository.model_settings import ModelSetup, read_setup
from server.repository.reference import find_reference
from server.repository.staging import StillChanging, Store
from server.repository.verdict import Verdict, VerificationOrder
from server.repository.verification import verify
from server.settings import ModelSettings


def versions_below(path: Path) -> list[Path]:
    """Return the version folders that `path` names: itself, or those inside it."""
    if VERSION_NAME.fullmatch(Path(os.path.abspath(path)).name) and path.is_dir():
        return [path]
    if not path.is_dir():
        return []
    found = [child for child in path.iterdir() if VERSION_NAME.fullmatch(child.name)]
    return sorted(found, key=lambda child: int(child.name))


def check_folder(path: Path, scratch: Path, signers_file: Path | None = None) -> dict[str, Any]:
    """Check one version; return what was found, or `error` and `fix`.

    With a file of signers, one of them has to have signed it.
    """
    try:
        return {"path": str(path), **_check(Path(os.path.abspath(path)), scratch, signers_file)}
    except ModelInvalid as error:
        return {"path": str(path), "error": str(error), "fix": error.fix}
    except StillChanging:
        return {
            "path": str(path),
            "error": "its files changed while they were read",
            "fix": "try again when the copy is complete",
        }


@dataclass(frozen=True, slots=True)
class CheckedVersion:
    """A version that can be served, as it was found."""

    setup: ModelSetup
    digest: str
    model_path: Path
    """Its copy below the scratch directory."""
    verdict: Verdict
    signer: str
    """Who has signed it; empty where nobody has to."""


def check_version(path: Path, scratch: Path, signers_file: Path | None = None) -> CheckedVersion:
    """Check the version at `path`, an absolute one, as control would.

    Raises:
        ModelInvalid: it cannot be served; says why, and what would help.
        StillChanging: its files are being written.

    """
    model = scan_model(path.parent, path.parent.parent.resolve())
    folder = model.versions.get(path.name)
    problem = model.problem if folder is None else folder.problem
    if folder is None or problem:
        raise ModelInvalid(problem, fix="mend the version's folder")
    setup = read_setup(path.parent, ModelSettings())
    model_file = model_file_of(folder, setup.model_file)
    store = Store(scratch, signers_file)
    store.prepare()
    staged = store.stage(folder)
    verdict = verify(
        VerificationOrder(
            staged.path / model_file,
            path / GOLDEN_FILE if staged.golden_digest else None,
            scratch / "samples.npz",
            setup.settings.threads,
            setup.settings.max_rows,
            setup.may_batch,
        )
    )
    checked_features(setup, verdict)
    return CheckedVersion(setup, staged.digest, staged.path / model_file, verdict, staged.signer)


def _check(path: Path, scratch: Path, signers_file: Path | None) -> dict[str, Any]:
    checked = check_version(path, scratch, signers_file)
    checked_checks(checked.setup, checked.verdict)
    checked_shadow(checked.setup, checked.verdict)
    checked_capture(checked.setup, checked.verdict)
    reference = find_reference(
        path, checked.verdict.signature, checked.setup.features, checked.digest
    )
    report = checked.verdict.to_json()
    report.update(report.pop("signature"))
    report["warnings"] = [*checked.setup.warnings, *report["warnings"], *reference.warnings]
    return {"digest": checked.digest, "signer": checked.signer, **report}
