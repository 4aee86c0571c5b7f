"""The answer of `GET /v1/models/{model}/drift`: what monitoring has to say of a model's versions.

Decides what is told of a version beside its columns: by which reference it is watched, how far the
learning of one has come, what its budget of false alarms is.

Concurrency: what is told is gathered on the event loop, and worked out on a thread.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from server.controlplane.watched import Watched
from server.monitoring import report
from server.monitoring.report import Snapshot

Json = dict[str, Any]


async def drift_report(name: str, live: str | None, watched: Sequence[Watched], now: float) -> Json:
    """Return the report of a model, of the versions given."""
    parts = [
        (_head(one, live), one.observer.snapshot(now) if one.observer is not None else None)
        for one in watched
    ]
    versions = await asyncio.to_thread(lambda: [_version(*part) for part in parts])
    return {"model": name, "live": live, "generated_seconds": now, "versions": versions}


def _head(watched: Watched, live: str | None) -> Json:
    head: Json = {
        "version": watched.version,
        "is_live": watched.version == live,
        "state": "watching" if watched.observer is not None else "learning",
        "rows": watched.rows,
    }
    if watched.learning is not None:
        head["learned_rows"] = watched.learning.rows
    observer = watched.observer
    if observer is None:
        return head
    profile, rule = observer.profile, observer.judge.rule
    return head | {
        "reference": {
            "is_self_reference": profile.is_self_reference,
            "name": profile.created_from.name,
            "rows": profile.created_from.rows,
            "hash": profile.hash,
            "cycle": None if profile.hours is None else profile.hours.cycle.value,
            "halves_differ": [
                {"column": one.column, "words": one.words, "effect": one.effect}
                for one in watched.halves
            ],
        },
        "budget": {
            "false_alarms_per_month": observer.limits.alarms_per_month,
            "alpha": rule.alpha,
            "min_rows": rule.min_rows,
            "consecutive": rule.consecutive,
        },
        "evaluated_seconds": observer.evaluated,
        "held_bytes": observer.held_bytes,
    }


def _version(head: Json, snapshot: Snapshot | None) -> Json:
    if snapshot is None:
        return head | {"windows": [], "alerts": [], "performance": None, "columns": []}
    return head | {
        "windows": report.describe_windows(snapshot),
        "alerts": report.whole_alerts(snapshot),
        "performance": report.performance(snapshot),
        "columns": report.report_columns(snapshot),
    }
