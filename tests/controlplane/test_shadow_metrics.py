"""Metrics of shadows say what the feed has seen."""

from collections import Counter
from pathlib import Path

from server.controlplane import shadow_metrics
from server.release.evidence import Kind, ShadowEvidence
from server.wire.shadow import ShadowStatus
from tests.controlplane.test_shadow_feed import Scene
from tests.support.batches import on_loop


def samples_of(scene: Scene) -> dict[tuple[str, ...], float]:
    """Return all samples by name and labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in shadow_metrics.collect(scene.feed)
        for sample in family.samples
    }


def test_everything_that_was_seen_is_exported(tmp_path: Path) -> None:
    """Counts by model and version, 0 for what was not seen, and how the process is."""

    async def check() -> None:
        scene = Scene(tmp_path)
        scene.feed.totals["m", "2"] = ShadowEvidence(
            pairs=Counter(same=5, nan=1),
            noise=Counter(same=2),
            dropped=Counter(size=3),
            findings=Counter(hang=1),
            sampled_batches=7,
            timed_rows=9,
            candidate_cpu_seconds=0.5,
            live_cpu_seconds=0.25,
            score_differences=[4, 2, *[0] * 12],
            score_difference=0.5,
        )
        scene.feed.findings.suspended.add(("m", "2", "e"))
        scene.feed.status = ShadowStatus(1, waiting_records=4)
        scene.feed.throttle.share = 0.5
        name = "tidegate_shadow_"

        found = samples_of(scene)
        apart = {key: found.pop(key) for key in list(found) if "score_difference" in key[0]}
        assert apart[f"{name}score_difference_bucket", "m", "2", "1e-06"] == 4
        assert apart[f"{name}score_difference_bucket", "m", "2", "+Inf"] == 6
        assert apart[f"{name}score_difference_sum", "m", "2"] == 0.5
        assert {key: value for key, value in found.items() if value} == {
            (f"{name}sampled_batches_total", "m", "2"): 7,
            (f"{name}dropped_batches_total", "m", "2", "size"): 3,
            (f"{name}pairs_total", "m", "2", "same"): 5,
            (f"{name}pairs_total", "m", "2", "nan"): 1,
            (f"{name}noise_pairs_total", "m", "2", "same"): 2,
            (f"{name}findings_total", "m", "2", "hang"): 1,
            (f"{name}cpu_seconds_total", "m", "2", "candidate"): 0.5,
            (f"{name}cpu_seconds_total", "m", "2", "live"): 0.25,
            (f"{name}timed_rows_total", "m", "2"): 9,
            (f"{name}suspended", "m", "2"): 1,
            (f"{name}running",): 1,
            (f"{name}waiting_records",): 4,
            (f"{name}share",): 0.5,
        }
        kinds = {key[3] for key in found if key[0] == f"{name}pairs_total"}
        assert kinds == set(Kind)

    on_loop(check)


def test_without_shadows_there_are_families_and_no_counts(tmp_path: Path) -> None:
    """A scrape before the first shadow says that nothing runs."""

    async def check() -> None:
        name = "tidegate_shadow_"
        assert samples_of(Scene(tmp_path)) == {
            (f"{name}running",): 0,
            (f"{name}waiting_records",): 0,
            (f"{name}share",): 1,
        }

    on_loop(check)
