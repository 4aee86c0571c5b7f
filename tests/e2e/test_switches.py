"""Switching the live version under load, and losing control or a worker while doing so."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support.gateway import eventually
from tests.support.workshop import Workshop, steady_client, workshop

SWITCHES = 60


def test_no_request_fails_while_versions_are_switched(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Every answer names the version that made it and has its numbers, through every switch."""
    with workshop(tmp_path_factory, workers=2, watch="off") as shop:
        for version in (1, 2):
            shop.put("switched", version, offset=version)
        assert shop.gateway.load("switched").status == 200

        with steady_client(shop.gateway, "switched", {"1": 1, "2": 2}, connections=2) as seen:
            for number in range(SWITCHES):
                version = number % 2 + 1
                policy = {"version_policy": {"specific": {"versions": [version]}}}
                answer = shop.gateway.load("switched", config=json.dumps(policy))
                assert answer.status == 200, answer.body
                live = [row["version"] for row in answer.json["versions"] if row["live"]]
                assert live == [str(version)]
                assert shop.offset("switched") == version

        assert min(seen.answers["1"], seen.answers["2"]) > 0


def test_control_may_die_and_come_back_without_a_failed_request(start: StartGateway) -> None:
    """Workers serve on without control; the next one knows everything and switches again."""
    with start(workers=2) as gateway:
        shop = Workshop(gateway, gateway.state_dir.parent / "models")
        shop.put("lasting", 1, offset=1)
        shop.until_live("lasting", 1)
        generation = gateway.metric("tidegate_generation")

        with steady_client(gateway, "lasting", {"1": 1, "2": 2}) as seen:
            _kill_control(gateway.children()["control"])
            shop.until_live("lasting", 1)
            assert gateway.metric("tidegate_generation") >= generation
            shop.put("lasting", 2, offset=2)
            shop.until_live("lasting", 2)
            eventually(lambda: seen.answers["2"])


def test_control_that_finds_no_repository_takes_nothing_away(start: StartGateway) -> None:
    """A control that starts while the repository cannot be read leaves workers what they serve."""
    with start(workers=1) as gateway:
        repository: Path = gateway.state_dir.parent / "models"
        shop = Workshop(gateway, repository)
        shop.put("kept", 1, offset=1)
        shop.until_live("kept", 1)

        with steady_client(gateway, "kept", {"1": 1}):
            repository.rename(repository.with_name("away"))
            _kill_control(gateway.children()["control"])
            eventually(lambda: gateway.metric("tidegate_repository_readable") == 0)
            eventually(lambda: gateway.metric("tidegate_workers_connected") == 1)
            # Long enough for several looks at the repository.
            polls = gateway.metric('tidegate_process_cpu_seconds_total{process="control"}')
            eventually(
                lambda: (
                    gateway.metric('tidegate_process_cpu_seconds_total{process="control"}') > polls
                )
            )
            repository.with_name("away").rename(repository)
            shop.until_live("kept", 1)


def _kill_control(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
