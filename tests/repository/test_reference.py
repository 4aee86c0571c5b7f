"""The profile beside a version: used, used with a note, or not used with the reason."""

import os
from pathlib import Path

import pytest

from server.monitoring.profile import Profile
from server.operator_errors import ProfileInvalid
from server.repository.layout import PROFILE_FILE, scan
from server.repository.reference import find_reference, load_profile, save_profile
from tests.support import profiles
from tests.support.permissions import without_root_rights

DIGEST = "ab" * 32


@pytest.fixture
def folder(repository: Path) -> Path:
    """The folder of version 3 of the profiles' model."""
    folder = repository / "risk" / "3"
    folder.mkdir(parents=True)
    return folder


def find(folder: Path, digest: str = DIGEST) -> tuple[Profile | None, list[str]]:
    reference = find_reference(folder, profiles.SIGNATURE, profiles.FEATURES, digest)
    return reference.profile, reference.warnings


def test_a_profile_that_fits_is_used(folder: Path) -> None:
    """Without a word."""
    save_profile(folder / PROFILE_FILE, profiles.profile())
    profile, warnings = find(folder)

    assert profile is not None
    assert profile.hash == profiles.profile().hash
    assert warnings == []


def test_a_version_need_not_have_one(folder: Path) -> None:
    """Then there is nothing to say."""
    assert find(folder) == (None, [])


def test_a_profile_of_other_files_is_used_with_a_note(folder: Path) -> None:
    """A model that was trained again may well be held to the reference of the one before."""
    save_profile(folder / PROFILE_FILE, profiles.profile())
    profile, warnings = find(folder, "ef" * 32)

    assert profile is not None
    assert warnings == ["profile.json was made with other files of this model"]


def test_a_profile_that_does_not_fit_is_refused_with_the_difference(folder: Path) -> None:
    """Which columns, and what about them."""
    save_profile(folder / PROFILE_FILE, profiles.profile(model="churn"))
    profile, warnings = find(folder)

    assert profile is None
    assert warnings == [
        "profile.json is not used, because it does not fit the model: it is of model 'churn'"
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is not JSON"),
        (b"{}", "format: it is missing"),
        (b"[" * 10_000, "it is not JSON"),
        (b"\0" * (17 << 20), "it has more than 16 MiB"),
    ],
    ids=["empty", "nothing in it", "deep", "huge"],
)
def test_a_damaged_profile_is_refused_with_the_reason(
    folder: Path, content: bytes, reason: str
) -> None:
    """Whatever is in it, and however much."""
    (folder / PROFILE_FILE).write_bytes(content)
    profile, (warning,) = find(folder)

    assert profile is None
    assert warning.startswith(f"profile.json is not used: {reason}")


def test_a_profile_that_cannot_be_read_is_refused(folder: Path) -> None:
    """A file that is somebody else's."""
    save_profile(folder / PROFILE_FILE, profiles.profile())
    (folder / PROFILE_FILE).chmod(0)
    with without_root_rights():
        assert find(folder)[1] == ["profile.json is not used: it cannot be read: Permission denied"]


def test_what_is_no_regular_file_is_not_opened(folder: Path) -> None:
    """A pipe would never end, and a folder has nothing to read."""
    path = folder / PROFILE_FILE
    reason = ["profile.json is not used: it is not a regular file"]
    path.mkdir()
    assert find(folder)[1] == reason
    path.rmdir()
    os.mkfifo(path)
    assert find(folder)[1] == reason


def test_a_link_is_followed_inside_the_repository_only(folder: Path, tmp_path: Path) -> None:
    """Mounts are full of links; one that leads elsewhere, or nowhere, is told."""
    path = folder / PROFILE_FILE
    for place, reason in (
        (folder.parent / "..data", ""),
        (tmp_path / "elsewhere", "it is a link that leads out of the repository"),
        (folder / "gone", "it cannot be read: No such file or directory"),
    ):
        if place.name != "gone":
            save_profile(place, profiles.profile())
        path.symlink_to(place)
        assert find(folder)[1] == ([f"profile.json is not used: {reason}"] if reason else [])
        path.unlink()


def test_a_profile_is_written_whole_or_not_at_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up leaves the old one, and nothing beside it."""
    path = folder / PROFILE_FILE
    save_profile(path, profiles.profile(version="1"))

    def full(_: int) -> None:
        assert load_profile(path).version == "1"
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            save_profile(path, profiles.profile(version="2"))
    assert load_profile(path).version == "1"
    assert os.listdir(folder) == [PROFILE_FILE]

    save_profile(path, profiles.profile(version="2"))
    assert load_profile(path).version == "2"


def test_what_is_being_written_is_no_file_of_the_version(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks at the folder meanwhile sees no other model."""
    seen: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        os,
        "fsync",
        lambda _: seen.append(scan(folder.parents[1]).models["risk"].versions["3"].files),
    )
    save_profile(folder / PROFILE_FILE, profiles.profile())

    assert seen == [()]


def test_a_file_that_is_not_there_is_told_apart(folder: Path) -> None:
    """From one that is no profile."""
    with pytest.raises(FileNotFoundError):
        load_profile(folder / PROFILE_FILE)
    (folder / PROFILE_FILE).write_text("rubbish")
    with pytest.raises(ProfileInvalid):
        load_profile(folder / PROFILE_FILE)
