"""`tidegate replay`: run a candidate on captured rows, without a gateway.

Decides what is printed, and the exit code: 1 if a gate fails. Both versions run in this process,
from private copies, as control would take them.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from server.cli.client import fail
from server.cli.plain import standard_output

if TYPE_CHECKING:
    from server.capture.reading import Captured
    from server.cli.check import CheckedVersion
    from server.release.gates import Report
    from server.shadow.replaying import Replayed
    from server.shadow.runner import Opened

_NO_LIMIT = 2**62


def replay(
    model: str = typer.Argument(help="Name of the model."),
    version: str = typer.Argument(help="The candidate: a version of the model."),
    capture: list[Path] = typer.Option(
        ..., "--capture", help="A folder of captured rows, or a file; may be given more than once."
    ),
    against: str | None = typer.Option(
        None,
        "--against",
        help="The version whose answers were captured, if there are rows of several.",
        show_default=False,
    ),
    limit: int | None = typer.Option(
        None, "--limit", min=1, help="Rows to run at most, oldest first.", show_default=False
    ),
    repository: Path = typer.Option(
        "models",
        "--repository",
        envvar="TIDEGATE_REPOSITORY",
        help="Folder of the model repository.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON for programs instead."),
) -> None:
    """Run a version on captured rows, and compare its answers with those that were given.

    Exit code 1 if a gate fails.

    Example: tidegate replay breast-cancer 2 --capture .tidegate/capture
    """
    captured = _found(capture, model, against)
    with tempfile.TemporaryDirectory() as scratch:
        candidate = _checked(repository, model, version, Path(scratch))
        live = _checked(repository, model, captured.plan.version, Path(scratch))
        if live.digest != captured.plan.digest:
            fail(
                f"version {captured.plan.version} in the repository is not what answered: its "
                f"files are {live.digest[:12]}, and were {captured.plan.digest[:12]}",
                "put the files back that answered, or replay newer rows",
            )
        document, report = _replayed(captured, (version, candidate), live, limit or _NO_LIMIT)
    if as_json:
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        from server.cli.replay_view import replay_view

        standard_output().print(replay_view(document))
    if report.failed:
        raise typer.Exit(1)


def _found(paths: list[Path], model: str, against: str | None) -> "Captured":
    from server.operator_errors import DataInvalid

    try:
        from server.capture.reading import find
    except ImportError:
        fail(
            "reading Parquet needs pyarrow, which is not installed",
            "pip install 'tidegate[parquet]'",
        )
    try:
        return find(paths, model, against)
    except DataInvalid as error:
        fail(str(error), error.fix)


def _checked(repository: Path, model: str, version: str, scratch: Path) -> "CheckedVersion":
    from server.cli.check import check_version
    from server.errors import ModelInvalid
    from server.repository.layout import MODEL_NAME, VERSION_NAME
    from server.repository.staging import StillChanging

    folder = Path(os.path.abspath(repository)) / model / version
    is_named = MODEL_NAME.fullmatch(model) and VERSION_NAME.fullmatch(version)
    if not is_named or not folder.is_dir():
        fail(
            f"{repository} has no model '{model}' with a version '{version}'",
            "name the repository with --repository; the version that answered must be there too",
        )
    try:
        return check_version(folder, scratch)
    except ModelInvalid as error:
        fail(f"version {version}: {error}", error.fix)
    except StillChanging:
        fail("the model's files changed while they were read", "try again when they are complete")


def _opened(version: str, checked: "CheckedVersion") -> "Opened":
    from server.engine.session import Session
    from server.shadow.runner import Opened
    from server.wire.shadow import Runnable

    settings = checked.setup.settings
    path = str(checked.model_path)
    is_batched = checked.verdict.is_batched
    runnable = Runnable(version, checked.digest, path, "", is_batched, settings.max_rows)
    return Opened(runnable, Session.open(checked.model_path))


def _replayed(
    captured: "Captured",
    candidate: "tuple[str, CheckedVersion]",
    live: "CheckedVersion",
    limit: int,
) -> "tuple[dict[str, Any], Report]":
    """Run the candidate; return what is said of it, and what the gates say."""
    from server.errors import ModelInvalid
    from server.operator_errors import DataInvalid
    from server.release.gate_settings import GateSettings
    from server.repository.intake_rules import checked_shadow
    from server.shadow.replaying import RECORD_ROWS, Subject

    try:
        subject = Subject(
            captured.plan,
            _opened(*candidate),
            _opened(captured.plan.version, live),
            checked_shadow(live.setup, live.verdict),
        )
        subject.check()
        with _progress(min(limit, captured.rows)) as progress:
            found = subject.run(captured.records(RECORD_ROWS), limit, progress)
    except (DataInvalid, ModelInvalid) as error:
        fail(str(error), error.fix)
    report = subject.judge(found.evidence, live.setup.gates or GateSettings())
    document = _document(captured, candidate, found, report)
    return document, report


def _document(
    captured: "Captured",
    candidate: "tuple[str, CheckedVersion]",
    found: "Replayed",
    report: "Report",
) -> dict[str, Any]:
    plan = captured.plan
    return {
        "model": plan.model,
        "version": candidate[0],
        "digest": candidate[1].digest,
        "against": {"version": plan.version, "digest": plan.digest},
        "files": len(captured.files),
        "captured_rows": captured.rows,
        "rows": found.rows,
        "left_out": plan.left_out,
        "verdict": report.verdict.value,
        "gates": [reading.to_json() for reading in report.readings],
        "evidence": found.evidence.to_json(),
        "samples": [sample.to_json() for sample in found.samples],
    }


@contextmanager
def _progress(rows: int) -> Iterator[Callable[[int], None]]:
    """Show how far it is on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("replaying", total=rows)
        yield lambda done: bar.update(task, completed=done)
