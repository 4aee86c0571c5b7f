"""A real gateway with shadows: what candidates do is seen, and no request notices."""

import functools
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support import gateway as gateways
from tests.support import models
from tests.support.gateway import Gateway, call, is_running

pytestmark = pytest.mark.alone
eventually = functools.partial(gateways.eventually, seconds=60.0)
"""The shadow process runs when no other wants to: on a busy machine, late."""

FLIPPED = 0.4
"""Between the boundaries of the versions: they answer with another label there."""


def ask(gateway: Gateway, *firsts: float) -> list[int]:
    """Ask with a row for each number; return the labels."""
    tensor = {
        "name": "x",
        "datatype": "FP32",
        "shape": [len(firsts), 2],
        "data": [value for first in firsts for value in (first, 0.0)],
    }
    answer = gateway.infer("m", [tensor])
    assert answer.status == 200, answer.body
    labels: list[int] = answer.json["outputs"][0]["data"]
    return labels


def start_shadow(gateway: Gateway, version: str) -> None:
    """Make a version a shadow of all batches."""
    body = {"version": version, "sample_bp": 10_000, "actor": "test"}
    answer = call(f"{gateway.control}/v1/models/m/release/shadow", body)
    assert answer.status == 200, answer.body


def pairs(gateway: Gateway, version: str) -> dict[str, float]:
    """Return how many pairs of a candidate are of which kind, without those of none."""
    found = re.findall(
        rf'^tidegate_shadow_pairs_total{{kind="(\w+)",model="m",version="{version}"}} (.*)$',
        gateway.metrics(),
        re.MULTILINE,
    )
    return {kind: float(count) for kind, count in found if float(count)}


def shadow_pid(gateway: Gateway) -> int:
    """Return the process id of the shadow process."""
    return gateway.children()["shadow"]


def put_versions(repository: Path) -> None:
    """Write a model whose live version has its boundary at 0, and two candidates."""
    models.put(repository, "m", 1, models.classifier(0.0))
    models.put(repository, "m", 2, models.classifier(1.0))
    models.put(repository, "m", 3, models.nan_classifier())
    (repository / "m" / "model.toml").write_text(
        'release = "manual"\nversion_policy = "specific:1"\n'
        "[shadow]\nredact = ['x']\n[shadow.segments]\n'x[1]' = [0]\n"
    )


@pytest.fixture
def gateway(start: StartGateway, repository: Path) -> Iterator[Gateway]:
    put_versions(repository)
    with start() as gateway:
        yield gateway


def test_flips_nan_and_a_kill_are_evidence_and_no_request_fails(gateway: Gateway) -> None:
    """The whole way: API, mirror, comparison, metrics, samples, a killed process, and the end."""
    assert "shadow" not in gateway.children()
    start_shadow(gateway, "2")
    start_shadow(gateway, "3")

    def is_compared() -> bool:
        assert ask(gateway, FLIPPED, -2.0) == [1, 0]
        return all(pairs(gateway, version) for version in ("2", "3"))

    eventually(is_compared)
    for _ in range(20):
        ask(gateway, FLIPPED)
    eventually(lambda: pairs(gateway, "2").get("label_flip", 0) >= 20)
    assert eventually(lambda: pairs(gateway, "3").get("nan", 0) >= 20)
    assert "label_flip" not in pairs(gateway, "3")
    samples = call(f"{gateway.control}/v1/models/m/release/mismatches?version=2").json
    flips = [one for one in samples["shadows"][0]["mismatches"] if one["kind"] == "label_flip"]
    assert flips[0]["inputs"] == {"x": "redacted"}
    assert (flips[0]["live"]["label"], flips[0]["candidate"]["label"]) == ([1], [0])

    killed = shadow_pid(gateway)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: shadow_pid(gateway) != killed)
    before = pairs(gateway, "2")["label_flip"]

    def goes_on() -> bool:
        assert ask(gateway, FLIPPED) == [1]
        return pairs(gateway, "2")["label_flip"] > before

    eventually(goes_on)
    running = shadow_pid(gateway)
    for version in ("2", "3"):
        body = {"version": version, "stop": True, "actor": "test"}
        assert call(f"{gateway.control}/v1/models/m/release/shadow", body).status == 200
    eventually(lambda: not is_running(running))
    assert ask(gateway, FLIPPED) == [1]
    assert gateway.stop() == 0
