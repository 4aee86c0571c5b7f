"""Releases when things go wrong: a version that hangs, and a machine that kills everything."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

from tests.conftest import StartGateway
from tests.support import models
from tests.support.clients import ROW
from tests.support.gateway import Gateway, Reply, call, eventually, is_running

HUGE = 2**60
MANUAL = 'version_policy = "all"\nrelease = "manual"\n'


def change(gateway: Gateway, name: str, **members: Any) -> Reply:
    """Call for a change of the release of model m."""
    return call(f"{gateway.control}/v1/models/m/release/{name}", members)


def until_loaded(gateway: Gateway, version: str) -> None:
    """Wait until every worker has a version."""
    eventually(lambda: gateway.index()["m", version]["state"] == "READY")


def test_a_roll_back_from_a_version_that_hangs(start: StartGateway, repository: Path) -> None:
    """It returns at once; who runs, waits or comes later is answered by the version before."""
    models.put(repository, "m", 1, models.identity("INT64", ("N", 1)))
    (repository / "m" / "model.toml").write_text(MANUAL + "max_rows = 1\n")
    with start(drain_timeout_seconds=0.0) as gateway:
        until_loaded(gateway, "1")
        models.put(repository, "m", 2, models.loop())
        until_loaded(gateway, "2")
        assert change(gateway, "promote", version="2", reason="hope").status == 200

        replies: list[Reply] = []
        for _ in range(2):
            asking(gateway, replies)
        eventually(lambda: gateway.metric('tidegate_queue_rows{model="m",version="2"}') == 1)
        back = change(gateway, "rollback")

        assert (back.status, back.json["acknowledged"]) == (200, True)
        eventually(lambda: len(replies) == 2)
        assert [reply.headers["x-model-version"] for reply in replies] == ["1", "1"]
        assert ask(gateway).json["model_version"] == "1"


def ask(gateway: Gateway) -> Reply:
    """Ask with a number up to which version 2 counts."""
    tensor = {"name": "x", "datatype": "INT64", "shape": [1, 1], "data": [HUGE]}
    return gateway.infer("m", [tensor])


def asking(gateway: Gateway, replies: list[Reply]) -> threading.Thread:
    """Ask on a thread, which may never have an answer."""

    def run() -> None:
        try:
            replies.append(ask(gateway))
        except OSError:  # The gateway ends first.
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_an_acknowledged_change_survives_the_death_of_everything(
    start: StartGateway, repository: Path
) -> None:
    """All processes are killed as soon as the call returns; the next gateway serves the change."""
    for version in ("1", "2"):
        models.put(repository, "m", version, models.affine(offset=float(version)))
    (repository / "m" / "model.toml").write_text(MANUAL)
    with start() as gateway:
        for version in ("1", "2"):
            until_loaded(gateway, version)
        release = f"{gateway.control}/v1/models/m/release"
        live = eventually(lambda: call(release).json["generation"] and call(release).json["live"])
        other = "2" if live == "1" else "1"
        children = gateway.children().values()

        assert change(gateway, "promote", version=other, reason="better").status == 200
        os.kill(gateway.process.pid, signal.SIGKILL)
        eventually(lambda: not any(map(is_running, children)))

    with start() as gateway:
        assert eventually(lambda: gateway.infer("m", ROW).json["model_version"]) == other
        history = call(f"{gateway.control}/v1/models/m/release/history?verify=1").json
        assert history["is_sound"]
        assert [entry["action"] for entry in history["entries"]] == ["promote", "set_live"]
        assert change(gateway, "rollback").status == 200
        assert gateway.infer("m", ROW).json["model_version"] == live
