"""What gates say, for Prometheus."""

from pathlib import Path

from server.controlplane import gate_metrics
from server.controlplane.releases import Wish
from server.release.actions import Action, Verb
from tests.support.automatic import AutomaticBench, play, two_versions
from tests.support.evidence import shadow_evidence


def samples(bench: AutomaticBench, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a family by their labels' values."""
    families = gate_metrics.collect(bench.judge, ["m"], bench.controller.obstacles)
    (family,) = (one for one in families if one.name == name)
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def test_each_gate_has_its_verdict_and_what_it_has_seen(tmp_path: Path) -> None:
    """One series for a gate's present verdict, none for others."""

    async def scenario(bench: AutomaticBench) -> None:
        assert samples(bench, "tidegate_release_gate") == {}
        await bench.releases.change("m", Action(Verb.START_SHADOW, "2"), Wish("ann", "x"))
        bench.book.add("m", "2", bench.route.shadows[0].epoch, shadow_evidence(3000, nan=300))

        verdicts = samples(bench, "tidegate_release_gate")
        assert verdicts["m", "2", "shadow", "errors", "fail"] == 1.0
        assert verdicts["m", "2", "shadow", "faults", "pass"] == 1.0
        assert len(verdicts) == 5
        seen = samples(bench, "tidegate_release_gate_seen")
        assert seen["m", "2", "shadow", "errors"] == 3000
        assert samples(bench, "tidegate_release_waits") == {("m",): 0.0}
        bench.controller.obstacles["m"] = "it is not loaded"
        assert samples(bench, "tidegate_release_waits") == {("m",): 1.0}

    play(tmp_path, two_versions("manual"), scenario)
