"""Private copies of model files, named by what is in them.

Decides where a version is served from: `<state>/store/<digest>/`, read-only, never written again.
ONNX Runtime maps external data files, so whoever could change a served file would change a live
model's answers, or kill the process by truncating it.

The digest is the SHA-256 of a version's file names, sizes and SHA-256s. It is the truth about
whether two versions are the same; times and sizes are hints.

A copy appears whole or not at all: it is written beside the store, synced, then renamed.

Where versions have to be signed, it is the copy that is held to the signature, before anything
opens it: what lies in the repository may be exchanged between two looks.
"""

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from server.errors import ModelInvalid
from server.repository import signatures
from server.repository.layout import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    PROFILE_FILE,
    SIDECARS,
    SIGNATURE_FILE,
    VersionFolder,
)

_CHUNK_BYTES = 1 << 20


class StillChanging(Exception):
    """Files changed while they were read; a later try may succeed."""


@dataclass(frozen=True, slots=True)
class StagedVersion:
    """A version's private copy."""

    digest: str
    path: Path
    """Its folder in the store."""
    files: Mapping[str, str]
    """SHA-256 by relative path."""
    golden_digest: str
    """SHA-256 of golden.npz beside the original; empty if there is none."""
    signer: str = ""
    """Who has signed it; empty where versions need not be signed."""


class Store:
    """The folder of private copies.

    Concurrency: used by control's staging thread only, one call at a time.
    """

    def __init__(self, state_dir: Path, signers_file: Path | None = None) -> None:
        """Have versions be signed by somebody in `signers_file`, or not at all if it is None."""
        self._root = state_dir / "store"
        self._signers_file = signers_file
        self._checked: set[str] = set()

    def prepare(self) -> None:
        """Make the store, and clear away what an interrupted copy left."""
        self._root.mkdir(parents=True, exist_ok=True)
        for leftover in self._root.glob("tmp-*"):
            _remove(leftover)

    def path_of(self, digest: str) -> Path:
        """Return where a digest is, or would be, kept."""
        return self._root / digest

    def stage(self, folder: VersionFolder) -> StagedVersion:
        """Copy a version into the store, unless a good copy is there.

        Raises:
            ModelInvalid: the version is incomplete, not what its manifest says, or not signed by
                anybody who has to have signed it.
            StillChanging: its files change at this moment.
            OSError: the store cannot be written.

        """
        sizes = {entry[0]: entry[1] for entry in folder.fingerprint}
        hashes = {name: _hash(folder.path / name, sizes[name]) for name in folder.files}
        _check_manifest(folder, hashes)
        files = {name: digest for name, digest in hashes.items() if name not in SIDECARS}
        digest = _digest(files, sizes)
        path = self.path_of(digest)
        if self._signers_file is not None and SIGNATURE_FILE not in hashes:
            raise signatures.unsigned()
        if not self._is_good(digest, files):
            self._check_room(sum(sizes.values()))
            self._copy(folder, files, path)
            self._checked.add(digest)
        signer = "" if self._signers_file is None else self._signer_of(folder, path, hashes)
        return StagedVersion(digest, path, files, hashes.get(GOLDEN_FILE, ""), signer)

    def _signer_of(self, folder: VersionFolder, path: Path, hashes: Mapping[str, str]) -> str:
        """Return who has signed the copy at `path` and what lies beside the original.

        The signature is held to a folder of all that it is to be about: links to the files of the
        copy, copies of those beside it. The profile may be left out of a signature, because it may
        change while the model stays.
        """
        assert self._signers_file is not None, "asked for only where versions have to be signed"
        try:
            signers = signatures.read_signers(self._signers_file)
        except ValueError as error:
            raise ModelInvalid(str(error), fix="mend the file of signers", may_pass=True) from None
        temporary = self._root / f"tmp-{secrets.token_hex(8)}"
        signature, signed = temporary / SIGNATURE_FILE, temporary / "signed"
        try:
            signed.mkdir(parents=True)
            _copy_as_hashed(folder.path / SIGNATURE_FILE, signature, hashes[SIGNATURE_FILE])
            for name, wanted in hashes.items():
                target = signed / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if name not in SIDECARS:
                    os.link(path / name, target)
                elif name != SIGNATURE_FILE:
                    _copy_as_hashed(folder.path / name, target, wanted)
            profile = folder.path / PROFILE_FILE
            if PROFILE_FILE in signatures.signed_names(signature) and profile.is_file():
                _copy_file(profile, signed / PROFILE_FILE)
            return signatures.verify(signed, signature, signers)
        finally:
            if temporary.exists():
                _remove(temporary)

    def _is_good(self, digest: str, files: Mapping[str, str]) -> bool:
        """Whether the store's copy is what its name says; a bad one is removed."""
        path = self.path_of(digest)
        if digest in self._checked and all((path / name).is_file() for name in files):
            return True
        try:
            good = all(_hash(path / name) == wanted for name, wanted in files.items())
        except (ModelInvalid, StillChanging, OSError):
            good = False
        if good:
            self._checked.add(digest)
        elif path.exists():
            _remove(path)
        return good

    def _check_room(self, needed_bytes: int) -> None:
        """See that a copy fits: one that fills the disk takes it from all that is to be written."""
        disk = os.statvfs(self._root)
        if disk.f_bavail * disk.f_frsize < needed_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _copy(self, folder: VersionFolder, files: Mapping[str, str], path: Path) -> None:
        temporary = self._root / f"tmp-{secrets.token_hex(8)}"
        try:
            for name, wanted in files.items():
                target = temporary / name
                target.parent.mkdir(parents=True, exist_ok=True)
                _copy_as_hashed(folder.path / name, target, wanted)
            for directory in [*(p for p in temporary.rglob("*") if p.is_dir()), temporary]:
                directory.chmod(0o555)
                _sync_folder(directory)
            temporary.rename(path)
            _sync_folder(self._root)
        finally:
            if temporary.exists():
                _remove(temporary)

    def remove_all_but(self, digests: set[str]) -> list[str]:
        """Remove the copies that nobody needs; return their digests."""
        removed = []
        for path in self._root.iterdir():
            if path.name not in digests and not path.name.startswith("tmp-"):
                _remove(path)
                self._checked.discard(path.name)
                removed.append(path.name)
        return removed


def _check_manifest(folder: VersionFolder, hashes: Mapping[str, str]) -> None:
    """Hold a version to its manifest.json, if it has one: {"files": {path: SHA-256}}."""
    if MANIFEST_FILE not in folder.files:
        return
    fix = "copy the version again, or write its manifest anew"
    try:
        manifest = orjson.loads((folder.path / MANIFEST_FILE).read_bytes())
        wanted: dict[str, str] = dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelInvalid(
            f'{MANIFEST_FILE} must be JSON of the form {{"files": {{"model.onnx": "<SHA-256>"}}}}',
            fix=fix,
        ) from None
    wanted.pop(PROFILE_FILE, None)  # It may change while the model stays, and has its own hash.
    for name, digest in wanted.items():
        if name not in hashes:
            raise ModelInvalid(f"'{name}' is in {MANIFEST_FILE} and is missing", fix=fix)
        if hashes[name] != str(digest).lower():
            raise ModelInvalid(f"'{name}' is not the file that {MANIFEST_FILE} names", fix=fix)


def _digest(files: Mapping[str, str], sizes: Mapping[str, int]) -> str:
    lines = [f"{name}\0{sizes[name]}\0{files[name]}\n" for name in sorted(files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _hash(path: Path, size: int | None = None) -> str:
    """Return the SHA-256 of a file's contents.

    Raises:
        StillChanging: the file is not there any more, or not of `size` any more.

    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if size not in (None, file.tell()):
                raise StillChanging(path.name)
            return digest
    except (FileNotFoundError, NotADirectoryError):
        raise StillChanging(path.name) from None
    except PermissionError:
        raise ModelInvalid(
            f"'{path.name}' may not be read", fix="give it read permission"
        ) from None


def _copy_file(source: Path, target: Path) -> str:
    """Copy a file, sync it, make it read-only; return the SHA-256 of what was written."""
    digest = hashlib.sha256()
    try:
        with source.open("rb") as reading, target.open("wb") as writing:
            while chunk := reading.read(_CHUNK_BYTES):
                digest.update(chunk)
                writing.write(chunk)
            writing.flush()
            os.fsync(writing.fileno())
    except FileNotFoundError:
        raise StillChanging(source.name) from None
    target.chmod(0o444)
    return digest.hexdigest()


def _copy_as_hashed(source: Path, target: Path, wanted: str) -> None:
    if _copy_file(source, target) != wanted:
        raise StillChanging(source.name)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for directory in [path, *(p for p in path.rglob("*") if p.is_dir())]:
        directory.chmod(0o755)
    shutil.rmtree(path)
