"""`tidegate doctor`: is everything here that a gateway needs, and what to do where it is not.

Decides what is looked at, and what counts as a failure (serving will not work) or a warning (it
will, with a limit to know of).
"""

import errno
import http.client
import json
import os
import platform
import resource
import socket
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from server.cli.plain import plain

if TYPE_CHECKING:
    from server.settings import Settings

MIN_OPEN_FILES = 1024
SAFE_SQLITE = (3, 51, 3)
MIN_FREE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    status: str
    """ok, warning or failure."""
    detail: str
    fix: str = ""


def doctor(
    config: Path = typer.Option(
        None, "--config", envvar="TIDEGATE_CONFIG", help="A settings file."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON for programs."),
) -> None:
    """Look at environment, ports, limits and versions; say what to mend.

    Exit code 0 if a gateway can run here, 1 if not.

    Example: TIDEGATE_PORT=9000 tidegate doctor --json
    """
    findings = [check() for check in (_python, _libraries, _sqlite, _cores, _files, _reuse_port)]
    findings += _with_settings(config)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    if any(finding.status == "failure" for finding in findings):
        raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table

    styles = {"ok": "green", "warning": "yellow", "failure": "red"}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("CHECK", "STATUS", "DETAIL"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        detail = finding.detail + (f"\nfix: {finding.fix}" if finding.fix else "")
        style = styles[finding.status]
        table.add_row(finding.check, f"[{style}]{finding.status}[/]", plain(detail))
    Console(highlight=False).print(table)


def _python() -> Finding:
    return Finding("python", "ok", platform.python_version())


def _libraries() -> Finding:
    try:
        import httptools
        import numpy
        import orjson
        import uvicorn
        import uvloop

        from server.engine.session import VERSION
    except ImportError as error:
        return Finding("libraries", "failure", f"{error.name} is missing", "run 'make install'")
    versions = ", ".join(
        f"{module.__name__} {module.__version__}"
        for module in (numpy, orjson, uvicorn, uvloop, httptools)
    )
    return Finding("libraries", "ok", f"onnxruntime {VERSION}, {versions}")


def _sqlite() -> Finding:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < SAFE_SQLITE:
        return Finding(
            "sqlite",
            "warning",
            f"{version}; before 3.51.3, two writers at once can corrupt a write-ahead log",
            "nothing to do for Tidegate, which has one writer; do not open its files for writing",
        )
    return Finding("sqlite", "ok", version)


def _cores() -> Finding:
    from server.machine import cpu_quota, memory_limit_bytes, usable_cores

    quota, memory = cpu_quota(), memory_limit_bytes()
    detail = f"{usable_cores()} usable of {os.cpu_count()}"
    detail += f", CPU quota {quota:g}" if quota else ", no CPU quota"
    detail += f", memory limit {memory >> 20} MiB" if memory else ", no memory limit"
    if quota and quota != int(quota):
        return Finding(
            "cores", "warning", detail, "give whole cores: a fraction is throttled in bursts"
        )
    return Finding("cores", "ok", detail)


def _files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < MIN_OPEN_FILES:
        return Finding(
            "open files",
            "warning",
            f"at most {soft} a process",
            f"raise it with 'ulimit -n {min(hard, 65536)}'; each connection needs one",
        )
    return Finding("open files", "ok", f"at most {soft} a process")


def _reuse_port() -> Finding:
    if not hasattr(socket, "SO_REUSEPORT"):
        return Finding(
            "SO_REUSEPORT", "failure", "not offered by this system", "run on Linux 3.9 or newer"
        )
    return Finding("SO_REUSEPORT", "ok", f"{platform.system()} {platform.release()}")


def _with_settings(config: Path | None) -> list[Finding]:
    """Look at what the settings name: ports, state directory, repository."""
    from server.config import load_settings
    from server.errors import ConfigError

    try:
        settings, _ = load_settings({}, os.environ, config)
    except ConfigError as error:
        return [
            Finding("settings", "failure", problem, "mend it, or remove it for the default")
            for problem in error.problems
        ]
    data_port = _port("data port", settings.host, settings.port)
    is_taken = os.strerror(errno.EADDRINUSE) in data_port.detail
    return [
        Finding("settings", "ok", "all values are good"),
        data_port,
        _port("control port", settings.control_host, settings.control_port),
        *([_gateway(settings)] if is_taken else []),
        _state_dir(settings.state_dir),
        _store(settings.state_dir),
        _repository(settings.repository),
        *([_signatures(settings.signers_path)] if settings.signers_path else []),
    ]


def _port(what: str, host: str, port: int) -> Finding:
    from server import ports

    try:
        ports.bind(host, port).close()
    except OSError as error:
        return Finding(
            what,
            "failure",
            str(error.strerror),
            "stop what listens there (a running gateway, perhaps), or choose another port",
        )
    return Finding(what, "ok", f"{host}:{port} is free")


def _gateway(settings: "Settings") -> Finding:
    """Ask whatever listens on the data port whether it is ready."""
    from server.cli.health import look, url_of

    url = url_of(settings)
    try:
        status, words = look(f"{url}/v2/health/ready", is_own=True)
    except (OSError, ValueError, http.client.HTTPException):
        return Finding("gateway", "warning", f"what listens at {url} is none", "see the data port")
    if status == 200:
        return Finding("gateway", "ok", f"the one at {url} is ready")
    return Finding(
        "gateway",
        "warning",
        f"{url} answers {status}: {words}",
        "see 'tidegate model list' and its log, if it is yours",
    )


def _state_dir(path: Path) -> Finding:
    parent = next(place for place in (path, *path.parents) if place.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK | os.X_OK, effective_ids=True)):
        return Finding(
            "state directory",
            "failure",
            f"{path} cannot be written",
            "give this user the right to write there, or choose another with --state-dir",
        )
    disk = os.statvfs(parent)
    free = disk.f_bavail * disk.f_frsize
    if free < MIN_FREE_BYTES:
        return Finding(
            "state directory",
            "warning",
            f"{path} has {free >> 20} MiB free",
            "models are copied there: free as much as your models take",
        )
    return Finding("state directory", "ok", f"{path}, {free >> 30} GiB free")


def _store(state_dir: Path) -> Finding:
    from server.store import revisions, sqlite_file
    from server.store.sqlite_file import Damaged

    path = state_dir / sqlite_file.FILE_NAME
    try:
        found = sqlite_file.look(path)
    except OSError as error:  # The folder may not be looked into; its own check says so.
        return Finding("store", "warning", f"{path}: {error.strerror}", "see the state directory")
    except (Damaged, sqlite3.Error) as error:
        if sqlite_file.is_damage(error):
            fix = "put a backup in its place while no gateway runs; else a start makes a new one"
        else:
            fix = "give this user the right to read and write it and its folder"
        return Finding("store", "warning", f"{path}: {error}", fix)
    if found is None or found.revision is None:
        return Finding("store", "ok", f"{path} will be made")
    if words := revisions.refusal(found.revision):
        what, _, fix = words.partition(": ")
        return Finding("store", "warning", f"{path}: {what}", fix)
    size = f"{found.size_bytes / (1 << 20):.1f} MiB"
    return Finding("store", "ok", f"{path}, revision {found.revision}, {size}")


def _repository(path: Path) -> Finding:
    from server.repository.layout import scan

    try:
        listing = scan(path)
    except OSError as error:
        return Finding(
            "repository",
            "warning",
            f"{path}: {error.strerror}",
            "name yours: tidegate serve PATH, or TIDEGATE_REPOSITORY",
        )
    return Finding("repository", "ok", f"{path} has {len(listing.models)} models")


def _signatures(signers_file: Path) -> Finding:
    from server.repository import signatures

    if not signatures.is_installed():
        return Finding("signatures", "failure", signatures.MISSING_EXTRA, signatures.EXTRA_FIX)
    try:
        signers = signatures.read_signers(signers_file)
    except ValueError as error:
        return Finding("signatures", "failure", str(error), "mend the file of signers")
    return Finding("signatures", "ok", f"required of {', '.join(one.name for one in signers)}")
