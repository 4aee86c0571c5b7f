"""The desired state: what every worker shall have loaded, and which version answers.

Control writes it, workers carry it out and say which generation they have reached. A worker that
cannot reach control reads the last one from its file. Decides the form of the message only.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from server.monitoring.checks import Check
from server.release import route as release_route
from server.release.route import Canary, ReleaseRoute
from server.settings import ModelSettings, Settings

FILE_NAME = "desired.json"


@dataclass(frozen=True, slots=True)
class VersionPlan:
    """One version to have loaded."""

    digest: str
    """SHA-256 of its files; two plans with one digest are the same model."""
    path: str
    """The staged model file."""
    samples: str
    """Recorded inputs for the warm-up; empty if there are none."""
    settings: ModelSettings
    is_batched: bool
    batch_seconds: float
    """Run time of one row, measured when the version was checked."""
    features: Mapping[str, list[str]] = field(default_factory=dict)
    """Names of the columns of an input, where the model's settings give them."""
    checks: tuple[Check, ...] = ()
    """What the values of requests are held to."""

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it names."""
        return (self.path, self.samples) if self.samples else (self.path,)

    def is_on_disk(self) -> bool:
        """Look whether they are there."""
        return all(Path(path).is_file() for path in self.files)


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """One model."""

    live: str | None
    """The version that answers when a request names none."""
    versions: Mapping[str, VersionPlan]
    pending: Mapping[str, bool] = field(default_factory=dict)
    """Known versions that are not to be loaded yet: True if they are being checked, False if
    they failed."""
    release: ReleaseRoute | None = None
    """The release state that this plan carries out, None before there is one. A control that starts
    again and finds the store unreadable, or behind, has it from here."""

    @property
    def release_generation(self) -> int:
        """That of the release state; answers name it."""
        return 0 if self.release is None else self.release.generation

    @property
    def canary(self) -> Canary | None:
        """Who answers a share of the requests that name no version, if it is to be loaded."""
        canary = None if self.release is None else self.release.canary
        return canary if canary is not None and canary.version in self.versions else None

    @property
    def mirror_bp(self) -> int:
        """Share of the live version's batches whose rows are sent whole, in basis points.

        However large they are, because a candidate is run on them.
        """
        shadows = () if self.release is None else self.release.shadows
        return max((shadow.sample_bp for shadow in shadows), default=0)


@dataclass(frozen=True, slots=True)
class DesiredState:
    """Everything a worker needs to know. A higher generation replaces a lower one."""

    generation: int
    models: Mapping[str, ModelPlan]
    repository: str = ""
    """Path of the repository: the plans of another one are of no use."""
    is_settled: bool = False
    """Control has looked at the whole repository once: what is missing now is not on its way."""
    is_signed: bool = False
    """Every version of it was held to its signature."""


def encode(state: DesiredState) -> bytes:
    """Write a desired state as JSON."""
    return orjson.dumps(
        {
            "generation": state.generation,
            "repository": state.repository,
            "is_settled": state.is_settled,
            "is_signed": state.is_signed,
            "models": {
                name: {
                    "live": plan.live,
                    "pending": plan.pending,
                    "release": release_route.to_json(plan.release) if plan.release else None,
                    "versions": {
                        version: {
                            **_plain(one),
                            "settings": one.settings.model_dump(),
                            "checks": [check.to_json() for check in one.checks],
                        }
                        for version, one in plan.versions.items()
                    },
                }
                for name, plan in state.models.items()
            },
        }
    )


def _plain(plan: VersionPlan) -> dict[str, Any]:
    return {
        name: getattr(plan, name)
        for name in ("digest", "path", "samples", "is_batched", "batch_seconds", "features")
    }


def decode(message: bytes | memoryview) -> DesiredState:
    """Read a message of `encode`."""
    value = orjson.loads(message)
    models = {}
    for name, model in value["models"].items():
        versions = {
            version: VersionPlan(
                **{
                    **one,
                    "settings": ModelSettings(**one["settings"]),
                    "checks": tuple(map(Check.from_json, one["checks"])),
                }
            )
            for version, one in model["versions"].items()
        }
        release = model["release"]
        models[name] = ModelPlan(
            model["live"],
            versions,
            model["pending"],
            release_route.from_json(release) if release else None,
        )
    return DesiredState(
        value["generation"],
        models,
        value["repository"],
        value["is_settled"],
        value.get("is_signed", False),
    )


class Damaged(Exception):
    """The file is not what control saved."""


def sealed(message: bytes) -> bytes:
    """Return a message of `encode` as it stands in the file: after a line with its checksum.

    A flipped bit may leave good JSON that names another version.
    """
    return b"%08x\n%b" % (zlib.crc32(message), message)


def open_file(settings: Settings) -> DesiredState | None:
    """Return the last desired state that control saved for a repository, None if it saved none.

    One from before versions had to be signed is none: nobody knows whether they are.

    Raises:
        OSError: there is a file, and it cannot be read.
        Damaged: it can, and is not what was saved.

    """
    try:
        content = (settings.state_dir / FILE_NAME).read_bytes()
    except FileNotFoundError:
        return None
    message = content[content.find(b"\n") + 1 :]
    if content != sealed(message):
        raise Damaged(f"{FILE_NAME} does not have its checksum")
    try:
        state = decode(message)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{FILE_NAME} is not of this version") from error
    is_trusted = state.is_signed or settings.signers_path is None
    return state if is_trusted and state.repository == str(settings.repository) else None


def read_file(settings: Settings) -> DesiredState | None:
    """Return the last desired state, None if there is none that can be read, for any reason."""
    try:
        return open_file(settings)
    except (OSError, Damaged):
        return None
