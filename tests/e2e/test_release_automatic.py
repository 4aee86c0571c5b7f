"""A real gateway whose releases go on by themselves: a bad version stops, a good one goes live."""

import contextlib
import functools
import http.client
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import StartGateway
from tests.support import gateway as gateways
from tests.support import models
from tests.support.gateway import Gateway, call

pytestmark = pytest.mark.alone
eventually = functools.partial(gateways.eventually, seconds=90.0)
"""The shadow process runs when no other wants to: on a busy machine, late."""

TABLES = """
release = "automatic"
[gates]
off = ["slow", "scores"]         # They need more pairs than a test has time for.
min_pairs = 150
min_seconds = 1
errors.budget = 0.05
disagreement.budget = 0.05
canary_errors.budget = 0.05
canary_slow.budget = 0.5         # The machine may be busy.
[canary]
steps = [5000]
min_seconds = 1
min_requests = 50
"""


@contextlib.contextmanager
def asked(gateway: Gateway) -> Iterator[Counter[tuple[int, str]]]:
    """Keep asking with one row after another; give the answers by status and version."""
    seen: Counter[tuple[int, str]] = Counter()
    is_over = threading.Event()

    def ask() -> None:
        generator = random.Random(3)
        connection = http.client.HTTPConnection(urlsplit(gateway.data).netloc, timeout=60)
        while not is_over.is_set():
            tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2]}
            data = [generator.gauss(0.0, 1.0), 0.0]
            body = json.dumps({"inputs": [{**tensor, "data": data}]})
            connection.request("POST", "/v2/models/m/infer", body)
            answer = connection.getresponse()
            answer.read()
            seen[answer.status, answer.headers["x-model-version"]] += 1
        connection.close()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield seen
    finally:
        is_over.set()
        asking.join()


def release(gateway: Gateway) -> Any:
    """Return how the release stands."""
    return call(f"{gateway.control}/v1/models/m/release").json


def changes(gateway: Gateway) -> list[tuple[str, str]]:
    """Return who did what, oldest first."""
    entries = call(f"{gateway.control}/v1/models/m/release/history").json["entries"]
    return [(one["action"], one["actor"]) for one in reversed(entries)]


def test_a_bad_version_is_stopped_and_a_good_one_goes_live_by_itself(
    start: StartGateway, repository: Path
) -> None:
    """Nobody calls anything; what stopped the one is in the release state, and no request fails."""
    models.put(repository, "m", 1, models.classifier(0.0))
    (repository / "m" / "model.toml").write_text(TABLES)
    with start() as gateway, asked(gateway) as answers:
        eventually(lambda: release(gateway)["live"] == "1")
        models.put(repository, "m", 2, models.nan_classifier())
        eventually(lambda: release(gateway)["refused"])
        (reason,) = release(gateway)["refused"].values()
        assert reason.startswith("shadow '2': ")
        assert "errors: fail; 1 " in reason
        assert changes(gateway) == [
            ("set_live", "policy"),
            ("start_shadow", "automatic"),
            ("refuse", "automatic"),
        ]

        models.put(repository, "m", 3, models.classifier(0.001))
        eventually(lambda: release(gateway)["live"] == "3")
        assert changes(gateway)[3:] == [
            ("start_shadow", "automatic"),
            ("start_canary", "automatic"),
            ("promote", "automatic"),
        ]
        eventually(lambda: release(gateway)["gates"]["live"]["gates"][0]["total"] > 0)
        assert 'gate="live_errors",model="m",part="live"' in gateway.metrics()
        assert release(gateway)["previous"] == "1"
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {"1", "3"}
