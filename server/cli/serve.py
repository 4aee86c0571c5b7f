"""`tidegate serve`: settings, checks before the start, the supervisor, and what is printed.

Decides what must be right before any process is started, and says everything that is not.
"""

import fcntl
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import typer

from server.cli.options import setting_help, with_settings

_MAX_SOCKET_PATH = 100
"""Unix sockets have 108 bytes for their path on Linux, 104 elsewhere."""


@with_settings
def serve_command(
    repository: Path = typer.Argument(None, help=setting_help("repository"), show_default=False),
    config: Path = typer.Option(
        None,
        "--config",
        envvar="TIDEGATE_CONFIG",
        help="A file of settings; ./tidegate.toml is read if there is one.",
    ),
    **flags: str | None,
) -> None:
    """Serve a model repository until told to stop.

    Example: tidegate serve models --port 8000 --workers 4
    """
    from server.config import load_settings
    from server.errors import ConfigError
    from server.logs import configure_logs

    given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    if repository is not None:
        given["repository"] = repository
    try:
        settings, origins = load_settings(given, os.environ, config)
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(f"tidegate: {problem}", err=True)
        raise typer.Exit(2) from None
    if not settings.repository.is_dir():
        _refuse(
            f"the model repository {settings.repository} is not a directory",
            "make it, or name another one: tidegate serve PATH",
        )
    if settings.capture_bp and find_spec("pyarrow") is None:
        _refuse(
            "rows cannot be captured: pyarrow is not installed",
            "pip install 'tidegate[parquet]', or set capture_bp to 0",
        )
    if settings.signers_path is not None:
        _check_signers(settings.signers_path)
    configure_logs(settings, "supervisor")
    with _lock_state_dir(settings.state_dir):
        _check_access(settings)
        raise typer.Exit(_run(settings, origins))


def _check_signers(path: Path) -> None:
    from server.repository import signatures

    if not signatures.is_installed():
        _refuse(signatures.MISSING_EXTRA, signatures.EXTRA_FIX)
    try:
        signatures.read_signers(path)
    except ValueError as error:
        _refuse(
            f"nobody's signature can be verified: {error}",
            "mend the file that signers_file names, or set signatures to off",
        )


def _check_access(settings: Any) -> None:
    """Refuse keys that cannot be read, and hosts that others can reach without any."""
    from server.access import key_file
    from server.access.binding import needs_keys, open_hosts
    from server.http import tls

    if settings.jwt_issuer:
        _check_tokens(settings)
    path = settings.keys_path
    try:
        has_keys = bool(key_file.read(path))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        _refuse(f"the keys in {path} cannot be used: {reason}", "mend the file, or remove it")
    try:
        tls.certificates(settings)
    except (OSError, ValueError) as error:
        _refuse(
            f"TLS cannot be spoken: {tls.reason(error)}",
            "mend the files that tls_cert, tls_key and tls_client_ca name",
        )
    if needs_keys(settings) and not (has_keys or settings.jwt_issuer):
        name = open_hosts(settings)[0]
        _refuse(
            f"{name} {getattr(settings, name)} can be reached by others, and there are no keys: "
            "anybody could call the gateway",
            "make one with 'tidegate key create NAME --role operate', bind 127.0.0.1, or set "
            "--insecure on if something else guards it",
        )


def _check_tokens(settings: Any) -> None:
    if find_spec("jwt") is None:
        _refuse(
            "tokens of jwt_issuer cannot be checked: PyJWT is not installed",
            "pip install 'tidegate[jwt]', or leave jwt_issuer empty",
        )
    url = settings.jwt_keys_url
    if not settings.jwt_audience or not (settings.jwt_keys_file or url.startswith("https://")):
        _refuse(
            "jwt_issuer needs jwt_audience, and the issuer's keys",
            "set jwt_audience, and jwt_keys_file or an https:// address as jwt_keys_url",
        )


def _run(settings: Any, origins: dict[str, str]) -> int:
    from server.cli.summary import print_ready
    from server.machine import usable_cores
    from server.supervisor import Supervisor

    socket_dir = _socket_dir(settings.state_dir)
    try:
        supervisor = Supervisor(
            settings,
            origins,
            workers=settings.workers or usable_cores(),
            socket_path=str(socket_dir / "control.sock"),
            on_ready=print_ready,
        )
    except OSError as error:
        _remove_socket_dir(socket_dir, settings.state_dir)
        _refuse(
            f"cannot listen on {error.strerror}",
            "stop what listens there, or choose other ports with --port and --control-port",
        )
    try:
        return supervisor.run()
    finally:
        _remove_socket_dir(socket_dir, settings.state_dir)


def _lock_state_dir(state_dir: Path) -> Any:
    """Make the state directory and take it for ourselves; the lock goes with the process."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        lock = (state_dir / "lock").open("a+")
    except OSError as error:
        _refuse(
            f"the state directory {state_dir} cannot be written: {error.strerror}",
            "choose another one with --state-dir",
        )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        _refuse(
            f"the state directory {state_dir} is in use by process {lock.read().strip() or '?'}",
            "stop that one, or choose another directory with --state-dir",
        )
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _socket_dir(state_dir: Path) -> Path:
    """Return where sockets go: the state directory, or a short private one if its path is long."""
    if len(str(state_dir / "control.sock").encode()) <= _MAX_SOCKET_PATH:
        return state_dir
    return Path(tempfile.mkdtemp(prefix="tidegate-"))


def _remove_socket_dir(socket_dir: Path, state_dir: Path) -> None:
    for name in ("control.sock", "shadow.sock"):
        (socket_dir / name).unlink(missing_ok=True)
    if socket_dir != state_dir:
        socket_dir.rmdir()


def _refuse(what: str, fix: str) -> NoReturn:
    typer.echo(f"tidegate: {what}\n  fix: {fix}", err=True)
    sys.exit(2)
