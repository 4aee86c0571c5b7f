"""References that were learned from live rows, kept beside the state of the gateway.

Decides where they lie: one file for each version and its files' digest, in the state directory,
because the model's folder belongs to whoever uploads models. A file that cannot be read is learned
anew; one that cannot be written costs the learning after the next restart, and a line in the log.

Concurrency: the functions block, and are called on a thread.
"""

import hashlib
from collections.abc import Collection
from pathlib import Path

import structlog

from server.controlplane.intents import write_whole
from server.monitoring.profile import Profile
from server.monitoring.profile_reading import read_profile
from server.operator_errors import ProfileInvalid

FOLDER = "self-references"

log = structlog.get_logger()


def _path(state_dir: Path, model: str, version: str, digest: str) -> Path:
    name = hashlib.sha256(f"{model}\0{version}\0{digest}".encode()).hexdigest()
    return state_dir / FOLDER / f"{name}.json"


def read(state_dir: Path, model: str, version: str, digest: str) -> Profile | None:
    """Return what was learned of a version; None if nothing was, or if it cannot be read."""
    path = _path(state_dir, model, version, digest)
    try:
        profile = read_profile(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ProfileInvalid) as error:
        log.warning("self_reference_unreadable", model=model, version=version, error=str(error))
        return None
    named = (profile.model, profile.version, profile.digest)
    return profile if named == (model, version, digest) else None


def write(state_dir: Path, profile: Profile) -> None:
    """Keep what was learned of a version."""
    path = _path(state_dir, profile.model, profile.version, profile.digest)
    try:
        path.parent.mkdir(exist_ok=True)
        write_whole(path, profile.to_json())
    except OSError as error:
        log.warning("self_reference_not_saved", model=profile.model, error=error.strerror)


def keep_only(state_dir: Path, kept: Collection[tuple[str, str, str]]) -> None:
    """Remove what was learned of all but these: model, version and digest. Makes the folder."""
    names = {_path(state_dir, *one).name for one in kept}
    try:
        (state_dir / FOLDER).mkdir(exist_ok=True)
        for path in (state_dir / FOLDER).glob("*"):
            if path.name not in names:
                path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("self_references_not_removed", error=error.strerror)
