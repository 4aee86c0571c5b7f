"""Targets have names; others are refused with those that there are."""

import contextlib
from pathlib import Path

import numpy as np
import pytest

from loadtests import bench_models
from loadtests.peers.catalogue import PEERS
from loadtests.proof.catalogue import Unknown, parse
from loadtests.proof.contestants import Missing, Stand, beside_parts, names, start

WORKLOADS = bench_models.WORKLOADS


def test_a_scenario_adds_the_gateways_and_the_loop_that_it_asks_for() -> None:
    """The first target is what the others are compared with, the loop comes last."""
    scenario = parse("mlp-json-1/64/unmonitored/shadow/bare", WORKLOADS)

    found = names(scenario, ["tidegate", "plain"], ["mine=9000=serve --fast"])

    assert found == [
        "tidegate",
        "plain",
        "tidegate without monitoring",
        "tidegate with a shadow",
        "mine",
        "bare",
    ]


def test_every_peer_is_a_target() -> None:
    """What can be installed can be measured."""
    scenario = parse("mlp-json-1/64", WORKLOADS)

    assert names(scenario, [*PEERS], []) == [*PEERS]


def test_an_unknown_target_is_refused_with_those_that_there_are() -> None:
    """So is another server whose port nobody knows."""
    scenario = parse("mlp-json-1/64", WORKLOADS)

    with pytest.raises(Unknown, match="no target is called 'tritn'; there are tidegate, plain, "):
        names(scenario, ["tritn"], [])
    with pytest.raises(Unknown, match="'mine=serve' must be NAME=PORT=COMMAND"):
        names(scenario, ["tidegate"], ["mine=serve"])


def test_commands_of_other_servers_may_have_equal_signs() -> None:
    """Only the first two part it."""
    assert beside_parts("mine=9000=serve --port=9000") == ("mine", 9000, "serve --port=9000")


def test_who_cannot_take_the_workload_is_missing_with_the_reason(tmp_path: Path) -> None:
    """Nothing is started, and the others go on."""
    pool = bench_models.pool("digits-binary-1")[:1]
    stand = Stand(tmp_path, pool, [np.zeros(10)])

    with contextlib.ExitStack() as stack, pytest.raises(Missing, match="it takes JSON only"):
        start("bentoml", stand, 1, {}, stack)
    with contextlib.ExitStack() as stack, pytest.raises(Missing, match="mine did not start"):
        start("mine", stand, 1, {"mine": (1, "false")}, stack)
