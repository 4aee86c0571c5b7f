"""The page of the gateway itself: workers, control, shadow, store, settings, their origin. Pure.

Decides what of a setting is shown: of a secret, only whether there is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.console import words
from server.settings import SECRETS
from server.store.database import Health
from server.wire.shadow import ShadowStatus
from server.wire.status import Gauges


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One connected worker."""

    worker: int
    pid: int
    restarts: int
    generation: int | None
    """The newest desired state that it has carried out; None before it has said."""
    gauges: Gauges | None
    loaded: int
    """Versions."""
    is_draining: bool


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """What control knows of the gateway."""

    workers: Sequence[WorkerFacts]
    wanted_workers: int
    generation: int
    uptime_seconds: float
    lag_seconds: float
    memory: Sequence[tuple[str, int | None]]
    """Of control: what takes how many bytes."""
    store: Health
    now_seconds: float
    river: Sequence[tuple[str, int]]
    """Of batch records: what was counted, and how many."""
    settings: Mapping[str, Any]
    origins: Mapping[str, str]
    unknown: Sequence[str] = ()
    shadow: ShadowStatus | None = None
    """What the process that runs candidates last said; None while there is none."""
    is_shadow_wanted: bool = False
    """Whether there are candidates for it to run."""


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One worker."""

    worker: int
    pid: int
    restarts: int
    generation: str
    is_behind: bool
    in_flight: str
    queued: str
    connections: str
    lag: str
    resident: str
    dropped: str
    loaded: int
    note: str


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting."""

    name: str
    value: str
    origin: str
    is_set: bool
    """Whether it is not a default."""


@dataclass(frozen=True, slots=True)
class SystemPage:
    """The page."""

    workers: Sequence[WorkerRow]
    missing: int
    """Workers that should be there and are not."""
    generation: int
    uptime: str
    lag: str
    memory: Sequence[tuple[str, str]]
    store: Sequence[tuple[str, str]]
    store_error: str
    river: Sequence[tuple[str, str]]
    shadow: Sequence[tuple[str, str]]
    """Nothing while no candidate is to be run."""
    is_shadow_missing: bool
    set_settings: Sequence[SettingRow]
    settings: Sequence[SettingRow]
    unknown: Sequence[str]


def view(facts: SystemFacts) -> SystemPage:
    """Return the page."""
    settings = [
        _setting(name, value, facts.origins.get(name, "default"))
        for name, value in facts.settings.items()
    ]
    health = facts.store
    written = facts.now_seconds - health.last_write_seconds if health.last_write_seconds else None
    return SystemPage(
        [_worker(one, facts.generation) for one in facts.workers],
        max(0, facts.wanted_workers - len(facts.workers)),
        facts.generation,
        words.age(facts.uptime_seconds),
        words.duration(facts.lag_seconds),
        [(name, words.size(size)) for name, size in facts.memory],
        [
            ("Size", words.size(health.size_bytes)),
            ("Last written", f"{words.age(written)} ago" if written is not None else "not yet"),
            ("Transactions that wait", words.count(health.pending)),
            ("Failed transactions", words.count(health.failures)),
            ("Damaged files set aside", words.count(health.set_aside)),
        ],
        "" if health.is_writable else health.last_error,
        [(name, words.count(number)) for name, number in facts.river],
        _shadow(facts.shadow) if facts.shadow is not None else [],
        facts.is_shadow_wanted and facts.shadow is None,
        [one for one in settings if one.is_set],
        [one for one in settings if not one.is_set],
        facts.unknown,
    )


def _worker(facts: WorkerFacts, generation: int) -> WorkerRow:
    gauges = facts.gauges
    dash = words.NOT_KNOWN
    told = (dash,) * 6
    if gauges is not None:
        queued = sum(rows for one in gauges.queued_rows.values() for rows in one.values())
        told = (
            f"{gauges.in_flight:,} ({words.size(gauges.in_flight_bytes)})",
            words.several(queued, "row"),
            words.count(gauges.connections),
            words.duration(gauges.loop_lag_seconds),
            words.size(gauges.resident_bytes),
            words.count(gauges.records_dropped),
        )
    return WorkerRow(
        facts.worker,
        facts.pid,
        facts.restarts,
        dash if facts.generation is None else str(facts.generation),
        facts.generation != generation,
        *told,
        facts.loaded,
        "is draining" if facts.is_draining else "",
    )


def _shadow(status: ShadowStatus) -> list[tuple[str, str]]:
    return [
        ("Process", str(status.pid)),
        ("Candidates", words.count(sum(map(len, status.loaded.values())))),
        ("Batches that wait", words.count(status.waiting_records)),
        ("Loop late by", words.duration(status.loop_lag_seconds)),
        ("Memory", words.size(status.resident_bytes)),
        ("Processor time", words.duration(status.cpu_seconds)),
    ]


def _setting(name: str, value: Any, origin: str) -> SettingRow:
    if name in SECRETS:
        shown = "set, not shown" if str(value) else "empty"
    else:
        shown = str(value) if value != "" else "empty"
    return SettingRow(name, shown, origin, not origin.startswith("default"))
