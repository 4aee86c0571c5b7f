"""Private copies of versions: named by content, whole or absent, and out of everybody's reach."""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.engine.session import Session
from server.errors import ModelInvalid
from server.repository.layout import VersionFolder, scan
from server.repository.staging import StillChanging, Store
from tests.support import models
from tests.support.permissions import without_root_rights

FIX = "copy the version again, or write its manifest anew"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store that is ready."""
    return open_store(tmp_path)


def open_store(state_dir: Path) -> Store:
    store = Store(state_dir)
    store.prepare()
    return store


def version_of(repository: Path, version: int = 1) -> VersionFolder:
    return scan(repository).models["m"].versions[str(version)]


def put_files(repository: Path, files: dict[str, bytes], version: int = 1) -> VersionFolder:
    """Write a version with these files instead of any that was there; return its folder."""
    folder = repository / "m" / str(version)
    if folder.exists():
        shutil.rmtree(folder)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return version_of(repository, version)


def contents(path: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {
        str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }


def test_a_copy_has_every_file_but_those_that_only_describe_it(
    repository: Path, store: Store
) -> None:
    """Model and weights are copied, in their folders; golden rows, profile and manifest are not."""
    own = {"model.onnx": b"model", "weights/a.bin": b"a", "weights/deep/b.bin": b""}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in own.items()}
    folder = put_files(
        repository,
        own
        | {
            "golden.npz": b"golden",
            "profile.json": b"{}",
            "manifest.json": json.dumps({"files": digests}).encode(),
        },
    )

    staged = store.stage(folder)
    assert contents(staged.path) == own
    assert staged.files == digests
    assert staged.golden_digest == hashlib.sha256(b"golden").hexdigest()
    assert staged.path == store.path_of(staged.digest)
    assert staged.path.name == staged.digest


def test_a_copy_is_read_only(repository: Path, store: Store) -> None:
    """Neither files nor folders of a copy may be written, by its owner either."""
    staged = store.stage(put_files(repository, {"model.onnx": b"x", "weights/a.bin": b"a"}))

    modes = {
        str(path.relative_to(staged.path)): stat.S_IMODE(path.stat().st_mode)
        for path in (staged.path, *staged.path.rglob("*"))
    }
    assert modes == {".": 0o555, "model.onnx": 0o444, "weights": 0o555, "weights/a.bin": 0o444}
    with without_root_rights(), pytest.raises(PermissionError):
        (staged.path / "model.onnx").write_bytes(b"other")
    with without_root_rights(), pytest.raises(PermissionError):
        (staged.path / "weights" / "a.bin").unlink()


BASE = {"model.onnx": b"model", "a.bin": b"aa", "b.bin": b"bb"}


@pytest.mark.parametrize(
    "files",
    [
        BASE | {"model.onnx": b"modem"},
        BASE | {"a.bin": b"aaa"},
        BASE | {"a.bin": b""},
        BASE | {"a.bin": b"bb", "b.bin": b"aa"},
        BASE | {"c.bin": b""},
        {"model.onnx": b"model", "a.bin": b"aa"},
        {"model.onnx": b"model", "a.bin": b"aa", "c.bin": b"bb"},
        {"model.onnx": b"model", "a.bin": b"aa", "x/b.bin": b"bb"},
    ],
)
def test_any_difference_makes_another_digest(
    repository: Path, store: Store, files: dict[str, bytes]
) -> None:
    """A byte, a size, a name, a swap, a file more or less: each is another version."""
    before = store.stage(put_files(repository, BASE))
    after = store.stage(put_files(repository, files))

    assert after.digest != before.digest
    assert contents(before.path) == BASE
    assert contents(after.path) == files


def test_what_only_describes_a_version_is_not_part_of_its_digest(
    repository: Path, store: Store
) -> None:
    """New golden rows show in their own digest; times and a profile show nowhere."""
    before = store.stage(put_files(repository, BASE))
    after = store.stage(put_files(repository, BASE | {"golden.npz": b"g", "profile.json": b"p"}))

    assert (before.digest, before.golden_digest) == (after.digest, "")
    assert after.golden_digest


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["model.onnx", "a", "b", "d/a", "é.bin"]), st.binary(max_size=8), min_size=1
    )
)
def test_equal_files_have_one_copy(tmp_path_factory: pytest.TempPathFactory, files: object) -> None:
    """The same content under another version's number is the same copy."""
    assert isinstance(files, dict)
    root = tmp_path_factory.mktemp("store")
    store = open_store(root)
    one = store.stage(put_files(root / "models", files, version=1))
    two = store.stage(put_files(root / "models", files, version=2))

    assert one.digest == two.digest
    assert contents(one.path) == files
    assert [path.name for path in (root / "store").iterdir()] == [one.digest]


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xff" * path.stat().st_size)


def truncate(path: Path) -> None:
    os.truncate(path, 0)


def delete(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("name", ["model.onnx", "weights.bin"])
@pytest.mark.parametrize("change", [overwrite, truncate, delete])
def test_a_loaded_model_does_not_notice_what_becomes_of_the_upload(
    repository: Path, store: Store, change: Callable[[Path], None], name: str
) -> None:
    """Files overwritten, cut or deleted after staging change no answer, mapped weights included."""
    models.with_external_data(repository / "m" / "1", offset=5.0)
    staged = store.stage(version_of(repository))
    before = contents(staged.path)
    session = Session.open(staged.path / "model.onnx")

    change(repository / "m" / "1" / name)
    rows = np.zeros((1, 1024), np.float32)
    assert (session.run([rows])[0] == 5.0).all()
    assert (Session.open(staged.path / "model.onnx").run([rows])[0] == 5.0).all()
    assert contents(staged.path) == before


def spoil_byte(copy: Path) -> None:
    (copy / "model.onnx").chmod(0o644)
    (copy / "model.onnx").write_bytes(b"modem")


def lose_file(copy: Path) -> None:
    copy.chmod(0o755)
    (copy / "a.bin").unlink()


def file_becomes_folder(copy: Path) -> None:
    lose_file(copy)
    (copy / "a.bin").mkdir()


def copy_becomes_file(copy: Path) -> None:
    copy.chmod(0o755)
    shutil.rmtree(copy)
    copy.write_bytes(b"")


def lose_permission(copy: Path) -> None:
    (copy / "model.onnx").chmod(0)


def lose_all(copy: Path) -> None:
    copy.chmod(0o755)
    shutil.rmtree(copy)


@pytest.mark.parametrize(
    "spoil",
    [spoil_byte, lose_file, file_becomes_folder, copy_becomes_file, lose_permission, lose_all],
)
def test_a_spoilt_copy_is_found_and_replaced(
    tmp_path: Path, repository: Path, spoil: Callable[[Path], None]
) -> None:
    """A store from an earlier run is believed only as far as its hashes are right."""
    folder = put_files(repository, BASE)
    staged = open_store(tmp_path).stage(folder)
    spoil(staged.path)

    with without_root_rights():
        assert open_store(tmp_path).stage(folder) == staged
    assert contents(staged.path) == BASE


def test_a_good_copy_is_kept_as_it_is(tmp_path: Path, repository: Path) -> None:
    """A restart copies nothing that is there; within one run it is not even read again."""
    folder = put_files(repository, BASE)
    staged = open_store(tmp_path).stage(folder)
    inode = (staged.path / "model.onnx").stat().st_ino

    again = open_store(tmp_path)
    for _ in range(2):
        assert again.stage(folder) == staged
    assert (staged.path / "model.onnx").stat().st_ino == inode


def test_copies_that_nobody_needs_are_removed(repository: Path, store: Store) -> None:
    """Read-only copies go too; what is needed stays, and what was removed can come again."""
    keep = store.stage(put_files(repository, BASE))
    folder = put_files(repository, {"model.onnx": b"x", "d/a.bin": b"a"}, version=2)
    drop = store.stage(folder)
    with without_root_rights():
        assert store.remove_all_but({keep.digest}) == [drop.digest]

    assert contents(keep.path) == BASE
    assert not drop.path.exists()
    assert contents(store.stage(folder).path) == {"model.onnx": b"x", "d/a.bin": b"a"}


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


FORM = 'manifest.json must be JSON of the form {"files": {"model.onnx": "<SHA-256>"}}'


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ({"files": {"model.onnx": sha(b"other")}}, "'model.onnx' is not the file that manifest"),
        ({"files": {"model.onnx": 7}}, "'model.onnx' is not the file that manifest.json names"),
        ({"files": {"gone.bin": sha(b"")}}, "'gone.bin' is in manifest.json and is missing"),
        ({"files": {"../m/model.onnx": sha(b"model")}}, "is in manifest.json and is missing"),
        ({"files": 7}, FORM),
        ({"file": {}}, FORM),
        ([], FORM),
        ("", FORM),
    ],
)
def test_a_version_is_held_to_its_manifest(
    repository: Path, store: Store, tmp_path: Path, manifest: object, problem: str
) -> None:
    """What does not fit the manifest is refused, named, and not copied."""
    folder = put_files(
        repository, {"model.onnx": b"model", "manifest.json": json.dumps(manifest).encode()}
    )
    with pytest.raises(ModelInvalid) as caught:
        store.stage(folder)
    assert problem in str(caught.value)
    assert caught.value.fix == FIX
    assert list((tmp_path / "store").iterdir()) == []


def test_a_manifest_says_nothing_of_the_profile(repository: Path, store: Store) -> None:
    """A profile may be made anew while the model stays, and has a hash of its own."""
    manifest = {"files": {"model.onnx": sha(b"model"), "profile.json": sha(b"the first")}}
    files = {"model.onnx": b"model", "manifest.json": json.dumps(manifest).encode()}
    alone = store.stage(put_files(repository, files))
    files["profile.json"] = b"the second"

    assert store.stage(put_files(repository, files)) == alone


def test_a_manifest_of_half_a_file_is_refused(repository: Path, store: Store) -> None:
    """A manifest that is still being written is no JSON, which is told."""
    folder = put_files(repository, {"model.onnx": b"model", "manifest.json": b'{"files": {'})
    with pytest.raises(ModelInvalid) as caught:
        store.stage(folder)
    assert str(caught.value) == FORM


def test_a_manifest_may_be_in_capitals_and_need_not_name_all(
    repository: Path, store: Store
) -> None:
    """Digests are the same in either case, and files that are not named are not held to it."""
    manifest = {"files": {"model.onnx": sha(b"model").upper()}}
    files = {"model.onnx": b"model", "more.bin": b"more"}
    folder = put_files(repository, files | {"manifest.json": json.dumps(manifest).encode()})

    assert contents(store.stage(folder).path) == files


def test_files_that_vanish_are_still_changing(repository: Path, store: Store) -> None:
    """A file that was listed and is gone means: try again, not: the version is bad."""
    folder = put_files(repository, BASE)
    (folder.path / "a.bin").unlink()

    with pytest.raises(StillChanging):
        store.stage(folder)


def test_a_file_that_may_not_be_read_is_named(repository: Path, store: Store) -> None:
    """A missing right is the operator's to give."""
    folder = put_files(repository, BASE)
    (folder.path / "a.bin").chmod(0)

    with without_root_rights(), pytest.raises(ModelInvalid) as caught:
        store.stage(folder)
    assert str(caught.value) == "'a.bin' may not be read"
    assert caught.value.fix == "give it read permission"


def test_a_copy_that_has_lost_a_file_is_made_anew(tmp_path: Path) -> None:
    """Also by a control that has seen it whole before."""
    models.put(tmp_path / "models", "m", 1, b"content")
    store = open_store(tmp_path / "state")
    folder = version_of(tmp_path / "models")
    staged = store.stage(folder)
    staged.path.chmod(0o755)
    (staged.path / "model.onnx").unlink()

    store.stage(folder)

    assert (staged.path / "model.onnx").read_bytes() == b"content"


def test_a_copy_that_does_not_fit_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of a disk is left to what else is to be written."""
    models.put(tmp_path / "models", "m", 1, b"content")
    store = open_store(tmp_path / "state")
    disk = os.statvfs(tmp_path)
    full = os.statvfs_result((*disk[:4], 0, *disk[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _path: full)

    with pytest.raises(OSError, match="No space left"):
        store.stage(version_of(tmp_path / "models"))

    assert list((tmp_path / "state" / "store").iterdir()) == []
