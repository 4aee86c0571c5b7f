"""A gateway together with the repository it serves, for tests that change models under it."""

import contextlib
import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support import models
from tests.support.gateway import Gateway, Reply, call, eventually, running

ROW = [[1.0, 2.0, 3.0]]


def offset_of(reply: Reply) -> float:
    """Return which offset an `affine` model with scale 2 must have to answer this to ROW."""
    assert reply.status == 200, reply.body
    first, second, third = reply.json["outputs"][0]["data"]
    assert (second - first, third - first) == (2.0, 4.0), reply.body
    return float(first) - 2.0


@dataclass(frozen=True)
class Workshop:
    """A running gateway and its repository."""

    gateway: Gateway
    repository: Path

    def put(self, name: str, version: int, offset: float) -> Path:
        """Write an affine version whose answers show its offset."""
        return models.put(self.repository, name, version, models.affine(offset=offset))

    def configure(self, name: str, text: str) -> None:
        """Write a model's model.toml."""
        folder = self.repository / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.toml").write_text(text)

    def offset(self, name: str, version: str = "") -> float:
        """Return the offset that a model answers with."""
        return offset_of(self.gateway.infer(name, ROW, version))

    def until_live(self, name: str, version: int | str) -> dict[str, Any]:
        """Wait until a version answers for its model on every worker; return its index row."""

        def row() -> dict[str, Any] | None:
            found = self.gateway.index()[name, str(version)]
            return found if found["live"] and found["state"] == "READY" else None

        found: dict[str, Any] = eventually(row)
        return found

    def until_refused(self, name: str, version: int | str) -> dict[str, Any]:
        """Wait until a version's files count as broken; return its index row."""

        def row() -> dict[str, Any] | None:
            found = self.gateway.index()[name, str(version)]
            return found if found["state"] != "LOADING" and found["reason"] else None

        found: dict[str, Any] = eventually(row)
        return found

    def unload(self, name: str) -> Reply:
        """Call unload."""
        return call(f"{self.gateway.control}/v2/repository/models/{name}/unload", b"")


@contextlib.contextmanager
def workshop(
    factory: pytest.TempPathFactory, prepared: dict[str, bytes] | None = None, **settings: Any
) -> Iterator[Workshop]:
    """Run a gateway on a repository of its own; `prepared` are version 1 of models in it."""
    root = factory.mktemp("workshop")
    (root / "models").mkdir()
    for name, content in (prepared or {}).items():
        models.put(root / "models", name, 1, content)
    with running(root / "models", root / "state", **settings) as gateway:
        yield Workshop(gateway, root / "models")


@dataclass
class Ledger:
    """What a steady client saw."""

    answers: Counter[str] = field(default_factory=Counter)
    """Good answers by the version that they name."""
    failures: list[str] = field(default_factory=list)


@contextlib.contextmanager
def steady_client(
    gateway: Gateway, model: str, offsets: dict[str, float], connections: int = 1
) -> Iterator[Ledger]:
    """Ask an affine model without a pause until the block ends.

    Each answer must have status 200, name a version of `offsets`, and carry the numbers of that
    version; the block's end fails the test if one did not, or if there was none.
    """
    ledger = Ledger()
    stop = threading.Event()
    threads = [
        threading.Thread(target=_ask_until, args=(stop, gateway, model, offsets, ledger))
        for _ in range(connections)
    ]
    for thread in threads:
        thread.start()
    try:
        yield ledger
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not ledger.failures, ledger.failures[:3]
    assert ledger.answers.total() > 0


def _ask_until(
    stop: threading.Event,
    gateway: Gateway,
    model: str,
    offsets: dict[str, float],
    ledger: Ledger,
) -> None:
    parts = urlsplit(gateway.data)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": ROW}
    body = json.dumps({"inputs": [tensor]})
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    with contextlib.closing(connection):
        while not stop.is_set():
            try:
                connection.request("POST", f"/v2/models/{model}/infer", body)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                ledger.failures.append(repr(error))
                return
            value = json.loads(content)
            version = value.get("model_version", "")
            expected = offsets.get(version)
            if answer.status != 200 or expected is None:
                ledger.failures.append(content.decode())
            elif value["outputs"][0]["data"] != [2 + expected, 4 + expected, 6 + expected]:
                ledger.failures.append(f"not the numbers of version {version}: {content!r}")
            else:
                ledger.answers[version] += 1
