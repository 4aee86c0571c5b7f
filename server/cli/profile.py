"""`tidegate profile`: make a reference profile of a version from data, and look at one.

Decides what these commands print. The model runs in this process; no gateway is needed, and one
that runs picks the new profile up by itself.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from server.cli.client import fail
from server.cli.plain import standard_output, visible

if TYPE_CHECKING:
    from server.monitoring.profile import Profile
    from server.reference.building import Built, Options

profile_app = typer.Typer(
    help="Build and show reference profiles, which live rows are held to.", no_args_is_help=True
)

_MODEL = typer.Argument(help="Name of the model.")
_VERSION = typer.Argument(help="Version of the model.")
_REPOSITORY = typer.Option(
    "models",
    "--repository",
    envvar="TIDEGATE_REPOSITORY",
    help="Folder of the model repository.",
)


@profile_app.command("build")
def build(
    model: str = _MODEL,
    version: str = _VERSION,
    data: Path = typer.Option(
        ..., "--data", help="Rows the model was trained on: .csv, .parquet or .npz."
    ),
    repository: Path = _REPOSITORY,
    labels: str = typer.Option("", "--labels", help="Column of the true labels, if there is one."),
    positive: str | None = typer.Option(
        None, "--positive", help="Of two labels, the one that the score is the probability of."
    ),
    categorical: list[str] = typer.Option(
        [], "--categorical", help="A column whose numbers are codes; may be given more than once."
    ),
    ignore: list[str] = typer.Option(
        [], "--ignore", help="A column to pass over; may be given more than once."
    ),
    unordered: bool = typer.Option(
        False, "--unordered", help="The order of the rows means nothing: they were shuffled."
    ),
    time: str = typer.Option(
        "",
        "--time",
        help="Column of the moments of the rows: what is usual is then kept by hour.",
    ),
    output: Path | None = typer.Option(
        None, "--output", help="Where to write; profile.json beside the version by default."
    ),
) -> None:
    """Make the reference profile of a version from its training data, and write it beside it.

    Columns are found by the names of the model's features. Rows should be in the order in which
    they came.

    Example: tidegate profile build breast-cancer 2 --data train.csv --labels diagnosis
    """
    from server.reference.building import Options

    if positive is not None and not labels:
        raise typer.BadParameter("it needs --labels", param_hint="--positive")
    folder = _version_folder(repository, model, version)
    path = output or folder / "profile.json"
    options = Options(labels, positive, categorical, ignore, not unordered, time)
    built = _built(folder, data, options)
    _save(path, built.profile)
    _tell(built, path)


@profile_app.command("show")
def show(
    model: str = _MODEL,
    version: str = _VERSION,
    column: str = typer.Argument("", help="A column to draw bin by bin."),
    repository: Path = _REPOSITORY,
    as_json: bool = typer.Option(False, "--json", help="Print JSON for programs instead."),
) -> None:
    """Draw the reference profile of a version: ranges, shapes, missing values, importance.

    Example: tidegate profile show breast-cancer 2
    """
    from server.operator_errors import ProfileInvalid
    from server.repository.reference import load_profile

    folder = _version_folder(repository, model, version)
    path = folder / "profile.json"
    try:
        profile = load_profile(path)
    except FileNotFoundError:
        fail(
            f"model '{model}' version {version} has no profile",
            f"make one: tidegate profile build {model} {version} --data FILE",
        )
    except ProfileInvalid as error:
        fail(f"{path} is no profile: {error}", "make it again with tidegate profile build")
    if as_json:
        typer.echo(json.dumps(json.loads(profile.to_json()), indent=2, ensure_ascii=False))
        return
    _draw(profile, column)


def _draw(profile: "Profile", column: str) -> None:
    from server.cli.profile_view import column_view, heading, summary_table

    console = standard_output()
    if column:
        try:
            console.print(*column_view(profile, column), sep="\n")
        except KeyError:
            names = ", ".join(one.column.name for one in profile.columns[:10])
            fail(f"the profile has no column '{column}'", f"name one of {names}")
        return
    console.print(heading(profile), markup=False)
    console.print()
    console.print(summary_table(profile))


def _version_folder(repository: Path, model: str, version: str) -> Path:
    from server.repository.layout import MODEL_NAME, VERSION_NAME

    folder = Path(os.path.abspath(repository)) / model / version
    is_named = MODEL_NAME.fullmatch(model) and VERSION_NAME.fullmatch(version)
    if not is_named or not folder.is_dir():
        fail(
            f"{repository} has no model '{model}' with a version '{version}'",
            "name the repository with --repository, and a model and a version that are there",
        )
    return folder


def _built(folder: Path, data: Path, options: "Options") -> "Built":
    from server.cli.check import check_version
    from server.engine.session import Session
    from server.errors import ModelInvalid
    from server.monitoring.profile import Source
    from server.operator_errors import DataInvalid, ProfileInvalid
    from server.reference.answering import Answers
    from server.reference.building import Builder
    from server.reference.opening import open_table
    from server.repository.staging import StillChanging

    try:
        table, sha256 = open_table(data)
        with tempfile.TemporaryDirectory() as scratch, _progress() as progress:
            progress("checking the model", 0.0)
            checked = check_version(folder, Path(scratch))
            settings = checked.setup.settings
            session = Session.open(checked.model_path, threads=settings.threads)
            answers = Answers(session, settings.max_rows, is_batched=checked.verdict.is_batched)
            builder = Builder(answers, checked.setup.features, table, options, progress)
            source = Source(data.name, 0, sha256)
            return builder.build(folder.parent.name, folder.name, checked.digest, source)
    except (DataInvalid, ModelInvalid) as error:
        fail(str(error), error.fix)
    except ProfileInvalid as error:
        fail(str(error), "")
    except StillChanging:
        fail("the model's files changed while they were read", "try again when they are complete")


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """Show how far it is on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True,
        disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=1.0)
        yield lambda step, share: bar.update(task, description=step, completed=share)


def _save(path: Path, profile: "Profile") -> None:
    from server.monitoring.profile_reading import MAX_BYTES
    from server.repository.reference import save_profile

    if len(profile.to_json()) > MAX_BYTES:
        fail(
            f"the profile is larger than {MAX_BYTES >> 20} MiB",
            "pass over text columns that are different in each row",
        )
    try:
        save_profile(path, profile)
    except OSError as error:
        fail(
            f"{path} cannot be written: {error.strerror}",
            "write it elsewhere with --output, and copy it beside the version",
        )


def _tell(built: "Built", path: Path) -> None:
    from server.cli.profile_view import heading, notes, summary_table

    console = standard_output()
    console.print(heading(built.profile), markup=False)
    console.print()
    console.print(summary_table(built.profile))
    for line in [*built.notes, *notes(built.profile, built.differences)]:
        typer.echo(f"note: {visible(line)}", err=True)
    typer.echo(f"wrote {path}", err=True)
