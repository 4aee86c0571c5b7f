"""The page of the gateway: workers, store, settings, and no secret."""

from dataclasses import replace
from pathlib import Path

from server.console.system import SystemFacts, WorkerFacts, view
from server.settings import SECRETS, Settings
from server.store.database import Health
from server.wire.shadow import ShadowStatus
from server.wire.status import Gauges

GAUGES = Gauges(in_flight=3, in_flight_bytes=2048, queued_rows={"m": {"1": 5, "2": 2}})
SETTINGS = Settings.model_validate({"repository": Path("models"), "webhook_secret": "hunter2"})
FACTS = SystemFacts(
    [WorkerFacts(0, 10, 0, 7, GAUGES, 2, is_draining=False)],
    1,
    7,
    3_700.0,
    0.002,
    [("Resident", 3 << 20)],
    Health(),
    1_700_000_000.0,
    [("Batches", 1234)],
    {name: getattr(SETTINGS, name) for name in Settings.model_fields},
    dict.fromkeys(Settings.model_fields, "default") | {"webhook_secret": "TIDEGATE_X"},
)


def test_a_worker_tells_how_busy_it_is() -> None:
    """Queued rows are of all versions together."""
    (worker,) = view(FACTS).workers

    assert (worker.in_flight, worker.queued) == ("3 (2 KiB)", "7 rows")
    assert (worker.generation, worker.is_behind) == ("7", False)


def test_a_worker_that_has_not_said_anything_is_not_idle() -> None:
    """Dashes, and not zeros; and it is behind."""
    silent = WorkerFacts(1, 11, 2, None, None, 0, is_draining=True)

    found = view(replace(FACTS, workers=[silent], wanted_workers=3))

    (worker,) = found.workers
    assert {worker.in_flight, worker.queued, worker.resident, worker.generation} == {"\N{EN DASH}"}
    assert (worker.is_behind, worker.note, found.missing) == (True, "is draining", 2)


def test_the_shadow_is_shown_while_there_are_candidates() -> None:
    """Its process and what it takes; missing is told, and without candidates there is nothing."""
    status = ShadowStatus(77, 3 << 20, 4.0, 9, 0.002, 5, {"m": ["1", "2"], "n": ["4"]})
    found = view(replace(FACTS, shadow=status, is_shadow_wanted=True))

    assert found.shadow[:3] == [("Process", "77"), ("Candidates", "3"), ("Batches that wait", "5")]
    assert ("Memory", "3 MiB") in found.shadow
    assert not found.is_shadow_missing
    assert view(replace(FACTS, is_shadow_wanted=True)).is_shadow_missing
    assert (view(FACTS).shadow, view(FACTS).is_shadow_missing) == ([], False)


def test_no_secret_is_shown() -> None:
    """Only whether there is one."""
    found = view(FACTS)

    assert "hunter2" not in str(found)
    shown = {one.name: one.value for one in [*found.settings, *found.set_settings]}
    assert shown["webhook_secret"] == "set, not shown"
    assert {shown[name] for name in SECRETS} == {"set, not shown", "empty"}


def test_settings_that_somebody_set_are_apart() -> None:
    """With where they come from; the others are all there."""
    found = view(FACTS)

    assert [(one.name, one.origin) for one in found.set_settings] == [
        ("webhook_secret", "TIDEGATE_X")
    ]
    assert len(found.settings) + len(found.set_settings) == len(Settings.model_fields)


def test_a_store_that_cannot_be_written_says_why() -> None:
    """And since when it was last written."""
    health = Health(
        is_writable=False, last_error="no space left", last_write_seconds=1_699_999_940.0
    )

    found = view(replace(FACTS, store=health))

    assert found.store_error == "no space left"
    assert ("Last written", "1 min ago") in found.store
    assert ("Last written", "not yet") in view(FACTS).store
