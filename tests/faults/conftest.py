"""One gateway for tests of models that fail their callers and leave everything else as it was."""

from collections.abc import Iterator

import pytest

from tests.support import models
from tests.support.gateway import Gateway, running

FAULTY = {
    "good": models.affine(),
    "loops": models.loop(),
    "kernel": models.kernel(),
    "raises": models.gather(),
    "nan": models.rooted(),
}


@pytest.fixture(scope="session")
def faulty_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Two workers with the models of FAULTY."""
    root = tmp_path_factory.mktemp("faulty")
    for name, content in FAULTY.items():
        models.put(root / "models", name, 1, content)
    with running(root / "models", root / "state", workers=2) as gateway:
        yield gateway
