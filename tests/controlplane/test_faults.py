"""What follows from faults of versions."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from server.controlplane import fault_metrics
from server.controlplane.faults import Faults
from server.release import faults as rule
from server.wire import suspects
from server.wire.fault import Fault, FaultKind
from tests.support.fake_worker import known
from tests.support.routing import Joined, routing

CRASH = Fault("m", "2", "bb", FaultKind.CRASH, 0, "SIGSEGV", ("h1", "h2"))


class Told:
    """Workers that keep what they are told of suspects."""

    def __init__(self) -> None:
        self.messages: list[dict[str, dict[str, float]]] = []

    def suspect(self, message: bytes) -> None:
        self.messages.append(suspects.decode(message))


def with_faults(root: Path, limit: int, check: Callable[[Joined, Faults, Told], None]) -> None:
    """Give a check the faults of a model with two versions."""

    async def run() -> None:
        models = {"m": known("m", "all", v1="aa", v2="bb")}
        async with routing(root, models) as joined:
            told = Told()
            faults = Faults(models, joined.releases, told, limit, lambda: joined.now)
            check(joined, faults, told)

    asyncio.run(run())


def is_out(joined: Joined) -> bool:
    """Whether version 2 has been taken out."""
    return bool(rule.failure(joined.releases.route("m"), "bb"))


def test_a_version_that_keeps_crashing_is_taken_out(tmp_path: Path) -> None:
    """By the system, for all to read, with the last fault as evidence."""

    def check(joined: Joined, faults: Faults, _told: Told) -> None:
        faults.take(CRASH)
        faults.take(replace(CRASH, kind=FaultKind.HANG))
        assert not is_out(joined)

        faults.take(CRASH)

        assert is_out(joined)
        change = joined.releases.last["m"]
        assert (change.action, change.actor) == ("fail", "system")
        assert change.reason == "2 crashes and 1 hang within 120 seconds"
        assert change.evidence["last_fault"]["how"] == "SIGSEGV"

    with_faults(tmp_path, 3, check)


def test_faults_that_are_far_apart_do_not_add_up(tmp_path: Path) -> None:
    """One crash an hour is no reason to take a version out."""

    def check(joined: Joined, faults: Faults, _told: Told) -> None:
        for _ in range(6):
            faults.take(CRASH)
            joined.now += rule.WINDOW_SECONDS * 0.6
        assert not is_out(joined)

    with_faults(tmp_path, 3, check)


def test_other_files_do_not_answer_for_those_before(tmp_path: Path) -> None:
    """A fault of files that have been replaced, or of a model that has gone, changes nothing."""

    def check(joined: Joined, faults: Faults, _told: Told) -> None:
        for other in (replace(CRASH, digest="cc"), replace(CRASH, model="n")):
            for _ in range(4):
                faults.take(other)
        assert joined.releases.routes == {}

    with_faults(tmp_path, 3, check)


def test_without_a_limit_nothing_is_taken_out(tmp_path: Path) -> None:
    """An operator may want to keep a version whatever it does."""

    def check(joined: Joined, faults: Faults, _told: Told) -> None:
        for _ in range(20):
            faults.take(CRASH)
        assert not is_out(joined)
        assert faults.counts["m", "2", "crash"] == 20

    with_faults(tmp_path, 0, check)


def test_workers_are_told_of_suspects(tmp_path: Path) -> None:
    """Who ran is run alone; who was alone the next time is refused."""

    def check(joined: Joined, faults: Faults, told: Told) -> None:
        faults.take(CRASH)
        joined.now += 1.0
        faults.take(replace(CRASH, suspects=("h1",), was_alone=True))

        first, second = told.messages
        assert first == {"m": {"h1": 0.0, "h2": 0.0}}
        assert second == {"m": {"h1": 600.0, "h2": 0.0}}
        assert faults.quarantines == 1

    with_faults(tmp_path, 3, check)


def test_what_the_supervisor_says_may_be_nonsense(tmp_path: Path) -> None:
    """A report that cannot be read is logged, and the next one is taken."""

    def check(_joined: Joined, faults: Faults, _told: Told) -> None:
        faults.reported({"fault": {"model": "m"}})
        faults.reported({"other": 1})
        faults.reported({"fault": CRASH.to_json()})
        assert faults.counts == {("m", "2", "crash"): 1}

    with_faults(tmp_path, 3, check)


def test_metrics_name_models_that_are_there(tmp_path: Path) -> None:
    """Faults by version and kind, and how many requests are treated apart."""

    def check(_joined: Joined, faults: Faults, _told: Told) -> None:
        faults.take(CRASH)
        faults.take(replace(CRASH, model="gone", suspects=()))

        samples = [
            (sample.name, sample.labels, sample.value)
            for family in fault_metrics.collect(faults, {"m"})
            for sample in family.samples
        ]
        labels = {"model": "m", "version": "2", "kind": "crash"}
        assert samples == [
            ("tidegate_version_faults_total", labels, 1),
            ("tidegate_suspects", {}, 2),
            ("tidegate_quarantined", {}, 0),
        ]

    with_faults(tmp_path, 3, check)
