"""What the control port may say of a release, for commands that print it."""

import json
from typing import Any

from server.release.route import Canary, ReleaseRoute, Shadow, to_json

BEFORE = ReleaseRoute("m", 6, live="1", live_digest="a" * 64)
ROUTE = ReleaseRoute(
    "m",
    7,
    live="2",
    live_digest="b" * 64,
    live_since_seconds=1_790_000_000.0,
    previous="1",
    previous_digest="a" * 64,
    canary=Canary("3", "c" * 64, (100, 2500), 1, 1_790_000_000.0, "5", "m/5"),
    shadows=(Shadow("4", "d" * 64, 250, "6", 1_790_000_000.0),),
)


def _told(route: ReleaseRoute) -> Any:
    """Return a release state as it comes over HTTP."""
    return json.loads(json.dumps(to_json(route)))


STATUS: dict[str, Any] = {
    **_told(ROUTE),
    "mode": "manual",
    "versions": [
        {
            "version": "4",
            "digest": "d" * 64,
            "state": "shadow",
            "reason": "sees 2.5 % of the live batches",
            "incompatible": ["output 'y' is INT64, and was FP32"],
        },
        {
            "version": "3",
            "digest": "c" * 64,
            "state": "canary",
            "reason": "step 2 of 2, answers 25 % of the requests",
            "incompatible": [],
        },
        {"version": "2", "digest": "b" * 64, "state": "live", "reason": "", "incompatible": []},
    ],
    "workers": [
        {"worker": 0, "pid": 10, "generation": 7},
        {"worker": 1, "pid": 11, "generation": 7},
    ],
    "unwritten_changes": 0,
    "last_change": {
        "action": "promote",
        "actor": "ann",
        "reason": "better [on] new data",
        "at_seconds": 1_790_000_000.0,
    },
    "gates": {
        "shadows": [
            {
                "version": "4",
                "epoch": "6",
                "verdict": "fail",
                "gates": [
                    {
                        "gate": "disagreement",
                        "verdict": "fail",
                        "words": "disagreement: fail; 3.1 % of 900 pairs",
                    },
                    {"gate": "accuracy", "verdict": "no_data", "words": "accuracy: no data"},
                ],
            }
        ],
        "canary": None,
        "live": None,
        "waits_for": "someone other than ann must approve",
    },
}

CHANGED: dict[str, Any] = {
    "model": "m",
    "action": "promote",
    "generation": 7,
    "before": _told(BEFORE),
    "after": _told(ROUTE),
    "durable": True,
    "repeated": False,
    "acknowledged": True,
    "workers_behind": [],
}

HISTORY: dict[str, Any] = {
    "model": "m",
    "entries": [
        {
            "seq": 7,
            "to_generation": 7,
            "at_seconds": 1_790_000_000.0,
            "actor": "ann",
            "action": "promote",
            "before": _told(BEFORE),
            "after": _told(ROUTE),
            "reason": "better [on] new data",
        }
    ],
    "unwritten_changes": 0,
}
