"""What is in a model repository: models/<name>/<version>/model.onnx.

Decides which folders are models and versions, which files belong to a version, and what is wrong
with the rest. Reads names and metadata of files, never their contents.

A folder may be a symbolic link (Kubernetes mounts are full of them) as long as it leads to
somewhere inside the repository.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MODEL_NAME = re.compile(r"[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9._-]{0,127}")
VERSION_NAME = re.compile(r"[1-9][0-9]{0,18}")

MODEL_FILE = "model.onnx"
SETTINGS_FILE = "model.toml"
TRITON_FILE = "config.pbtxt"
GOLDEN_FILE = "golden.npz"
MANIFEST_FILE = "manifest.json"
PROFILE_FILE = "profile.json"
SIGNATURE_FILE = "model.sig"

SIDECARS = frozenset({GOLDEN_FILE, MANIFEST_FILE, PROFILE_FILE, SIGNATURE_FILE})
"""Files beside a model that describe it but are not it; they do not change its digest."""

MAX_FILES = 10_000

Fingerprint = tuple[tuple[str, int, int, int, int], ...]
"""Path, size, mtime, ctime and inode of each file: a hint that something changed, not a proof."""


@dataclass(frozen=True, slots=True)
class VersionFolder:
    """One version as it lies in the repository."""

    path: Path
    files: tuple[str, ...]
    """Relative paths of regular files, sorted; sidecars included, but for the profile."""
    fingerprint: Fingerprint
    """Of all files, the profile included."""
    problem: str = ""
    """Why it cannot be staged as it is; empty if it can."""

    @property
    def changed_ns(self) -> int:
        """When a file of it last changed, in nanoseconds since 1970."""
        return max((max(entry[2], entry[3]) for entry in self.fingerprint), default=0)


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """One model as it lies in the repository."""

    path: Path
    versions: Mapping[str, VersionFolder]
    settings_fingerprint: Fingerprint
    problem: str = ""
    is_readable: bool = True
    """False if it could not be looked into: then nothing is known of its versions."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The whole repository."""

    models: Mapping[str, ModelFolder]
    problems: Mapping[str, str] = field(default_factory=dict)
    """Folders that look like models and are not, with the reason."""


def scan(root: Path) -> Listing:
    """List the repository at `root`.

    Raises:
        OSError: the repository itself cannot be read.

    """
    models: dict[str, ModelFolder] = {}
    problems: dict[str, str] = {}
    real_root = root.resolve(strict=True)
    for entry in _entries(root):
        name = entry.name
        if name.startswith((".", "_")) or not _is_folder(entry):
            continue
        if not MODEL_NAME.fullmatch(name):
            problems[_printable(name)] = (
                "the name of a model is made of letters, digits, '.', '_' and '-', without '..', "
                "starts with a letter or digit and has at most 128 characters"
            )
            continue
        models[name] = scan_model(Path(entry.path), real_root)
    return Listing(models, problems)


def scan_model(path: Path, real_root: Path) -> ModelFolder:
    """List one model's folder."""
    versions: dict[str, VersionFolder] = {}
    problem = ""
    try:
        for entry in _entries(path):
            if VERSION_NAME.fullmatch(entry.name) and _is_folder(entry):
                versions[entry.name] = _scan_version(Path(entry.path), real_root)
        settings = tuple(
            _fingerprint(path / name, name)
            for name in (SETTINGS_FILE, TRITON_FILE)
            if (path / name).is_file()
        )
    except OSError as error:
        return ModelFolder(path, {}, (), f"it cannot be read: {error.strerror}", is_readable=False)
    if not versions:
        problem = f"it has no version: put the model at {path.name}/1/{MODEL_FILE}"
    ordered = dict(sorted(versions.items(), key=lambda item: int(item[0])))
    return ModelFolder(path, ordered, settings, problem)


def _scan_version(path: Path, real_root: Path) -> VersionFolder:
    try:
        if not is_inside(path, real_root):
            raise ValueError("it is behind a link that leads out of the repository")
        entries = sorted(_files(path, real_root))
    except OSError as error:
        return VersionFolder(path, (), (), f"it cannot be read: {error.strerror}")
    except ValueError as error:
        return VersionFolder(path, (), (), str(error))
    files = tuple(entry[0] for entry in entries if entry[0] != PROFILE_FILE)
    return VersionFolder(path, files, tuple(entries))


def _files(folder: Path, real_root: Path) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield the fingerprint of every regular file below `folder`.

    Raises:
        ValueError: a link leads out of the repository, or there are too many files.

    """
    waiting, found = [folder], 0
    while waiting:
        for entry in _entries(waiting.pop()):
            if entry.name.startswith("."):
                continue
            path = Path(entry.path)
            relative = path.relative_to(folder).as_posix()
            if relative == PROFILE_FILE:
                # Whatever it is, the model can be served: `reference.py` says if it is of use.
                yield _fingerprint_of(relative, _status_inside(path, real_root))
                continue
            if entry.is_symlink() and not is_inside(path, real_root):
                raise ValueError(
                    f"'{_printable(relative)}' is a link that leads out of the repository"
                )
            if entry.is_dir():
                waiting.append(path)
                continue
            found += 1
            if found > MAX_FILES:
                raise ValueError(f"it has more than {MAX_FILES} files")
            yield _fingerprint(path, relative)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # A link that goes in a circle leads nowhere.


def is_inside(path: Path, real_root: Path) -> bool:
    """Whether `path` leads to somewhere below `real_root`, a path without links.

    Raises:
        OSError: it leads nowhere.

    """
    return Path(os.path.realpath(path, strict=True)).is_relative_to(real_root)


def _status_inside(path: Path, real_root: Path) -> os.stat_result:
    """Return the status of what `path` leads to; of the link itself if that is out of bounds."""
    try:
        return path.stat() if is_inside(path, real_root) else path.lstat()
    except OSError:
        return path.lstat()


def _printable(name: str) -> str:
    """Return a name of the file system as text that JSON can carry."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _fingerprint(path: Path, relative: str) -> tuple[str, int, int, int, int]:
    if _printable(relative) != relative:
        raise ValueError(f"the name of '{_printable(relative)}' is not UTF-8")
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"'{relative}' is not a regular file")
    return _fingerprint_of(relative, status)


def _fingerprint_of(relative: str, status: os.stat_result) -> tuple[str, int, int, int, int]:
    return relative, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
