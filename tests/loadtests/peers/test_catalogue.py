"""Each peer is asked at its own path, started with its own variables, and named when missing."""

import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from loadtests import bench_models
from loadtests.bench_models import Workload, workloads
from loadtests.environments import PeerMissing
from loadtests.peers import catalogue
from loadtests.peers.base import Unsupported
from loadtests.peers.catalogue import PEERS, Program
from loadtests.processes import tree

ROW = Workload("w", "m", {"input": np.ones((1, 4), np.float32)}, is_binary=False)
SIZES = (4, 3, 2)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a folder with a model that is quickly opened."""
    folder = tmp_path / "models" / "m" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(bench_models.dense(SIZES))
    return tmp_path / "models"


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_takes_rows_as_json(name: str) -> None:
    """All do; what else they take is for each to say."""
    request = PEERS[name].request(workloads()["tabular-json-64"])

    assert request.path.startswith("/")
    assert request.headers["Content-Type"] == "application/json"
    assert PEERS[name].name == name


def test_who_takes_no_binary_tensors_says_so() -> None:
    """The figures of binary tensors name these peers as unable, and measure the others."""
    unable = set()
    for name, peer in PEERS.items():
        try:
            peer.request(workloads()["image-binary-1"])
        except Unsupported:
            unable.add(name)

    assert unable == {"mlserver", "bentoml", "litserve"}


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_has_its_program_and_pinned_packages(name: str) -> None:
    """Pins are of exact releases, and name no host."""
    peer = PEERS[name]
    assert isinstance(peer, Program)
    if not peer.has_environment:
        return
    lines = (catalogue.HERE / f"{name}.txt").read_text().splitlines()

    assert [line for line in lines if line and not line.startswith("#") and "==" not in line] == []
    assert any(line.startswith("onnxruntime==") for line in lines)


def test_a_peer_that_cannot_be_installed_is_missing(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason of the installer."""

    def python_of(*_: Path) -> Path:
        raise PeerMissing("no wheel for this Python")

    monkeypatch.setattr(catalogue, "python_of", python_of)
    with (
        pytest.raises(PeerMissing, match="no wheel"),
        PEERS["ray"].start(tmp_path, repository, ROW, 1),
    ):
        pass


def test_a_peer_that_does_not_start_is_missing(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the last line that it has written: this interpreter has not its packages."""
    monkeypatch.setattr(catalogue, "python_of", lambda *_: Path(sys.executable))
    with (
        pytest.raises(PeerMissing, match="litserve"),
        PEERS["litserve"].start(tmp_path, repository, ROW, 1),
    ):
        pass


def test_a_peer_answers_and_leaves_nothing(tmp_path: Path, repository: Path) -> None:
    """The one that needs no environment, all the way: two workers, one answer, no process left."""
    peer = PEERS["plain"]
    with peer.start(tmp_path, repository, ROW, 2) as target:
        request = peer.request(ROW)
        url = f"http://127.0.0.1:{target.port}{request.path}"
        asked = urllib.request.Request(url, request.body, dict(request.headers))
        with urllib.request.urlopen(asked, timeout=30) as answer:
            number = peer.first_number(answer.read(), dict(answer.headers))
        running = list(tree(target.pid))

    assert np.isfinite(number)
    assert len(running) >= 4, "the reaper, the server and its two workers"
    assert not any(Path(f"/proc/{pid}").exists() for pid in running)
