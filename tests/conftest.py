"""Fixtures that many tests share; above all, gateways.

A gateway costs two seconds and more to start, so a test takes one that runs already if it can:

* `shared_gateway` for a test that only asks: it has every model of `SHARED_MODELS`.
* `shared_workshop(workers=2, ...)` for a test that puts models in, changes or removes them, or
  calls for releases. Whoever asks for the same settings gets the same gateway, so a test has models
  of names that no other test has, and leaves settings, processes and other models alone.
* `start(...)` for a test that kills a process, stops the gateway, harms its state directory, or
  counts what all models have done. This one is its own.

`make test` runs two files at a time, in no order: what a test needs, it waits for (`eventually`),
files and ports are its own, and other processes are not in its way. A test that waits for a shadow,
which runs only while nobody else wants to, is marked `alone` and comes after all others.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

from tests.support import models
from tests.support.gateway import Gateway, running
from tests.support.workshop import Workshop, workshop

# A failure on somebody's change must come from that change, so the examples of `make test` are the
# same each time; `make explore` is what looks for new ones. Machines differ in speed: no test fails
# because an example took long.
EVERYWHERE = hypothesis.settings(
    deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("repeat", EVERYWHERE, derandomize=True, database=None)
hypothesis.settings.register_profile("explore", EVERYWHERE, derandomize=False, max_examples=1000)
hypothesis.settings.load_profile("repeat")

# Hypothesis also tries the constants of the modules loaded so far. Without them, the examples of
# a test depend on the test alone: not on what ran before it, nor on where the tree lies.
providers._get_local_constants = Constants

StartGateway = Callable[..., AbstractContextManager[Gateway]]
SharedWorkshop = Callable[..., Workshop]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty model repository."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def start(tmp_path: Path, repository: Path) -> StartGateway:
    """Start a gateway on `repository`; the state directory stays for another start."""

    def begin(**settings: Any) -> AbstractContextManager[Gateway]:
        return running(repository, tmp_path / "state", **settings)

    return begin


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all tests that only ask it questions; see `SHARED_MODELS`."""
    root = tmp_path_factory.mktemp("shared")
    for name, content in SHARED_MODELS.items():
        models.put(root / "models", name, 1, content)
    models.put(root / "models", "versions", 1, models.affine(offset=1.0))
    models.put(root / "models", "versions", 2, models.affine(offset=2.0))
    (root / "models" / "versions" / "model.toml").write_text('version_policy = "all"\n')
    # Nothing changes there, so there is little to look for.
    with running(root / "models", root / "state", workers=2, poll_seconds=5) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def shared_workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedWorkshop]:
    """Gateways by their settings, each with a repository that tests put models of their own in."""
    opened: dict[frozenset[tuple[str, Any]], Workshop] = {}
    with contextlib.ExitStack() as open_until_the_end:

        def get(**settings: Any) -> Workshop:
            key = frozenset(settings.items())
            if key not in opened:
                opened[key] = open_until_the_end.enter_context(
                    workshop(tmp_path_factory, **settings)
                )
            return opened[key]

        yield get


SHARED_MODELS = {
    "affine": models.affine(),
    "two-outputs": models.two_outputs(),
    "mixed": models.mixed(),
    "gather": models.gather(),
    "reciprocal": models.reciprocal(),
    "batch-mean": models.batch_mean(),
    "fixed": models.identity("FP32", (1, 3)),
    "open": models.identity("FP32", ("N", "M")),
    "slow": models.slow(),
    **{f"identity-{kind.lower()}": models.identity(kind) for kind in models.ELEMENT_TYPES},
}
