"""Shadows and canaries: how far the evidence has come, in words and as a share. Pure.

Decides what "how far" means: of the gates that are required, the one that is furthest from a
decision speaks for the candidate. Knows the gates' report as the release API gives it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.console import words

_VERDICTS = {
    "pass": "all gates pass",
    "fail": "a gate fails",
    "inconclusive": "not decided yet",
    "no_data": "nothing seen yet",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """One candidate."""

    part: str
    """`shadow`, `canary` or `live`, which is judged for a while after a promotion."""
    version: str
    verdict: str
    words: str
    share: float | None
    """Of what has to be seen, how much was; None if that cannot be forecast."""

    @property
    def percent(self) -> int:
        """The share as a whole number for a progress bar."""
        return round(100.0 * (self.share or 0.0))


def progress(report: Mapping[str, Any] | None, weights: Mapping[str, str]) -> list[Progress]:
    """Return each candidate of a report; `weights` are words on what part of the traffic it has."""
    if report is None:
        return []
    judged = [("shadow", one) for one in report["shadows"]]
    judged += [("canary", report["canary"])] if report["canary"] else []
    return [_progress(part, one, weights.get(part, "")) for part, one in judged]


def _progress(part: str, told: Mapping[str, Any], weight: str) -> Progress:
    verdict = _VERDICTS[told["verdict"]]
    return Progress(
        part,
        str(told["version"]),
        told["verdict"],
        f"{weight}, {verdict}" if weight else verdict,
        _share(told["gates"]) if told["verdict"] in ("inconclusive", "no_data") else 1.0,
    )


def _share(gates: Sequence[Mapping[str, Any]]) -> float | None:
    open_gates = [one for one in gates if one["is_required"] and one["verdict"] != "pass"]
    shares = [gate_share(one) for one in open_gates]
    known = [one for one in shares if one is not None]
    return min(known) if known and len(known) == len(shares) else None


def gate_share(gate: Mapping[str, Any]) -> float | None:
    """Return how much of what a gate needs it has seen; None if that cannot be forecast."""
    if gate["verdict"] in ("pass", "fail"):
        return 1.0
    if gate["more"] is None:
        return None
    needed = gate["total"] + gate["more"]
    return float(gate["total"]) / needed if needed else None


def weights(route: Any) -> dict[str, str]:
    """Return in words what part of the traffic each kind of candidate has."""
    told = {}
    if route.shadows:
        told["shadow"] = f"sees {words.weight(route.shadows[0].sample_bp)}"
    if route.canary is not None:
        told["canary"] = f"answers {words.weight(route.canary.weight_bp)}"
    return told
