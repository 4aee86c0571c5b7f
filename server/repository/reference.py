"""The reference profile beside a version: read it, hold it to the model, say why it is not used.

Decides that nothing about a profile keeps a version from being served: one that is damaged or of
another model is not used, with the reason; one that was made with other files of the model is used,
with a note. Writing one is all or nothing, for control may be looking.
"""

import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from server.monitoring.fitting import differences, in_words
from server.monitoring.profile import Profile
from server.monitoring.profile_reading import MAX_BYTES, read_profile
from server.operator_errors import ProfileInvalid
from server.repository.layout import PROFILE_FILE, is_inside
from server.tensors import Signature


@dataclass(frozen=True, slots=True)
class Reference:
    """What was found beside a version."""

    profile: Profile | None = None
    """None if there is no file, or one that cannot be used."""
    error: str = ""
    """Why the file cannot be used, if there is one."""
    note: str = ""
    """What is odd about one that is used."""

    @property
    def warnings(self) -> list[str]:
        """What an operator should know."""
        return [line for line in (self.error, self.note) if line]


NO_REFERENCE = Reference()


def load_profile(path: Path) -> Profile:
    """Read a profile.

    Raises:
        ProfileInvalid: it is not one, or cannot be read.
        FileNotFoundError: there is none.

    """
    try:
        # To open a pipe would wait for somebody who writes to it.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ProfileInvalid("it is not a regular file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ProfileInvalid(f"it cannot be read: {error.strerror}") from None
    return read_profile(content)


def find_reference(
    folder: Path, signature: Signature, features: Mapping[str, Sequence[str]], digest: str
) -> Reference:
    """Look for the profile of a version, and hold it to what the version is.

    `folder` is that of the version, models/<name>/<version>; `digest` is of its files.
    """
    path = folder / PROFILE_FILE
    if not os.path.lexists(path):
        return NO_REFERENCE
    try:
        profile = _load_inside(path, folder.parents[1])
    except ProfileInvalid as error:
        return Reference(error=f"{PROFILE_FILE} is not used: {error}")
    found = differences(profile, folder.parent.name, signature, features)
    if found:
        words = f"{PROFILE_FILE} is not used, because it does not fit the model: {in_words(found)}"
        return Reference(error=words)
    if profile.digest != digest:
        return Reference(profile, note=f"{PROFILE_FILE} was made with other files of this model")
    return Reference(profile)


def _load_inside(path: Path, root: Path) -> Profile:
    """Read a profile from somewhere below `root`, the repository.

    Raises:
        ProfileInvalid: it is not one, lies elsewhere, or cannot be read.

    """
    try:
        if not is_inside(path, root.resolve()):
            raise ProfileInvalid("it is a link that leads out of the repository")
        return load_profile(path)
    except OSError as error:
        raise ProfileInvalid(f"it cannot be read: {error.strerror}") from None


def save_profile(path: Path, profile: Profile) -> None:
    """Write a profile, whole or not at all.

    Raises:
        OSError: it cannot be written.

    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(profile.to_json())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
