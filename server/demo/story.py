"""What happens in the demo, and when.

Decides the scenes and how rows are spoilt; knows no clock, gateway or terminal. Times are seconds
since the gateway was ready.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from server.tensors import Array

MODEL, CANDIDATE = "breast-cancer", "3"
SPOILT_COLUMN = 0
"""The mean radius."""
SPOILT_FACTOR = 10.0
_ACTOR = "demo"


@dataclass(frozen=True, slots=True)
class Scene:
    """Something that is done, and what a spectator should look at."""

    at_seconds: float
    title: str
    look: str
    """What to look at, in words; `{control}` is the address of the control port."""
    action: str = ""
    """The release call that is made, if one is."""
    members: Mapping[str, Any] | None = None
    """What it is told."""
    brings_candidate: bool = False
    """Whether the candidate's files are put into the repository."""


SCENES = (
    Scene(
        0.0,
        "traffic begins: four models, real rows, some labels",
        "the overview: {control}/",
    ),
    Scene(
        10.0,
        f"somebody puts version {CANDIDATE} of {MODEL} into the repository; it waits",
        "tidegate model list --url {control}",
        brings_candidate=True,
    ),
    Scene(
        25.0,
        f"version {CANDIDATE} of {MODEL} is run on copies of live rows; callers notice nothing",
        "what it would have answered: {control}/models/" + MODEL + "/release",
        "shadow",
        {"version": CANDIDATE, "reason": "trained on fewer columns", "actor": _ACTOR},
    ),
    Scene(
        60.0,
        "a pipeline begins to send the mean radius in another unit, ten times larger",
        "an alert within half a minute: {control}/models/" + MODEL + "/drift",
    ),
    Scene(
        105.0,
        f"somebody lets version {CANDIDATE} through, although its gates say no",
        "who, why and with which figures: {control}/models/" + MODEL + "/release",
        "promote",
        {
            "version": CANDIDATE,
            "override": True,
            "reason": "in a hurry",
            "actor": _ACTOR,
        },
    ),
    Scene(
        135.0,
        "and takes it back: what answered before answers at once",
        f"the audit: tidegate release history {MODEL} --verify --url {{control}}",
        "rollback",
        {"reason": "labels say that it is worse", "actor": _ACTOR},
    ),
    Scene(
        165.0,
        "the pipeline is mended; traffic goes on until Ctrl-C",
        "how alerts end: {control}/models/" + MODEL + "/drift",
    ),
)

SPOILT_SECONDS = (60.0, 165.0)
"""From when to when rows are spoilt."""


def due(after: float, now: float) -> list[Scene]:
    """Return the scenes after one moment and up to another, in order."""
    return [scene for scene in SCENES if after < scene.at_seconds <= now]


def spoilt(model: str, inputs: Mapping[str, Array], now: float) -> dict[str, Array]:
    """Return the inputs of a request as they are sent at `now`: a row's own, or spoilt ones."""
    begin, end = SPOILT_SECONDS
    if model != MODEL or not begin <= now < end:
        return dict(inputs)
    (name, rows), *_ = inputs.items()
    changed = np.array(rows)
    changed[:, SPOILT_COLUMN] *= SPOILT_FACTOR
    return {name: changed}
