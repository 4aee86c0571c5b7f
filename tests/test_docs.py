"""The documents say what the code does: settings, codes, routes, commands, links."""

import ast
import re
import shlex
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, cast

import annotated_types
import pytest
import typer.main
from pydantic.fields import FieldInfo
from starlette.routing import Route

import server
from server.cli import app as program
from server.cli.options import MEANINGS
from server.config import NOT_SETTINGS, load_settings
from server.controlplane import app as control_app
from server.controlplane import exposition
from server.controlplane.console_app import ConsoleApp
from server.controlplane.feedback_app import FeedbackApp
from server.controlplane.known import State
from server.controlplane.login_app import LoginApp
from server.controlplane.release_app import ReleaseApp
from server.dataplane import app as data_app
from server.engine.batching import Closed
from server.errors import TidegateError
from server.protocol.errors import STATUS
from server.protocol.request_headers import CONTENT_ENCODING, NOTED
from server.repository.model_settings import read_setup
from server.repository.signatures import read_signers
from server.settings import ModelSettings, Settings
from server.tensors import DATATYPES
from server.wire.tally import DURATION_BUCKETS
from tests.support import documents
from tests.support.documents import ROOT, Block, in_code, page, tables

SOURCES = sorted((ROOT / "server").rglob("*.py"))


def setting_rows() -> dict[str, dict[str, str]]:
    """Return the rows of docs/settings.md by key."""
    rows = tables(page("docs/settings.md"), "Key")
    keyed = {in_code(row["Key"])[0]: row for row in rows}
    assert len(keyed) == len(rows), "a setting has two rows"
    return keyed


def test_every_setting_is_documented_and_no_other() -> None:
    """The tables name exactly the settings there are, and the last one those of a model."""
    per_model = page("docs/settings.md").split("\n## One model\n")[1]

    assert setting_rows().keys() == Settings.model_fields.keys()
    documented = [in_code(row["Key"])[0] for row in tables(per_model, "Key")]
    assert documented == list(ModelSettings.model_fields)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_is_documented_as_it_is(name: str) -> None:
    """Flag, variable, default, bounds and meaning are those of the code and of --help."""
    row, field = setting_rows()[name], Settings.model_fields[name]

    flag = "REPOSITORY" if name == "repository" else "--" + name.replace("_", "-")
    assert in_code(row["Flag"]) == [flag]
    assert in_code(row["Variable"]) == [f"TIDEGATE_{name.upper()}"]
    assert in_code(row["Default"]) == ([str(field.default)] if str(field.default) else [])
    assert row["Allowed"] == allowed(name, field)
    meaning = row["Meaning"].replace("&lt;", "<").replace("&gt;", ">")
    assert meaning == MEANINGS[name]
    note = re.search(r"\((\d+) ([KM])iB\)", row["Default"])
    assert (note is not None) == ("bytes" in name)
    if note is not None:
        assert int(note[1]) << {"K": 10, "M": 20}[note[2]] == field.default


def allowed(name: str, field: FieldInfo) -> str:
    """Return the values that a setting may have, in the words of the table."""
    if typing.get_origin(field.annotation) is Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(field.annotation))
    words = [
        f"{word} {getattr(bound, attribute):.10g}"
        for kind, attribute, word in (
            (annotated_types.Ge, "ge", "from"),
            (annotated_types.Gt, "gt", "above"),
            (annotated_types.Le, "le", "to"),
        )
        for bound in field.metadata
        if isinstance(bound, kind)
    ]
    if words:
        return " ".join(words)
    return (
        "a policy" if name == "version_policy" else "a path" if field.annotation is Path else "text"
    )


def test_variables_that_are_not_settings_are_documented() -> None:
    """The variables with the prefix that are no settings are named on the settings' page."""
    assert set(in_code(documents.prose(page("docs/settings.md")))) >= NOT_SETTINGS


def error_classes(cls: type[TidegateError] = TidegateError) -> Iterator[type[TidegateError]]:
    """Yield every class of error."""
    yield cls
    for child in cls.__subclasses__():
        yield from error_classes(child)


def test_every_error_code_is_documented_with_its_status() -> None:
    """The table of codes has each code once, its status and its Retry-After, and no other code."""
    rows = tables(page("docs/api.md"), "Code")
    documented = [(in_code(row["Code"])[0], int(row["Status"]), row["Retry-After"]) for row in rows]
    real = [
        (cls.code, int(STATUS.get(cls, 500)), str(cls.retry_after_seconds or ""))
        for cls in error_classes()
    ]

    assert sorted(documented) == sorted(real)


def documented_routes(port: str) -> set[tuple[str, str]]:
    """Return method and path of every documented route of a port, optional parts written out."""
    found = set()
    for row in tables(page("docs/api.md"), "Route"):
        assert row["Port"] in ("data", "control", "both")
        if row["Port"] in (port, "both"):
            method, path = in_code(row["Route"])[0].split(" ")
            found.add((method, re.sub(r"\[.*?\]", "", path)))
            found.add((method, re.sub(r"[\[\]]", "", path)))
    return found


def real_routes(routes: list[Any]) -> set[tuple[str, str]]:
    """Return method and path of every route of an application; HEAD goes with GET."""
    found = set()
    for route in routes:
        assert isinstance(route, Route)
        assert route.methods is not None
        path = route.path.replace(":path}", "}")  # A part that may have slashes in it.
        found |= {(method, path) for method in route.methods - {"HEAD"}}
    return found


def test_every_route_is_documented_and_no_other() -> None:
    """Both ports have exactly the routes that docs/api.md gives them."""
    nothing = cast("Any", None)
    data = data_app.build_app(nothing, nothing).routes
    control = control_app.build_app(
        control_app.ControlApp(nothing, nothing, nothing, nothing),
        [
            *FeedbackApp(nothing, nothing, nothing, nothing).routes(),
            *ReleaseApp(nothing).routes(),
            *LoginApp(nothing, is_secure=False).routes(),
            *ConsoleApp(nothing, nothing).routes(),
        ],
    ).routes

    assert documented_routes("data") == real_routes(data)
    assert documented_routes("control") == real_routes(control)


def test_closed_lists_of_words_are_documented_whole() -> None:
    """Datatypes, states and reasons: what the code knows is what the pages list."""
    api, metrics, repository = (
        page(f"docs/{name}.md") for name in ("api", "metrics", "repository")
    )

    datatypes = [word for row in tables(api, "Datatype") for word in in_code(row["Datatype"])]
    assert sorted(datatypes) == sorted(DATATYPES)
    states = [in_code(row["State"])[0] for row in tables(repository, "State")]
    assert sorted(states) == sorted(State)
    closed = [in_code(row["Value"])[0] for row in tables(metrics, "Value")]
    assert sorted(closed) == sorted(Closed)
    reasons = re.search(r"Values of `reason`: (.*?)\.\n", metrics, re.DOTALL)
    assert reasons is not None
    assert set(in_code(reasons[1])) == exposition.SHED


def test_headers_that_inferences_read_are_documented() -> None:
    """The table of headers has each one that the code looks for, and Expect."""
    rows = tables(page("docs/api.md"), "Header of a request")
    documented = {in_code(row["Header of a request"])[0].lower().encode() for row in rows}

    assert documented == {*NOTED, CONTENT_ENCODING, b"expect: 100-continue"}


def test_make_knows_the_documented_tasks() -> None:
    """Each `make …` of a page, in code or in a block, is a task of the Makefile."""
    tasks = re.findall(r"^(\w+):.*##", page("Makefile"), re.MULTILINE)
    for path in documents.pages():
        text = path.read_text(encoding="utf-8")
        shown = re.findall(r"^make (\w+)", text, re.MULTILINE) + re.findall(r"`make (\w+)`", text)
        assert set(shown) <= set(tasks), path.name


def test_the_bounds_of_histograms_are_documented() -> None:
    """The buckets on the metrics' page are those that are filled."""
    text = page("docs/metrics.md").replace("\n", " ")
    durations = re.search(r"duration buckets, in seconds: ([\d., ]+)\.", text)
    rows = re.search(r"Of `tidegate_batch_rows`: ([\d, ]+)\.", text)

    assert durations is not None
    assert rows is not None
    assert tuple(map(float, durations[1].split(", "))) == DURATION_BUCKETS
    assert tuple(map(int, rows[1].split(", "))) == exposition.BATCH_ROWS_BUCKETS


def test_extras_that_are_named_can_be_installed() -> None:
    """What pages and errors say to install is in pyproject.toml, and no extra is named nowhere."""
    texts = [path.read_text(encoding="utf-8") for path in [*documents.pages(), *SOURCES]]
    named = {name for text in texts for name in re.findall(r"tidegate\[(\w+)\]", text)}

    assert named == tomllib.loads(page("pyproject.toml"))["project"]["optional-dependencies"].keys()


def test_each_hazard_has_tests_or_a_command() -> None:
    """What docs/faults.md names for each promise is there: somebody holds it."""
    rows = tables(page("docs/faults.md"), "Hazard")
    known = {in_code(row["scenario"])[0] for row in tables(page("loadtests/README.md"), "scenario")}
    for row in rows:
        tests, command = in_code(row["Tests"]), in_code(row["Command"])
        assert tests or command, row["Hazard"]
        assert all((ROOT / name).is_file() for name in tests), row["Hazard"]
        assert all(words.split()[0] in known for words in command), row["Hazard"]


def test_each_fault_below_has_an_alert() -> None:
    """What is not written, and what has to be mended, comes to somebody's eyes."""
    rows = tables(page("docs/operations.md"), "What happens")

    assert len(rows) > 10
    assert all("](runbooks/Tidegate" in row["Alert"] for row in rows)


@pytest.mark.parametrize(
    "path", documents.pages(), ids=lambda path: path.relative_to(documents.ROOT).as_posix()
)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link of a page names a file that is there and a heading in it."""
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", documents.prose(text)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), target
        assert linked.is_relative_to(ROOT), target
        if anchor:
            assert anchor in documents.anchors(linked.read_text(encoding="utf-8")), target


def test_the_version_is_the_same_everywhere() -> None:
    """The newest entry of the changelog and the package's metadata have the program's version."""
    newest = re.search(r"^## (\S+)", page("CHANGELOG.md"), re.MULTILINE)
    packaged = re.search(r'^version = "(.+)"$', page("pyproject.toml"), re.MULTILINE)

    assert newest is not None
    assert packaged is not None
    assert newest[1] in (server.__version__, "Unreleased")
    assert packaged[1] == server.__version__


def documented_commands() -> list[str]:
    """Return every `tidegate …` command line of pages and of docstrings."""
    found = set()
    for path in documents.pages():
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r"`(tidegate(?: [^`…]+)?)`", documents.prose(text)))
    for path in SOURCES:
        found |= set(re.findall(r"Example: (tidegate .+)", path.read_text(encoding="utf-8")))
    return sorted(found)


@pytest.mark.parametrize("line", documented_commands())
def test_a_documented_command_exists(line: str) -> None:
    """Each command line of pages and docstrings is one that the program reads."""
    command: Any = typer.main.get_command(program)
    context = command.make_context("tidegate", [], resilient_parsing=True)
    words = shlex.split(re.sub(r"<\w+>", "1", line))[1:]
    while words and hasattr(command, "get_command") and not words[0].startswith("-"):
        command = command.get_command(context, words.pop(0))
        assert command is not None, line
        context = command.make_context(
            command.name, list(words), parent=context, resilient_parsing=not words
        )


def test_every_command_is_documented() -> None:
    """The table of docs/operations.md has each command that the program offers, and no other."""
    rows = tables(page("docs/operations.md"), "Command")
    documented = {" ".join(in_code(row["Command"])[0].split()[1:3]) for row in rows}
    command: Any = typer.main.get_command(program)
    real = {"serve models", "drift breast-cancer", "performance breast-cancer", "doctor"}
    real |= {"replay breast-cancer", "health", "demo"}
    for group in ("model", "key", "profile", "release", "feedback"):
        real |= {f"{group} {name}" for name in command.commands[group].commands}

    assert documented == real
    groups = {"model", "key", "profile", "release", "feedback"}
    alone = {"serve", "drift", "performance", "replay", "doctor", "health", "demo"}
    assert command.commands.keys() == alone | groups


@pytest.mark.parametrize("block", documents.blocks("toml"), ids=str)
def test_a_documented_file_of_settings_can_be_read(block: Block, tmp_path: Path) -> None:
    """Each TOML block is a good tidegate.toml, model.toml or signers.toml: its first line says."""
    kind = block.text.splitlines()[0]
    file = tmp_path / "m" / kind.rsplit("/", 1)[-1].removeprefix("# ")
    file.parent.mkdir()
    file.write_text(block.text)

    if file.name == "tidegate.toml":
        load_settings({}, {}, file)
    elif file.name == "signers.toml":
        (file.parent / "release.pub").write_text("-----BEGIN PUBLIC KEY-----\n")
        assert len(read_signers(file)) == 2
    else:
        assert file.name == "model.toml"
        assert read_setup(file.parent, ModelSettings()) != read_setup(tmp_path, ModelSettings())


def templates() -> list[re.Pattern[str]]:
    """Return every text that the server's code holds, with its holes as `.*`."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".*"
                    for part in node.values
                ]
                if any(part != ".*" for part in parts):
                    found.append(re.compile("".join(parts), re.DOTALL))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.compile(re.escape(node.value)))
    return found


def test_documented_reasons_are_texts_of_the_server() -> None:
    """Each reason in the table of what goes wrong is one that the index can give."""
    texts = templates()
    for row in tables(page("docs/repository.md"), "Reason in the index"):
        reason = in_code(row["Reason in the index"])[0].replace("…", "x")
        hits = [text.pattern for text in texts if text.fullmatch(reason)]
        assert any(len(hit.replace(".*", "")) >= 10 for hit in hits), reason


@pytest.mark.parametrize(
    "path", documents.pages(), ids=lambda path: path.relative_to(documents.ROOT).as_posix()
)
def test_code_that_pages_name_is_there(path: Path) -> None:
    """Each Python file, folder of ours and class that a page names exists."""
    text = path.read_text(encoding="utf-8")
    files = ["/" + source.relative_to(ROOT).as_posix() for source in documents.files("*.py")]
    code = "\n".join(source.read_text(encoding="utf-8") for source in SOURCES)
    for word in in_code(documents.prose(text)):
        if re.fullmatch(r"[\w/]+\.py", word):
            assert any(file.endswith("/" + word) for file in files), word
        elif re.fullmatch(r"[\w/]+/", word) and not word.startswith(("verdicts", "store")):
            assert (ROOT / word).is_dir() or (ROOT / "server" / word).is_dir(), word
        elif match := re.fullmatch(r"([A-Z][a-z]+[A-Za-z]*)\.(\w+)", word):
            assert f"class {match[1]}" in code, word
            assert re.search(rf"\b{match[2]}\b", code), word
