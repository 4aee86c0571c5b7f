"""A real gateway that captures rows: predictions go on whatever happens, and rows are replayed."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from typer.testing import CliRunner

from server.cli import app
from tests.conftest import StartGateway
from tests.support import models
from tests.support.gateway import Gateway, eventually

RNG = np.random.default_rng(0)


def ask(gateway: Gateway, requests: int) -> bool:
    """Send requests of one row each, evenly spread around both boundaries."""
    for first, second in RNG.uniform(-1, 1, (requests, 2)):
        assert gateway.infer("m", [[float(first), float(second)]]).status == 200
    return True


def rows(gateway: Gateway) -> float:
    return gateway.metric('tidegate_capture_rows_total{model="m",version="1"}')


def test_rows_outlive_a_crash_and_show_what_a_candidate_flips(
    repository: Path, start: StartGateway
) -> None:
    """Control is killed, and a disk takes nothing for a while; what was closed is replayed."""
    models.put(repository, "m", 1, models.classifier(0.0))
    (repository / "m" / "model.toml").write_text("capture_bp = 10000\n")
    with start() as gateway:
        folder = gateway.state_dir / "capture"
        ask(gateway, 3)
        eventually(lambda: rows(gateway) == 3)
        (lost,) = folder.glob("m/*/.*.partial")
        os.kill(gateway.children()["control"], signal.SIGKILL)
        ask(gateway, 3)  # Nobody needs control for that.
        eventually(lambda: ask(gateway, 1) and rows(gateway) > 0, seconds=60)
        assert not lost.exists()

        ask(gateway, 100)
        eventually(lambda: rows(gateway) >= 100)
        assert gateway.stop() == 0
        (file,) = folder.rglob("*.parquet")
        captured = pq.read_metadata(file).num_rows
        assert captured >= 100

    models.put(repository, "m", 2, models.classifier(1.0))
    words = [
        "replay",
        "m",
        "2",
        "--capture",
        str(folder),
        "--repository",
        str(repository),
        "--json",
    ]
    done = CliRunner().invoke(app, words)
    document = json.loads(done.stdout)
    assert document["evidence"]["noise"] == {"same": captured}
    assert document["evidence"]["pairs"]["label_flip"] > 20
    assert document["against"]["version"] == "1"


def test_a_folder_that_takes_nothing_costs_rows_only(repository: Path, start: StartGateway) -> None:
    """It is counted and told, and predictions do not notice."""
    models.put(repository, "m", 1, models.classifier(0.0))
    blocked = repository.parent / "blocked"
    blocked.write_text("no folder")
    with start(capture_bp=10_000, capture_dir=blocked) as gateway:
        ask(gateway, 3)
        name = 'tidegate_capture_dropped_batches_total{reason="disk"}'
        eventually(lambda: gateway.metric(name) == 3)
        ask(gateway, 3)
        eventually(lambda: gateway.logged("capture_paused"))
