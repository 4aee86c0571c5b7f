"""Releases through a whole gateway: operators who race, a store that is locked, restarts."""

import contextlib
import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from server.store import sqlite_file
from tests.conftest import StartGateway
from tests.support import models
from tests.support.gateway import Gateway, Reply, call, eventually
from tests.support.workshop import ROW, Workshop, offset_of, steady_client, workshop

MANUAL: dict[str, Any] = {"release": "manual", "version_policy": "all"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A gateway whose versions go live by an operator only; each test has a model of its own."""
    with workshop(tmp_path_factory, workers=2, **MANUAL) as made:
        yield made


def release(gateway: Gateway, model: str) -> Any:
    """Return how a release stands."""
    return call(f"{gateway.control}/v1/models/{model}/release").json


def ask(gateway: Gateway, model: str, name: str, members: dict[str, Any], **headers: str) -> Reply:
    """Make a call of the release API."""
    return call(f"{gateway.control}/v1/models/{model}/release/{name}", members, **headers)


def actions(gateway: Gateway, model: str) -> list[tuple[str, str]]:
    """Return action and actor of each change of a model, oldest first; the audit is sound."""
    url = f"{gateway.control}/v1/models/{model}/release/history?verify=1"
    history = call(url).json
    assert history["is_sound"], history["problem"]
    return [(one["action"], one["actor"]) for one in reversed(history["entries"])]


def promote(gateway: Gateway, model: str, version: int, **headers: str) -> Reply:
    """Promote a version."""
    members = {"version": version, "reason": "a test", "actor": "ann"}
    return ask(gateway, model, "promote", members, **headers)


def test_of_two_promotions_that_race_one_wins(shop: Workshop) -> None:
    """Both operators looked at one generation; one gets 200, the other 412 and the winner."""
    for version in (1, 2, 3):
        shop.put("raced", version, offset=version)
    for version in (1, 2, 3):
        eventually(partial(_is_loaded, shop.gateway, "raced", version))
    # Its state is put in place by the release policy, a moment after a worker has it.
    before = eventually(partial(_once_live, shop.gateway, "raced"))
    generation, chosen = str(before["generation"]), {1, 2, 3} - {int(before["live"])}
    replies: list[Reply] = []

    def race(version: int) -> None:
        replies.append(promote(shop.gateway, "raced", version, If_Match=generation))

    racers = [threading.Thread(target=race, args=(version,)) for version in chosen]
    with steady_client(shop.gateway, "raced", {"1": 1, "2": 2, "3": 3}):
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()

    won, lost = sorted(replies, key=lambda reply: reply.status)
    assert (won.status, lost.status) == (200, 412)
    assert won.json["acknowledged"]
    assert lost.json["release"]["live"] == won.json["after"]["live"]
    assert shop.offset("raced") == int(won.json["after"]["live"])


def _once_live(gateway: Gateway, model: str) -> Any:
    """Return how a release stands, once one of its versions is live; before that, None."""
    standing = release(gateway, model)
    return standing if standing["live"] is not None else None


def _is_loaded(gateway: Gateway, model: str, version: int) -> bool:
    return bool(gateway.index()[model, str(version)]["state"] == "READY")


def test_a_new_version_waits_for_an_operator_and_a_roll_back_undoes_it(shop: Workshop) -> None:
    """Nothing fails meanwhile, and each answer says by which release state it was given."""
    shop.put("waits", 1, offset=1)
    shop.until_live("waits", 1)
    with steady_client(shop.gateway, "waits", {"1": 1, "2": 2}) as seen:
        shop.put("waits", 2, offset=2)
        eventually(lambda: _is_loaded(shop.gateway, "waits", 2))
        states = {
            one["version"]: one["state"] for one in release(shop.gateway, "waits")["versions"]
        }
        assert states == {"1": "live", "2": "loaded"}
        assert set(seen.answers) <= {"1"}

        assert promote(shop.gateway, "waits", 2).json["acknowledged"]
        answer = shop.gateway.infer("waits", ROW)
        assert (offset_of(answer), answer.headers["x-release-generation"]) == (2, "2")

        back = ask(shop.gateway, "waits", "rollback", {})
        assert (back.status, back.json["acknowledged"], back.json["durable"]) == (200, True, True)
        answer = shop.gateway.infer("waits", ROW)
        assert (offset_of(answer), answer.headers["x-release-generation"]) == (1, "3")
    again = ask(shop.gateway, "waits", "rollback", {})
    assert (again.status, shop.offset("waits")) == (409, 1)


@contextlib.contextmanager
def locked_store(state_dir: Path) -> Iterator[None]:
    """Keep the store from being written, as another program that holds its lock does."""
    with contextlib.closing(sqlite3.connect(state_dir / sqlite_file.FILE_NAME)) as connection:
        connection.isolation_level = None
        eventually(lambda: connection.execute("BEGIN IMMEDIATE"))
        yield


def test_a_roll_back_needs_no_store_and_outlives_control(
    start: StartGateway, repository: Path
) -> None:
    """It is in place at once, kept over a crash of control, and in the audit in the end."""
    for version in (1, 2):
        models.put(repository, "m", version, models.affine(offset=version))
    with start(**MANUAL) as gateway:
        assert promote(gateway, "m", 1).status == 200
        with locked_store(gateway.state_dir):
            back = ask(gateway, "m", "rollback", {"actor": "bob"})
            assert (back.status, back.json["durable"]) == (200, False)
            assert offset_of(gateway.infer("m", ROW)) == 2
            assert gateway.metric("tidegate_release_unwritten_changes") == 1

            os.kill(gateway.children()["control"], signal.SIGKILL)
            eventually(lambda: release(gateway, "m")["live"] == "2")
        after = [("promote", "ann"), ("recover", "system")]
        eventually(lambda: actions(gateway, "m")[-2:] == after)
        assert offset_of(gateway.infer("m", ROW)) == 2


def test_what_was_live_before_answers_when_the_live_version_is_gone_at_the_start(
    start: StartGateway, repository: Path
) -> None:
    """What an operator has decided outlives a restart; version 3, which nobody chose, waits."""
    for version in (1, 2, 3):
        models.put(repository, "m", version, models.affine(offset=version))
    with start(**MANUAL) as gateway:
        assert promote(gateway, "m", 1).status == 200
        assert promote(gateway, "m", 2).status == 200

    shutil.rmtree(repository / "m" / "2")
    with start(**MANUAL) as gateway:
        assert offset_of(gateway.infer("m", ROW)) == 1
        after = [("promote", "ann"), ("promote", "ann"), ("fall_back", "system")]
        eventually(lambda: actions(gateway, "m")[-3:] == after)
