"""Fixtures that many tests share."""

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
    with running(root / "models", root / "state", workers=2) as gateway:
        yield gateway


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
