"""The house rules that a machine can check."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE, TESTS = ROOT / "server", ROOT / "tests"
FILES = sorted(PACKAGE.rglob("*.py"))
TEST_FILES = sorted(TESTS.rglob("*.py"))

MAX_LINES, MAX_TEST_LINES, MAX_FUNCTION_LINES = 350, 450, 60
"""Tables of examples make tests longer than what they test."""

# Lowest first. A file may import from its own layer and from the layers before it.
LAYERS = [
    # Words and values.
    "__init__ clock errors operator_errors settings config tensors machine forking ports "
    "supervision",
    "access protocol statistics logs",
    "engine monitoring openapi reference release repository store http_app",
    "http wire",
    "capture console",
    "child",  # what all children of the supervisor share
    "dataplane controlplane shadow",
    "spawning postmortem",
    "supervisor",
    "demo",
    "cli __main__",
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()}

# The planes are processes of their own: what one knows of the other comes through `wire`.
PLANES = ("dataplane", "controlplane", "shadow")
STRANGERS = {(one, other) for one in PLANES for other in PLANES if one != other}

ONLY_IN = {
    "alembic": {
        "store/migrating.py",
        "store/migrations/env.py",
        "store/migrations/versions/r0001_windows_alerts_outbox.py",
        "store/migrations/versions/r0002_releases.py",
        "store/migrations/versions/r0003_feedback.py",
    },
    "httptools": {"http/request_reader.py", "http/asgi_scope.py"},
    "jinja2": {"console/pages.py"},
    "jwt": {"access/tokens.py"},
    "model_signing": {"repository/signatures.py"},
    "onnxruntime": {"engine/session.py"},
    "prometheus_client": {
        "controlplane/capture_metrics.py",
        "controlplane/check_metrics.py",
        "controlplane/exposition.py",
        "controlplane/fault_metrics.py",
        "controlplane/feedback_metrics.py",
        "controlplane/gate_metrics.py",
        "controlplane/machine_metrics.py",
        "controlplane/monitor_counters.py",
        "controlplane/monitor_metrics.py",
        "controlplane/page.py",
        "controlplane/readiness_metrics.py",
        "controlplane/release_metrics.py",
        "controlplane/shadow_metrics.py",
        "controlplane/store_metrics.py",
    },
    "pyarrow": {
        "capture/arrow.py",
        "capture/reading.py",
        "capture/writer.py",
        "reference/parquet_table.py",
    },
    "pydantic": {
        "config.py",
        "settings.py",
        "release/gate_settings.py",
        "repository/capture_table.py",
        "repository/model_settings.py",
        "repository/shadow_table.py",
    },
    "rich": {
        "cli/doctor.py",
        "cli/drift.py",
        "cli/drift_table.py",
        "cli/key.py",
        "cli/model.py",
        "cli/performance_table.py",
        "cli/plain.py",
        "cli/profile.py",
        "cli/profile_view.py",
        "cli/release_view.py",
        "cli/replay.py",
        "cli/replay_view.py",
        "cli/summary.py",
    },
    "sqlalchemy": {
        path.relative_to(PACKAGE).as_posix()
        for path in (PACKAGE / "store").rglob("*.py")
        if path.name not in ("__init__.py", "env.py", "keys.py", "revisions.py", "sqlite_file.py")
    },
    "sqlite3": {"store/sqlite_file.py", "store/transactions.py"},
    "starlette": {
        "http_app.py",
        "dataplane/app.py",
        "controlplane/app.py",
        "controlplane/console_app.py",
        "controlplane/feedback_app.py",
        "controlplane/login_app.py",
        "controlplane/release_app.py",
    },
    "typer": {path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / "cli").glob("*.py")},
    "uvicorn": {  # Where a server starts, and the protocol class that is given to it.
        "http/connection.py",
        "http/exchanges.py",
        "http/handshakes.py",
        "http/serving.py",
    },
    "uvloop": {"child.py"},
    "watchfiles": {"controlplane/catalog.py"},
}
ALSO_IN = {
    "prometheus_client.metrics_core": {
        "controlplane/app.py",
        "controlplane/monitor.py",
        "controlplane/process.py",
        "controlplane/release_parts.py",
    },
}
TELLS_VERSIONS = "cli/doctor.py"
"""Imports packages to say whether they are there."""

PURE = (
    "errors.py",
    "tensors.py",
    "supervision.py",
    "http_app.py",
    "access/addresses.py",
    "access/binding.py",
    "access/browsers.py",
    "access/failures.py",
    "access/keyring.py",
    "access/keys.py",
    "access/posting.py",
    "access/principals.py",
    "access/quotas.py",
    "access/roles.py",
    "access/sessions.py",
    "access/tokens.py",
    "protocol/",
    "openapi/",
    "statistics/",
    "engine/admission.py",
    "engine/batching.py",
    "monitoring/",
    "release/",
    "repository/intake_rules.py",
    "repository/pbtxt.py",
    "repository/policy.py",
    "repository/triton_config.py",
    "http/framing.py",
    "http/request_reader.py",
    "http/slow_reader.py",
    "capture/columns.py",
    "capture/rows.py",
    "console/actions.py",
    "console/candidates.py",
    "console/drawing.py",
    "console/drift.py",
    "console/heat_map.py",
    "console/histograms.py",
    "console/lights.py",
    "console/model.py",
    "console/overview.py",
    "console/release.py",
    "console/system.py",
    "console/traffic.py",
    "console/words.py",
    "wire/channel.py",
    "wire/fault.py",
    "wire/frames.py",
    "shadow/answers.py",
    "shadow/comparison.py",
    "shadow/pairs.py",
    "shadow/samples.py",
    "shadow/scores.py",
    "shadow/slowness.py",
    "wire/record.py",
    "wire/shadow.py",
    "wire/status.py",
    "wire/suspects.py",
    "wire/tally.py",
    "controlplane/exposition.py",
    "controlplane/kept_predictions.py",
    "controlplane/monitor_counters.py",
    "controlplane/monitor_metrics.py",
    "controlplane/page.py",
    "controlplane/readiness_metrics.py",
    "controlplane/shadow_findings.py",
    "controlplane/shadow_metrics.py",
    "controlplane/shadow_plans.py",
    "controlplane/shadow_throttle.py",
    "controlplane/statistics.py",
    "controlplane/suspects.py",
    "dataplane/batch_columns.py",
    "dataplane/mirroring.py",
    "dataplane/numbering.py",
    "dataplane/routes.py",
    "dataplane/served.py",
    "dataplane/suspects.py",
    "dataplane/targets.py",
)
IMPURE = {"asyncio", "concurrent", "datetime", "io", "logging", "os", "pathlib", "random"}
IMPURE |= {"select", "selectors", "shutil", "signal", "socket", "structlog", "subprocess"}
IMPURE |= {"tempfile", "threading", "time"}

COVERED_ELSEWHERE = {
    "operator_errors.py": "test_errors.py",  # one tree in two files
    "__main__.py": "e2e/test_lifecycle.py",  # every gateway of a test starts through it
    "dataplane/left.py": "faults/test_hangs.py",  # whose deadline passed while their batch ran
    "engine/running.py": "engine/test_batcher_faults.py",  # as the batcher's callers see it
    "cli/__init__.py": "cli/test_help.py",  # it only puts the commands together
    "controlplane/fault_metrics.py": "controlplane/test_faults.py",  # as faults make them
    "controlplane/process.py": "e2e/test_lifecycle.py",  # it starts and stops the parts
    "controlplane/tending.py": "e2e/test_repository.py",  # a gateway over folders that change
    "controlplane/release_parts.py": "e2e/test_release.py",  # it joins some of them
    "http/asgi_scope.py": "dataplane/test_connection_parity.py",  # both ways, byte for byte
    "http/connection.py": "dataplane/test_connection_pipelining.py",  # by the port that has more
    "http/exchanges.py": "dataplane/test_connection_disconnects.py",  # whoever leaves, and when
    "http/port.py": "dataplane/test_plane.py",  # the plane is one
    "dataplane/connection.py": "dataplane/test_connection_parity.py",  # hot and cold, byte for byte
    "dataplane/call.py": "dataplane/test_predict.py",  # what a predictor brings to its end
    "dataplane/parts.py": "dataplane/test_predict.py",  # large requests, as their callers see them
    "reference/tables.py": "reference/test_csv_table.py",  # words; readers are held to them
    "protocol/contract.py": "protocol/test_v2.py",  # a value; what it leads to is seen there
    "protocol/infer_request.py": "protocol/test_v2.py",  # a value, which decoding makes
    "release/candidate.py": "release/test_transitions.py",  # a value
    "release/change.py": "store/test_releases.py",  # a value
    "release/obstacles.py": "release/test_transitions.py",  # what refuses which change
    "release/succession.py": "release/test_transitions.py",  # what changes have in common
    "store/keys.py": "store/test_windows.py",  # values
    "store/migrations/env.py": "store/test_migrating.py",  # run by alembic
    "store/migrations/versions/r0001_windows_alerts_outbox.py": "store/test_migrating.py",
    "store/migrations/versions/r0002_releases.py": "store/test_migrating.py",
    "store/migrations/versions/r0003_feedback.py": "store/test_migrating.py",
    "store/schema.py": "store/test_migrating.py",  # both ways to it lead to the same tables
    "shadow/candidates.py": "shadow/test_process.py",  # what is opened, kept and let go
    "controlplane/shadow_link.py": "controlplane/test_shadow_feed.py",  # with its other end
    "shadow/start.py": "shadow/test_process.py",  # every process of a test starts through it
    "shadow/link.py": "shadow/test_process.py",  # the process at its other end
    "protocol/parameters.py": "protocol/test_v2_options.py",  # through requests that bear them
}


def relative(path: Path) -> str:
    """Return the path as the rules above spell it."""
    return path.relative_to(TESTS if path.is_relative_to(TESTS) else PACKAGE).as_posix()


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function, methods and inner ones included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imports(tree: ast.Module) -> set[str]:
    """Name every module that `tree` imports, wherever the import stands."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            found.add(node.module)
            found.update(f"server.{alias.name}" for alias in node.names if node.module == "server")
    return found


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_file_says_what_it_is_for_and_stays_small(path: Path) -> None:
    """A module docstring, a bounded number of lines, and functions that fit on a screen."""
    tree = ast.parse(path.read_text())

    assert ast.get_docstring(tree)
    assert len(path.read_text().splitlines()) <= MAX_LINES
    for function in functions(tree):
        assert (function.end_lineno or 0) - function.lineno < MAX_FUNCTION_LINES, function.name


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_file_imports_only_downwards(path: Path) -> None:
    """Layers, and the two planes that know each other by messages only."""
    own = relative(path).split("/")[0].removesuffix(".py")
    assert own in RANK, f"{own} has no layer"

    for module in imports(ast.parse(path.read_text())):
        root, *rest = module.split(".")
        if root == "server" and rest and rest[0] in RANK:
            assert RANK[rest[0]] <= RANK[own], f"{relative(path)} may not import {module}"
            assert (own, rest[0]) not in STRANGERS, f"{relative(path)} may not import {module}"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_package_is_imported_by_its_owner_only(path: Path) -> None:
    """Whoever replaces a library, or reads its changes, finds the one place that matters."""
    name = relative(path)
    if name == TELLS_VERSIONS:
        return
    for module in imports(ast.parse(path.read_text())):
        owners = ONLY_IN.get(module.split(".")[0], {name}) | ALSO_IN.get(module, set())
        assert name in owners, f"{module} belongs to {sorted(owners)}"


@pytest.mark.parametrize(
    "path", [path for path in FILES if relative(path).startswith(PURE)], ids=relative
)
def test_a_pure_file_is_told_everything(path: Path) -> None:
    """It imports no clock, no loop, no log, no files, and does not open any."""
    tree = ast.parse(path.read_text())

    roots = {module.split(".")[0] for module in imports(tree)}
    assert not roots & IMPURE
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & {"open", "print", "input"}


def test_the_rules_name_files_that_are_there() -> None:
    """A rule about a file that has moved would hold for nothing."""
    there = {relative(path) for path in FILES}
    named = set().union(*ONLY_IN.values(), *ALSO_IN.values(), COVERED_ELSEWHERE, {TELLS_VERSIONS})

    assert named <= there
    assert all(any(name.startswith(start) for name in there) for start in PURE)


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.name != "__init__.py" or "def " in path.read_text()],
    ids=relative,
)
def test_a_module_has_its_tests_at_the_mirrored_path(path: Path) -> None:
    """Beside others on a topic of it; or the rules name the test that covers it."""
    name = relative(path)
    folder = TESTS / Path(name).parent
    mirrored = [*folder.glob(f"test_{path.stem}.py"), *folder.glob(f"test_{path.stem}_*.py")]

    assert mirrored or (TESTS / COVERED_ELSEWHERE[name]).is_file(), f"{name} has no tests"


@pytest.mark.parametrize("path", TEST_FILES, ids=relative)
def test_a_test_says_what_it_proves(path: Path) -> None:
    """Files and tests have docstrings, and no file is too long to be read."""
    tree = ast.parse(path.read_text())

    assert ast.get_docstring(tree)
    assert len(path.read_text().splitlines()) <= MAX_TEST_LINES
    for function in functions(tree):
        if function.name.startswith("test_"):
            assert ast.get_docstring(function), function.name


def texts() -> Iterator[tuple[str, str]]:
    """Yield name and text of everything of ours that is text, but for this file."""
    names = ("server", "tests", "loadtests", "models", "docs", "grafana", ".ci")
    folders = [ROOT / name for name in names]
    loose = [path for path in ROOT.iterdir() if path.is_file()]
    for path in sorted([*loose, *(path for folder in folders for path in folder.rglob("*"))]):
        if path.is_file() and "__pycache__" not in path.parts and path != Path(__file__):
            content = path.read_bytes()
            if b"\0" not in content:
                yield path.relative_to(ROOT).as_posix(), content.decode()


def found(pattern: str) -> list[str]:
    """Return where a pattern occurs."""
    return [
        f"{name}: {match.group()}" for name, text in texts() for match in re.finditer(pattern, text)
    ]


def test_nothing_is_left_for_later() -> None:
    """What is not done is in the issues; a test that does not run proves nothing."""
    assert not found(r"\b(TODO|FIXME|XXX|HACK)\b")
    assert not [hit for hit in found("NotImplementedError") if hit.startswith("server/")]
    assert not found(r"pytest\.skip|mark\.skip|skipif|xfail|importorskip|unittest\.skip")


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    """Paths of a home or a workshop, and addresses of package registries, differ elsewhere."""
    assert not found(r"(?<![\w.])/(root|work|home|Users)/\w")
    assert not found(r"(?i)pythonhosted|pypi\.org|artifactory|devpi|://[^\s\"]*/simple\b")
