"""What labels say of a live version, to monitoring and to whoever asks."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from server.controlplane.realised_view import JUDGE_SECONDS, RealisedView
from server.monitoring.cohorts import Baseline
from server.monitoring.joining import Pairs
from server.monitoring.locating import Version
from server.monitoring.observer import LABELS_WINDOW
from server.monitoring.realised_figures import PairedCounts
from tests.support.predicted import MODEL, FeedbackRig, item, records

OF = Version(MODEL, "1", "d1")


def run(
    tmp_path: Path, scenario: Callable[[FeedbackRig, RealisedView], Coroutine[Any, Any, None]]
) -> None:
    """Run a scenario on a state directory."""

    async def whole() -> None:
        rig = FeedbackRig(tmp_path / "state")
        try:
            await scenario(rig, RealisedView(rig.feedback, rig.store, lambda: rig.now))
        finally:
            await rig.store.close()

    asyncio.run(whole())


async def _hour(rig: FeedbackRig, right: int, rows: int = 300) -> None:
    """Let an hour pass with predictions that get labels at once, so many of them right."""
    ids = rig.predict([0.9] * rows, first=int(rig.now * 1e6))
    await rig.label(*(item(one, int(at < right)) for at, one in enumerate(ids)))
    rig.now += 3600.0


def test_new_labels_are_judged_once_a_minute(tmp_path: Path) -> None:
    """The last hour against the reference; without new labels nothing is said again."""

    async def scenario(rig: FeedbackRig, view: RealisedView) -> None:
        rig.now -= rig.now % 3600.0
        held_to = Baseline(2000, 1800)
        assert view.readings(OF, held_to) == []
        await _hour(rig, right=270)
        await _hour(rig, right=150)
        rig.now += 60.0

        (one, *_) = view.readings(OF, held_to)
        assert (one.window, one.rows) == (LABELS_WINDOW, 300)
        assert one.words == "accuracy by labels down by 0.400 to 0.500"
        assert one.p < 1e-20

        rig.now += JUDGE_SECONDS
        assert view.readings(OF, held_to) == []
        await _hour(rig, right=270)
        rig.now += 60.0
        assert view.readings(OF, held_to) != []
        assert view.readings(Version(MODEL, "2", "d2"), held_to) == []

    run(tmp_path, scenario)


def test_a_label_scores_a_shadow_beside_the_live_version(tmp_path: Path) -> None:
    """Both answered the same request: who was right is counted once, by the first label."""

    async def scenario(rig: FeedbackRig, view: RealisedView) -> None:
        ids = rig.predict([0.9, 0.9, 0.2])
        shadow = records(
            [0.8, 0.1, 0.3], first=rig.next_number - 3, version="2", digest="d2", pinned=[True] * 3
        )
        rig.feedback.take_shadow(shadow)
        told: list[Pairs] = []
        rig.feedback.take_evidence = lambda pairs, _: told.append(pairs)
        assert await rig.label(*(item(one, 1) for one in ids)) == ["joined"] * 3

        assert await rig.label(item(ids[0], 0)) == ["corrected"]

        counts = PairedCounts(both=1, live_only=1, neither=1)
        assert told == [{(OF, Version(MODEL, "2", "d2")): counts}, {}]
        live, other = (await view.report(MODEL, "1", {}))["versions"]
        for one, role, accuracy in ((live, "live", 1 / 3), (other, "shadow", 0.0)):
            assert [(part["role"], part["labelled"]) for part in one["roles"]] == [(role, 3)]
            assert one["roles"][0]["figures"]["accuracy"] == pytest.approx(accuracy, abs=1e-4)

    run(tmp_path, scenario)


def test_the_report_tells_of_each_version(tmp_path: Path) -> None:
    """The live one is marked, and has its estimate beside it."""

    async def scenario(rig: FeedbackRig, view: RealisedView) -> None:
        (one,) = rig.predict([0.9])
        rig.predict([0.1], version="2", digest="d2", pinned=[True])
        await rig.label(item(one, 1))

        report = await view.report(MODEL, "1", {"1": {"live": {}}})

        live, other = report["versions"]
        assert (live["version"], live["is_live"], live["estimated"]) == ("1", True, {"live": {}})
        assert live["roles"][0]["figures"]["accuracy"] == 1.0
        assert (other["version"], other["is_live"], other["estimated"]) == ("2", False, None)
        assert other["roles"][0]["role"] == "pinned"
        assert (report["pairs"], report["warnings"]) == ([], [])
        assert (await view.report("nobody", None, {}))["versions"] == []

    run(tmp_path, scenario)
