"""`tidegate serve` refuses to start where it cannot serve, and says what to mend."""

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server.cli import app
from tests.support.permissions import without_root_rights

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where no settings of ours lie about, and without variables of ours."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TIDEGATE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def serve(*arguments: str | Path, **environment: str) -> Result:
    """Run serve, which has to refuse: it says why on standard error only."""
    result = CliRunner(env=environment).invoke(app, ["serve", *map(str, arguments)])
    assert result.exit_code == 2
    assert result.stdout == ""
    return result


def start(*arguments: str | Path, **environment: str) -> str:
    """Run serve as a process, which has to refuse; return what it says on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "server", "serve", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    return done.stderr


def test_all_wrong_settings_are_told_at_once(tmp_path: Path) -> None:
    """One start shows everything that is wrong, each with its flag, variable, or file and line."""
    (tmp_path / "tidegate.toml").write_text("workers = 2\nthreads = 0\nprot = 8000\n")
    result = serve("--port", "70000", "--watch=maybe", TIDEGATE_LOG_LEVEL="loud")

    lines = result.stderr.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("tidegate: ") for line in lines)
    for start, came in (
        ("--port: ", "70000"),
        ("--watch: ", "maybe"),
        ("TIDEGATE_LOG_LEVEL: ", "loud"),
        ("tidegate.toml:2: ", "0"),
    ):
        assert any(
            line.startswith(f"tidegate: {start}") and line.endswith(f"got '{came}'")
            for line in lines
        )
    assert "tidegate: tidegate.toml:3: unknown setting; did you mean port?" in lines


@pytest.mark.parametrize("by", ["flag", "variable"])
def test_a_settings_file_that_is_named_must_be_there(tmp_path: Path, by: str) -> None:
    """Only the file that nobody named may be missing."""
    path = tmp_path / "mine.toml"
    result = serve("--config", path) if by == "flag" else serve(TIDEGATE_CONFIG=str(path))

    assert result.stderr == f"tidegate: {path}: cannot be read: FileNotFoundError\n"


@pytest.mark.parametrize("kind", ["missing", "file", "variable"])
def test_a_repository_that_is_none_is_refused(tmp_path: Path, kind: str) -> None:
    """The path is named as it was understood, and nothing is made in its place."""
    path = tmp_path / "models"
    if kind == "file":
        path.write_text("")
    result = serve(TIDEGATE_REPOSITORY=str(path)) if kind == "variable" else serve("models")

    assert result.stderr == (
        f"tidegate: the model repository {path} is not a directory\n"
        "  fix: make it, or name another one: tidegate serve PATH\n"
    )
    assert not path.is_dir()
    assert not (tmp_path / ".tidegate").exists()


@pytest.mark.parametrize(
    ("flag", "other"), [("--port", "--control-port"), ("--control-port", "--port")]
)
def test_a_port_that_is_taken_is_refused(
    repository: Path, taken: int, flag: str, other: str
) -> None:
    """Whichever of the two ports somebody has, the address, the cause and a way out are named."""
    told = start(repository, flag, str(taken), other, "0")

    assert f"127.0.0.1:{taken}" in told
    assert "Address already in use" in told
    assert "fix: stop what listens there, or choose other ports with --port and" in told


def test_an_address_that_is_not_ours_is_refused(repository: Path) -> None:
    """An address of another machine cannot be listened on."""
    told = start(repository, "--host", "192.0.2.1", "--port", "0", "--insecure", "on")

    assert "cannot listen on 192.0.2.1:0" in told


def test_a_start_that_fails_leaves_no_folder_for_sockets(
    tmp_path: Path, repository: Path, taken: int
) -> None:
    """A state directory with a long path has its sockets elsewhere, and that goes away again."""
    short = tmp_path / "tmp"
    short.mkdir()
    long = tmp_path / ("long" * 30)
    start(repository, "--port", str(taken), "--state-dir", long, TMPDIR=str(short))

    assert list(short.iterdir()) == []


def test_a_state_directory_in_use_is_refused_with_who_has_it(
    tmp_path: Path, repository: Path
) -> None:
    """Two gateways never write the same state; the other's process is named."""
    state = tmp_path / "state"
    state.mkdir()
    with (state / "lock").open("w") as held:
        held.write("4711\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        told = start(repository, "--state-dir", state)

    assert told == (
        f"tidegate: the state directory {state} is in use by process 4711\n"
        "  fix: stop that one, or choose another directory with --state-dir\n"
    )
    assert (state / "lock").read_text() == "4711\n"


def test_a_lock_that_nobody_holds_any_more_is_taken(
    tmp_path: Path, repository: Path, taken: int
) -> None:
    """What a killed gateway left does not keep the next one from starting."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "lock").write_text("4711\n")
    told = start(repository, "--state-dir", state, "--port", str(taken))

    assert "Address already in use" in told, "it got as far as the ports"
    assert int((state / "lock").read_text()) not in (4711, os.getpid())


@pytest.mark.parametrize(("kind", "cause"), [("file", "exists"), ("closed", "Permission denied")])
def test_a_state_directory_that_cannot_be_written_is_refused(
    tmp_path: Path, repository: Path, kind: str, cause: str
) -> None:
    """The path, the cause and the flag are named."""
    state = tmp_path / "state"
    if kind == "file":
        state.write_text("")
    else:
        state.mkdir(0o500)
    with without_root_rights():
        result = serve(repository, "--state-dir", state)

    assert f"the state directory {state} cannot be written: " in result.stderr
    assert cause in result.stderr
    assert "fix: choose another one with --state-dir" in result.stderr


def test_capturing_needs_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not installed, a gateway that is to capture rows does not start."""
    monkeypatch.setattr("server.cli.serve.find_spec", lambda _: None)
    result = serve(tmp_path, "--capture-bp", "10000")

    assert "rows cannot be captured: pyarrow is not installed" in result.stderr
    assert "pip install 'tidegate[parquet]', or set capture_bp to 0" in result.stderr


@pytest.mark.parametrize(
    ("text", "problem"),
    [(None, "cannot be read"), ("", "it needs tables"), ("[", "is not TOML")],
)
def test_signatures_need_signers(
    repository: Path, tmp_path: Path, text: str | None, problem: str
) -> None:
    """Nothing is started where no signature could be good."""
    if text is not None:
        (tmp_path / "signers.toml").write_text(text)
    result = serve(repository, "--signatures=require", "--signers-file=signers.toml")

    assert "nobody's signature can be verified: signers.toml" in result.stderr
    assert problem in result.stderr
    assert "set signatures to off" in result.stderr


def test_signatures_need_their_library(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra, and the error says how to install it."""
    monkeypatch.setitem(sys.modules, "model_signing", None)
    result = serve(repository, "--signatures=require")

    assert "signatures cannot be verified: model-signing is not installed" in result.stderr
    assert "pip install 'tidegate[signatures]'" in result.stderr


def test_an_address_that_others_reach_needs_keys(repository: Path, tmp_path: Path) -> None:
    """What everybody could call does not start by accident; a damaged file never does."""
    result = serve(repository, "--host", "0.0.0.0")
    assert "host 0.0.0.0 can be reached by others, and there are no keys" in result.stderr
    assert "tidegate key create" in result.stderr

    (tmp_path / "keys.json").write_text("{")
    result = serve(repository, "--keys-file", tmp_path / "keys.json")
    assert "cannot be used: it is not JSON" in result.stderr


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--jwt-issuer", "i"], "jwt_issuer needs jwt_audience, and the issuer's keys"),
        (["--jwt-issuer", "i", "--jwt-audience", "a", "--jwt-keys-url", "http://x"], "needs"),
        (["--tls-cert", "x"], "tls_cert and tls_key belong together"),
        (["--tls-cert", "x", "--tls-key", "y"], "TLS cannot be spoken: a file cannot be read"),
    ],
    ids=["no audience", "plain address", "no key", "no file"],
)
def test_what_checks_callers_must_be_whole(
    repository: Path, flags: list[str], complaint: str
) -> None:
    """Half of it would let in nobody, or everybody."""
    assert complaint in serve(repository, *flags).stderr
