"""The control port's routes without a socket: what each answers when things are not as usual."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.controlplane import exposition
from server.controlplane.app import MAX_BODY_BYTES, ControlApp, build_app
from tests.support import models
from tests.support.control import ToldWorker, running_control


def _ask(repository: Path, method: str, path: str, *, is_ready: bool = True, **more: Any) -> Any:
    """Ask an application on real parts; return the answer."""

    async def run() -> httpx.Response:
        async with running_control(repository, ToldWorker(0)) as control:
            app = ControlApp(
                control.operations,
                lambda: exposition.collect(control.sources()),
                lambda: is_ready,
                control.monitor,
            )
            transport = httpx.ASGITransport(build_app(app))
            async with httpx.AsyncClient(transport=transport, base_url="http://control") as client:
                return await client.request(method, path, **more)

    return asyncio.run(run())


@pytest.mark.parametrize(("is_ready", "status"), [(True, 200), (False, 503)])
def test_readiness_is_that_of_the_workers(repository: Path, is_ready: bool, status: int) -> None:
    """Control is ready when all workers serve what they should, and alive in any case."""
    ready = _ask(repository, "GET", "/v2/health/ready", is_ready=is_ready)
    live = _ask(repository, "GET", "/v2/health/live", is_ready=is_ready)

    assert (ready.status_code, ready.json()["ready"]) == (status, is_ready)
    assert (live.status_code, live.json()) == (200, {"live": True})


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_bodies_are_bounded(repository: Path, size: int, status: int, is_chunked: bool) -> None:
    """The limit holds to the byte, whether a length is announced or not."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, 65536):
            yield b" " * min(65536, size - start)

    content = pieces() if is_chunked else b" " * size
    answer = _ask(repository, "POST", "/v2/repository/index", content=content)

    assert answer.status_code == status
    if status == 413:
        assert answer.json()["code"] == "payload_too_large"


def test_a_broken_version_has_no_metadata(repository: Path) -> None:
    """A version that could not be checked has no tensors to describe, and the text says so."""
    models.put(repository, "m", 1, models.affine())
    models.put(repository, "m", 2, b"rubbish")

    for path in ("/v2/models/m/versions/2", "/v2/models/m/versions/2/config"):
        answer = _ask(repository, "GET", path)
        assert answer.status_code == 404
        assert answer.json()["error"] == "model 'm' has no version '2' that can be served"
    assert _ask(repository, "GET", "/v2/models/m/versions/2/ready").status_code == 503
    assert _ask(repository, "GET", "/v2/models/m/ready").status_code == 200


def test_a_refused_load_carries_its_fix(repository: Path) -> None:
    """What would help stands in the answer beside what is wrong."""
    models.put(repository, "m", 1, b"rubbish")

    answer = _ask(repository, "POST", "/v2/repository/models/m/load")

    assert answer.status_code == 422
    assert answer.json().keys() == {"error", "code", "request_id", "fix"}


def test_the_callers_id_comes_back_with_an_error(repository: Path) -> None:
    """An id that is safe to log is echoed, another is replaced."""
    known = _ask(repository, "GET", "/v2/models/x", headers={"x-request-id": "mine-1"})
    odd = _ask(repository, "GET", "/v2/models/x", headers={"x-request-id": "a b"})

    assert known.json()["request_id"] == known.headers["x-request-id"] == "mine-1"
    assert odd.json()["request_id"] not in ("a b", "")
