"""`tidegate doctor`: what it looks at, what it calls a failure, and that each has a fix."""

import asyncio
import contextlib
import json
import os
import re
import resource
import socket
import sqlite3
from pathlib import Path
from typing import Any

import numpy
import onnxruntime
import pytest
from typer.testing import CliRunner

from server.cli import app
from server.store.alerts import load_alerts
from server.store.database import Store
from tests.support import models
from tests.support.fake_http import answering
from tests.support.permissions import without_root_rights
from tests.support.signing import Author, write_signers

CHECKS = [
    "python",
    "libraries",
    "sqlite",
    "cores",
    "open files",
    "SO_REUSEPORT",
    "settings",
    "data port",
    "control port",
    "state directory",
    "store",
    "repository",
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where no settings of ours lie about, on ports that are free."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TIDEGATE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TIDEGATE_PORT", "0")
    monkeypatch.setenv("TIDEGATE_CONTROL_PORT", "0")


def examine(**environment: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run the doctor; return its exit code and its findings by name."""
    result = CliRunner(env=environment).invoke(app, ["doctor", "--json"])
    assert result.stderr == ""
    findings = json.loads(result.stdout)
    assert all(finding["fix"] for finding in findings if finding["status"] != "ok")
    assert all(not finding["fix"] for finding in findings if finding["status"] == "ok")
    has_failure = any(finding["status"] == "failure" for finding in findings)
    assert result.exit_code == (1 if has_failure else 0)
    return result.exit_code, {finding["check"]: finding for finding in findings}


def test_everything_is_looked_at_in_order(repository: Path) -> None:
    """Where a gateway can run, nothing is a failure, and versions are named."""
    models.put(repository, "m", 1, b"")
    code, found = examine()

    assert code == 0
    assert list(found) == CHECKS
    assert f"onnxruntime {onnxruntime.__version__}" in found["libraries"]["detail"]
    assert f"numpy {numpy.__version__}" in found["libraries"]["detail"]
    assert found["sqlite"]["detail"].startswith(sqlite3.sqlite_version)
    assert found["data port"]["detail"] == "127.0.0.1:0 is free"
    assert found["repository"]["detail"] == f"{repository} has 1 models"


def test_the_table_says_the_same_as_the_json(repository: Path) -> None:
    """People get a line for each check, with the fix below what needs one."""
    assert repository.is_dir()
    _, found = examine(TIDEGATE_REPOSITORY="/nowhere")
    result = CliRunner(env={"COLUMNS": "300", "TIDEGATE_REPOSITORY": "/nowhere"}).invoke(
        app, ["doctor"]
    )

    lines = [line.strip() for line in result.stdout.splitlines()]
    assert lines[0].split() == ["CHECK", "STATUS", "DETAIL"]
    for name, finding in found.items():
        assert any(line.startswith(name) and finding["status"] in line for line in lines)
        assert not finding["fix"] or f"fix: {finding['fix']}" in lines
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("variable", "check"), [("PORT", "data port"), ("CONTROL_PORT", "control port")]
)
def test_a_port_that_is_taken_is_a_failure(variable: str, check: str) -> None:
    """The address, the cause and what to do are named; the other port is fine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        code, found = examine(**{f"TIDEGATE_{variable}": str(port)})

    assert code == 1
    assert found[check]["status"] == "failure"
    assert found[check]["detail"] == f"127.0.0.1:{port}: Address already in use"
    assert "stop what listens there" in found[check]["fix"]
    assert [name for name in found if found[name]["status"] == "failure"] == [check]


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "::1%nowhere"])
def test_an_address_that_cannot_be_had_is_a_failure(host: str) -> None:
    """Another machine's address, or none at all, is told and no traceback."""
    code, found = examine(TIDEGATE_HOST=host)

    assert code == 1
    assert found["data port"]["status"] == "failure"
    assert host in found["data port"]["detail"]


def test_every_wrong_setting_is_a_finding(tmp_path: Path) -> None:
    """Settings are read as serve reads them: file, variables, all problems at once."""
    (tmp_path / "mine.toml").write_text("threads = 0\nprot = 1\n")
    result = CliRunner().invoke(app, ["doctor", "--json", "--config", "mine.toml"])

    findings = [one for one in json.loads(result.stdout) if one["check"] == "settings"]
    assert result.exit_code == 1
    assert [finding["status"] for finding in findings] == ["failure", "failure"]
    assert {finding["detail"].partition(": ")[0] for finding in findings} == {
        "mine.toml:1",
        "mine.toml:2",
    }


@pytest.mark.parametrize("kind", ["file", "closed", "below a file", "not searchable"])
def test_a_state_directory_that_cannot_be_written_is_a_failure(tmp_path: Path, kind: str) -> None:
    """What serve would refuse the doctor finds."""
    state = tmp_path / "state"
    if "file" in kind:
        state.write_text("")
    else:
        state.mkdir(0o500 if kind == "closed" else 0o600)
    path = state / "below" if kind == "below a file" else state
    with without_root_rights():
        code, found = examine(TIDEGATE_STATE_DIR=str(path))

    assert code == 1
    assert found["state directory"]["detail"] == f"{path} cannot be written"
    assert "--state-dir" in found["state directory"]["fix"]


def test_a_state_directory_that_is_not_there_yet_is_fine(tmp_path: Path) -> None:
    """It will be made; the doctor makes nothing."""
    code, found = examine(TIDEGATE_STATE_DIR=str(tmp_path / "a" / "b"))

    assert code == 0
    assert found["state directory"]["status"] in ("ok", "warning")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_repository_that_is_not_there_is_a_warning(tmp_path: Path, kind: str) -> None:
    """A gateway can run here; the doctor does not know yet which repository is meant."""
    path = tmp_path / "r"
    if kind == "file":
        path.write_text("")
    code, found = examine(TIDEGATE_REPOSITORY=str(path))

    assert code == 0
    assert found["repository"]["status"] == "warning"
    assert "tidegate serve PATH" in found["repository"]["fix"]


def test_few_open_files_are_a_warning_with_the_command() -> None:
    """Each connection needs one, so a low limit is named with how to raise it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        code, found = examine()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert code == 0
    assert found["open files"]["status"] == "warning"
    assert found["open files"]["detail"] == "at most 512 a process"
    assert "ulimit -n" in found["open files"]["fix"]


def store_finding(state_dir: Path) -> dict[str, Any]:
    """Return what the doctor says of the store of a state directory; never a failure."""
    code, found = examine(TIDEGATE_STATE_DIR=str(state_dir))
    assert code == 0
    return found["store"]


def test_the_store_is_looked_at(tmp_path: Path) -> None:
    """Its place, revision and size are named, and a look makes no file."""
    assert store_finding(tmp_path)["detail"] == f"{tmp_path / 'tidegate.db'} will be made"
    assert list(tmp_path.iterdir()) == []

    save_alerts(tmp_path)
    finding = store_finding(tmp_path)
    assert finding["status"] == "ok"
    assert re.fullmatch(rf"{tmp_path}/tidegate\.db, revision \d{{4}}, 0\.\d MiB", finding["detail"])
    assert [entry.name for entry in tmp_path.iterdir()] == ["tidegate.db"]


def save_alerts(state_dir: Path) -> None:
    """Make a store as control does."""

    async def main() -> None:
        store = Store(state_dir)
        await store.run(load_alerts)
        await store.close()

    asyncio.run(main())


def test_a_store_that_cannot_be_used_is_a_warning(tmp_path: Path) -> None:
    """Damaged, of a newer program or not to be read: serving works, and a fix is named."""
    path = tmp_path / "tidegate.db"
    path.write_bytes(b"this is no database " * 1000)
    finding = store_finding(tmp_path)
    assert finding["status"] == "warning"
    assert finding["detail"] == f"{path}: file is not a database"
    assert "put a backup in its place" in finding["fix"]

    path.unlink()
    save_alerts(tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    finding = store_finding(tmp_path)
    assert finding["status"] == "warning"
    assert "revision 0999, newer than" in finding["detail"]
    assert finding["fix"].startswith("run the newer program again, or stop the gateway")

    with without_root_rights():
        path.chmod(0)
        finding = store_finding(tmp_path)
    assert finding["status"] == "warning"
    assert finding["detail"] == f"{path}: unable to open database file"
    assert "right to read" in finding["fix"]


@pytest.mark.parametrize(
    ("status", "answer", "found_status"), [(200, {}, "ok"), (503, {"error": "loading"}, "warning")]
)
def test_a_gateway_that_runs_says_whether_it_is_ready(
    status: int, answer: dict[str, str], found_status: str
) -> None:
    """Its port is taken by it, which is told as before; why it is not ready is told too."""
    with answering({"GET /v2/health/ready": (status, answer)}) as server:
        _, found = examine(TIDEGATE_PORT=str(server.port))

    assert found["gateway"]["status"] == found_status
    if status == 200:
        assert found["gateway"]["detail"] == f"the one at {server.url} is ready"
    else:
        assert found["gateway"]["detail"] == f'{server.url} answers 503: {{"error": "loading"}}'
    assert found["data port"]["status"] == "failure"


def test_signers_are_looked_at_where_signatures_are_required(tmp_path: Path) -> None:
    """Whose they are is named, or why none could be verified."""
    _, found = examine(TIDEGATE_SIGNATURES="require", TIDEGATE_SIGNERS_FILE="signers.toml")
    assert found["signatures"]["status"] == "failure"
    assert "signers.toml cannot be read" in found["signatures"]["detail"]

    write_signers(tmp_path, Author(tmp_path, "ann"), Author(tmp_path, "bob"))
    _, found = examine(TIDEGATE_SIGNATURES="require", TIDEGATE_SIGNERS_FILE="signers.toml")
    assert found["signatures"]["detail"] == "required of ann, bob"
