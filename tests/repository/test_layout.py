"""Which folders are models and versions, and how a change of their files is noticed."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.repository import layout
from server.repository.layout import MODEL_NAME, Listing, VersionFolder, scan, scan_model
from tests.support.models import put
from tests.support.permissions import without_root_rights


def version_of(repository: Path, name: str = "m", version: str = "1") -> VersionFolder:
    return scan(repository).models[name].versions[version]


@pytest.mark.parametrize(
    "name", ["a", "7", "resnet-50", "a.b_c-d", "A" * 128, "model.v1", "0-", "x."]
)
def test_a_good_name_is_a_model(repository: Path, name: str) -> None:
    """Letters, digits, dots, underscores and hyphens make a name."""
    put(repository, name, 1, b"x")

    assert scan(repository) == Listing({name: scan_model(repository / name, repository)}, {})


@pytest.mark.parametrize(
    "name", ["-a", "a b", "a..b", "é", "A" * 129, "a/../b".replace("/", "+"), "a\n", "a:b"]
)
def test_a_bad_name_is_a_problem_with_the_rule(repository: Path, name: str) -> None:
    """A folder whose name no URL could carry is named with what a name is made of."""
    put(repository, name, 1, b"x")
    put(repository, "good", 1, b"x")

    listing = scan(repository)
    assert list(listing.models) == ["good"]
    assert "letters, digits" in listing.problems[name]
    assert "'..'" in listing.problems[name]


@given(st.text(st.characters(codec="utf-8"), max_size=140))
def test_a_name_never_leads_out_of_a_path(name: str) -> None:
    """Whatever passes as a name is one plain part of a path and of a URL."""
    if MODEL_NAME.fullmatch(name):
        assert ".." not in name
        assert name.isascii()
        assert Path("/models", name).parent == Path("/models")
        assert not set(name) & set("/\\%?# \n")


def test_a_name_that_is_not_utf8_is_a_problem_that_can_be_told(repository: Path) -> None:
    """A folder with stray bytes in its name is reported in text that JSON can carry."""
    os.mkdir(os.fsencode(repository) + b"/bad\xff")
    put(repository, "good", 1, b"x")

    listing = scan(repository)
    assert list(listing.models) == ["good"]
    assert list(listing.problems) == ["bad\\xff"]


@pytest.mark.parametrize("name", [".git", "_archive", "README.md", "build.py"])
def test_what_is_no_folder_or_is_hidden_is_nothing(repository: Path, name: str) -> None:
    """Files at the top, and folders that start with a dot or underscore, are passed by."""
    if name[0] in "._":
        put(repository, name, 1, b"x")
    else:
        (repository / name).write_text("x")

    assert scan(repository) == Listing({}, {})


@pytest.mark.parametrize("version", ["0", "01", "-1", "v1", "1.0", "latest", "9" * 20, "\u0661"])
def test_only_positive_whole_numbers_are_versions(repository: Path, version: str) -> None:
    """A folder with another name is no version, and a model without any says where it goes."""
    put(repository, "m", version, b"x")

    model = scan(repository).models["m"]
    assert model.versions == {}
    assert model.problem == "it has no version: put the model at m/1/model.onnx"


def test_versions_are_ordered_as_numbers(repository: Path) -> None:
    """Version 10 comes after version 9, up to the largest 19-digit number."""
    for version in (10, 9, 1, 9_999_999_999_999_999_999):
        put(repository, "m", version, b"x")

    model = scan(repository).models["m"]
    assert list(model.versions) == ["1", "9", "10", "9999999999999999999"]
    assert model.problem == ""


def test_the_files_of_a_version_are_listed_with_those_in_folders(repository: Path) -> None:
    """Files are relative paths in order; hidden ones, such as a mount's, are left out."""
    folder = put(repository, "m", 1, b"x")
    (folder / "weights").mkdir()
    (folder / "weights" / "a.bin").write_bytes(b"12")
    (folder / "golden.npz").write_bytes(b"3")
    (folder / ".hidden").write_bytes(b"4")
    (folder / "..data").mkdir()

    found = version_of(repository)
    assert found.files == ("golden.npz", "model.onnx", "weights/a.bin")
    assert [entry[1] for entry in found.fingerprint] == [1, 1, 2]
    assert found.problem == ""


def test_a_missing_repository_is_an_error(tmp_path: Path) -> None:
    """That nothing can be read is told apart from that nothing is there."""
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "nowhere")


def grow(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"xy")


def rewrite_in_place(folder: Path) -> None:
    path = folder / "model.onnx"
    before = path.stat()
    path.write_bytes(b"z")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_rename(folder: Path) -> None:
    path = folder / "model.onnx"
    other = folder / ".upload"
    other.write_bytes(b"z")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.rename(path)


def touch(folder: Path) -> None:
    os.utime(folder / "model.onnx", ns=(1, 1))


def add(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(b"")


def remove(folder: Path) -> None:
    (folder / "model.onnx").unlink()


def rename(folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "other.onnx")


def change_sidecar(folder: Path) -> None:
    (folder / "golden.npz").write_bytes(b"golden")


@pytest.mark.parametrize(
    "change",
    [grow, rewrite_in_place, replace_by_rename, touch, add, remove, rename, change_sidecar],
)
def test_every_kind_of_change_shows(repository: Path, change: Callable[[Path], None]) -> None:
    """A fingerprint changes with content, also where size and time of change are kept."""
    folder = put(repository, "m", 1, b"x")
    before = version_of(repository)
    assert version_of(repository) == before

    change(folder)
    assert version_of(repository).fingerprint != before.fingerprint


def test_a_change_of_settings_shows_on_the_model_only(repository: Path) -> None:
    """model.toml and config.pbtxt have a fingerprint apart from the versions'."""
    put(repository, "m", 1, b"x")
    seen = {scan(repository).models["m"].settings_fingerprint}
    version = version_of(repository)
    for name in ("model.toml", "config.pbtxt"):
        (repository / "m" / name).write_text("")
        seen.add(scan(repository).models["m"].settings_fingerprint)

    assert len(seen) == 3
    assert version_of(repository) == version


def test_the_time_of_the_last_change_is_the_newest_of_any_file(repository: Path) -> None:
    """Copying with old times kept does not make a version look settled."""
    folder = put(repository, "m", 1, b"x")
    os.utime(folder / "model.onnx", ns=(1, 1))

    status = (folder / "model.onnx").stat()
    assert version_of(repository).changed_ns == status.st_ctime_ns > 1
    assert VersionFolder(folder, (), ()).changed_ns == 0


def test_links_inside_the_repository_are_followed(repository: Path) -> None:
    """A mount's way of swapping files, a link through a hidden folder, is read as files."""
    folder = put(repository, "m", "..2024", b"x").parent / "1"
    folder.mkdir()
    (repository / "m" / "..data").symlink_to("..2024")
    (folder / "model.onnx").symlink_to("../..data/model.onnx")
    (repository / "m" / "2").symlink_to("1")
    (repository / "alias").symlink_to("m")

    models = scan(repository).models
    assert list(models) == ["alias", "m"]
    for model in models.values():
        assert {v.files for v in model.versions.values()} == {("model.onnx",)}
        assert {v.problem for v in model.versions.values()} == {""}
        assert list(model.versions) == ["1", "2"]


def test_the_repository_itself_may_be_a_link(tmp_path: Path, repository: Path) -> None:
    """A checkout that is swapped by a link at the top is a repository like any other."""
    put(repository, "m", 1, b"x")
    (repository / "n").symlink_to("m")
    (tmp_path / "current").symlink_to(repository)

    assert version_of(tmp_path / "current", "n").problem == ""


def link_file(repository: Path, outside: Path) -> None:
    (repository / "bad" / "1").mkdir(parents=True)
    (repository / "bad" / "1" / "model.onnx").symlink_to(outside / "1" / "model.onnx")


def link_folder(repository: Path, outside: Path) -> None:
    put(repository, "bad", 1, b"x")
    (repository / "bad" / "1" / "weights").symlink_to(outside)


def link_version(repository: Path, outside: Path) -> None:
    (repository / "bad").mkdir()
    (repository / "bad" / "1").symlink_to(outside / "1")


def link_model(repository: Path, outside: Path) -> None:
    (repository / "bad").symlink_to(outside)


@pytest.mark.parametrize("link", [link_file, link_folder, link_version, link_model])
def test_a_link_out_of_the_repository_is_refused(
    tmp_path: Path, repository: Path, link: Callable[[Path, Path], None]
) -> None:
    """No link makes a file from elsewhere a model, at whatever level it stands."""
    outside = put(tmp_path, "outside", 1, b"secret").parent
    link(repository, outside)
    put(repository, "good", 1, b"x")

    assert "a link that leads out of the repository" in version_of(repository, "bad").problem
    assert version_of(repository, "bad").files == ()
    assert version_of(repository, "good").problem == ""


def test_a_link_to_nowhere_is_a_problem_of_its_version(repository: Path) -> None:
    """A dangling link spoils its own version and no other."""
    put(repository, "m", 1, b"x")
    (put(repository, "m", 2, b"x") / "weights").symlink_to("gone")

    assert version_of(repository).problem == ""
    assert version_of(repository, version="2").problem == (
        "it cannot be read: No such file or directory"
    )


@pytest.mark.parametrize("place", ["", "m", "m/1"])
def test_a_link_to_itself_hides_no_other(repository: Path, place: str) -> None:
    """A link that goes round in a circle, wherever it is, leaves the other models in view."""
    put(repository, "m", 1, b"x")
    put(repository, "n", 1, b"x")
    (repository / place / "2").symlink_to("2")

    assert version_of(repository, "n").problem == ""


def test_folders_that_hold_themselves_come_to_an_end(repository: Path) -> None:
    """Links to the folder they are in, which double the way at each step, are not followed far."""
    folder = put(repository, "m", 1, b"x") / "empty"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).symlink_to(".")
    put(repository, "n", 1, b"x")

    assert version_of(repository).problem == (
        "it cannot be read: Too many levels of symbolic links"
    )
    assert version_of(repository, "n").problem == ""


def test_too_many_files_are_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version with one file more than the limit is refused; at the limit it is not."""
    monkeypatch.setattr(layout, "MAX_FILES", 3)
    folder = put(repository, "m", 1, b"x")
    for number in range(2):
        (folder / f"{number}.bin").write_bytes(b"")
    assert version_of(repository).problem == ""

    (folder / "2.bin").write_bytes(b"")
    assert version_of(repository).problem == "it has more than 3 files"


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_is_no_regular_file_is_refused(
    repository: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe or socket in a version's folder is named, not opened."""
    folder = put(repository, "m", 1, b"x")
    if kind == "pipe":
        os.mkfifo(folder / "odd")
    else:
        monkeypatch.chdir(folder)  # Its whole path may be longer than a socket's may be.
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("odd")

    assert version_of(repository).problem == "'odd' is not a regular file"


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder_with_a_pipe(path: Path) -> None:
    path.mkdir()
    os.mkfifo(path / "odd")


def link_out(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def link_to_nowhere(path: Path) -> None:
    path.symlink_to("gone")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    "place", [pipe, folder_with_a_pipe, link_out, link_to_nowhere, link_to_itself]
)
def test_no_profile_spoils_its_version(repository: Path, place: Callable[[Path], None]) -> None:
    """Whatever is in the place of one is noticed, and is no file of the model."""
    folder = put(repository, "m", 1, b"x")
    before = version_of(repository)
    place(folder / "profile.json")

    found = version_of(repository)
    assert (found.problem, found.files) == ("", ("model.onnx",))
    assert found.fingerprint != before.fingerprint
    assert version_of(repository) == found


def test_a_profile_is_followed_through_a_link(repository: Path) -> None:
    """A mount changes what a link leads to, and not the link."""
    folder = put(repository, "m", 1, b"x")
    (repository / "m" / "..data").mkdir()
    target = repository / "m" / "..data" / "profile.json"
    target.write_bytes(b"a")
    (folder / "profile.json").symlink_to("../..data/profile.json")
    before = version_of(repository)
    target.write_bytes(b"ab")

    assert version_of(repository).fingerprint != before.fingerprint


def test_a_file_name_that_is_not_utf8_is_refused(repository: Path) -> None:
    """Stray bytes in a file's name, which no digest or answer could carry, are told as text."""
    folder = put(repository, "m", 1, b"x")
    (folder / os.fsdecode(b"w\xff.bin")).write_bytes(b"")

    assert version_of(repository).problem == "the name of 'w\\xff.bin' is not UTF-8"


def test_an_unreadable_folder_spoils_itself_only(repository: Path) -> None:
    """A model or version that may not be read says so, and the others are there."""
    for name in ("closed", "half-closed", "open"):
        put(repository, name, 1, b"x")
    (repository / "closed").chmod(0)
    (repository / "half-closed" / "1").chmod(0)

    with without_root_rights():
        models = scan(repository).models
    assert models["closed"].problem == "it cannot be read: Permission denied"
    assert models["half-closed"].versions["1"].problem == "it cannot be read: Permission denied"
    assert models["open"].versions["1"].problem == ""
