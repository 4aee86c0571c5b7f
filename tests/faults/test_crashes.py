"""Models that kill their worker: who pays for it, who does not, and what becomes of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import models
from tests.support.clients import ROW
from tests.support.gateway import Gateway, Reply, call, eventually, running

KILLER = -2
"""The number for which `models.crashing` traps the processor."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Two workers; a good model, one with a version that crashes, one with weights in a file."""
    root = tmp_path_factory.mktemp("crashes")
    repository = root / "models"
    models.put(repository, "good", 1, models.affine())
    models.put(repository, "bad", 1, models.identity("INT32", ("N", 1)))
    models.put(repository, "bad", 2, models.crashing())
    (repository / "bad" / "model.toml").write_text('version_policy = "all"\n')
    models.with_external_data(repository / "mapped" / "1")
    with running(repository, root / "state", workers=2) as started:
        yield started


def ask(gateway: Gateway, *numbers: int) -> Reply:
    """Ask the model that crashes on one number, with a row for each."""
    tensor = {"name": "x", "datatype": "INT32", "shape": [len(numbers), 1], "data": numbers}
    return gateway.infer("bad", [tensor])


def kill(gateway: Gateway, *numbers: int) -> None:
    """Ask for what kills the worker; wait for another one."""
    faults = len(gateway.logged("version_fault"))
    with pytest.raises(ConnectionError):
        ask(gateway, *numbers)
    eventually(lambda: len(gateway.logged("version_fault")) > faults)
    check_good(gateway)
    eventually(lambda: gateway.metric("tidegate_workers_connected") == 2)
    eventually(lambda: call(gateway.control + "/v2/health/ready").status == 200)


def check_good(gateway: Gateway) -> None:
    """See that the other worker answers meanwhile as ever."""
    answer = eventually(lambda: gateway.infer("good", ROW))
    assert (answer.status, answer.json["outputs"][0]["data"]) == (200, [3.0, 5.0, 7.0])


def test_a_request_that_kills_twice_is_refused(gateway: Gateway) -> None:
    """Its worker is replaced each time; the third time it does not come to the model."""
    assert ask(gateway, 1).json["model_version"] == "2"
    kill(gateway, KILLER)
    (fault,) = gateway.logged("version_fault")
    assert (fault["model"], fault["version"], fault["kind"]) == ("bad", "2", "crash")
    assert fault["how"] == "SIGFPE while it was running"
    assert {line["restart_in_seconds"] for line in gateway.logged("ended")} == {0.0}

    kill(gateway, KILLER)

    refused = ask(gateway, KILLER)
    assert (refused.status, refused.json["code"]) == (422, "quarantined")
    assert ask(gateway, 1, 0).status == 200
    (quarantined,) = gateway.logged("quarantined")
    assert quarantined.keys() & {"request", "model", "version"}
    assert gateway.metric("tidegate_quarantined") == 1


def test_a_version_that_keeps_crashing_gives_way_to_the_last_good_one(gateway: Gateway) -> None:
    """After the third crash the version is out, and the one before answers; the audit says why."""
    kill(gateway, KILLER, 5)

    eventually(lambda: ask(gateway, KILLER, 5).json["model_version"] == "1")
    row = gateway.index()["bad", "2"]
    assert (row["state"], row["reason"]) == (
        "UNAVAILABLE",
        "taken out: 3 crashes within 120 seconds",
    )
    history = call(gateway.control + "/v1/models/bad/release/history").json["entries"]
    assert {(one["action"], one["actor"]) for one in history} >= {("fail", "system")}
    sample = 'tidegate_version_faults_total{kind="crash",model="bad",version="2"}'
    assert gateway.metric(sample) == 3
    check_good(gateway)


def test_weights_cut_off_under_the_model_cost_its_worker_only(gateway: Gateway) -> None:
    """Nobody can read what is not there: the system ends the worker, the others go on."""
    (weights,) = (gateway.state_dir / "store").rglob("weights.bin")
    rows = [[1.0] * 1024]
    assert gateway.infer("mapped", rows).status == 200
    _cut_off(weights)

    with pytest.raises(ConnectionError):
        gateway.infer("mapped", rows)

    (fault,) = eventually(
        lambda: [line for line in gateway.logged("version_fault") if line["model"] == "mapped"]
    )
    assert fault["how"] == "SIGBUS while it was running"
    check_good(gateway)


def _cut_off(path: Path) -> None:
    for one in (path.parent, path):
        one.chmod(0o755)
    path.write_bytes(b"")
