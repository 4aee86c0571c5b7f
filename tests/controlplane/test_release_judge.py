"""Which counts and settings the gates of a model's candidates are held to."""

from pathlib import Path

from server.controlplane.releases import Wish
from server.monitoring.locating import Version
from server.monitoring.realised_figures import PairedCounts
from server.release.actions import Action, Verb
from server.release.automatic import Newcomer
from server.release.gates import Verdict
from server.repository.verdict import Verdict as Checked
from server.tensors import DATATYPES, Signature, TensorSpec
from server.wire.status import Failure
from tests.support.automatic import AutomaticBench, play, two_versions
from tests.support.evidence import shadow_evidence

ANN = Wish("ann", "because")


def test_gates_are_asked_for_by_the_mode_or_by_the_model(tmp_path: Path) -> None:
    """Without either, they are shown, and an operator's word is enough."""

    async def unasked(bench: AutomaticBench) -> None:
        assert bench.judge.unproven("m", "2") == ()
        await bench.releases.change("m", Action(Verb.PROMOTE, "2"), ANN)

    async def asked(bench: AutomaticBench) -> None:
        assert bench.judge.unproven("m", "2") == (
            "it is neither shadow nor canary, so that nothing was seen of it",
        )
        await bench.releases.change("m", Action(Verb.START_SHADOW, "2"), ANN)
        assert any("no data" in words for words in bench.judge.unproven("m", "2"))
        bench.book.add("m", "2", bench.route.shadows[0].epoch, shadow_evidence())
        assert bench.judge.unproven("m", "2") == ()
        await bench.releases.change("m", Action(Verb.START_CANARY, "2"), ANN)
        assert any("canary_errors" in words for words in bench.judge.unproven("m", "2"))

    play(tmp_path / "1", two_versions("manual", None), unasked)
    play(tmp_path / "2", two_versions("manual"), asked)
    play(tmp_path / "3", two_versions("automatic", None), asked)


def test_the_newest_version_that_can_be_tried_is_the_newcomer(tmp_path: Path) -> None:
    """Newer than the live one, checked, and loaded without a fault."""
    model = two_versions("automatic")

    async def scenario(bench: AutomaticBench) -> None:
        def newcomer() -> Newcomer | None:
            situation = bench.judge.situation("m")
            assert situation is not None
            return situation.newcomer

        assert newcomer() == Newcomer("2", "bb")
        model.failures["2"] = Failure("bb", "it cannot be loaded", "")
        assert newcomer() is None
        model.failures.clear()
        model.versions["2"].is_checking = True
        assert newcomer() is None
        model.versions["2"].is_checking = False
        await bench.releases.change("m", Action(Verb.PROMOTE, "2", override=True), ANN)
        assert newcomer() is None

    play(tmp_path, model, scenario)


def test_models_for_which_nothing_can_follow_are_not_judged(tmp_path: Path) -> None:
    """There may be thousands of them, and it is asked each second."""

    async def automatic(bench: AutomaticBench) -> None:
        assert not bench.judge.is_idle("m")
        await bench.releases.change("m", Action(Verb.PROMOTE, "2", override=True), ANN)
        assert bench.judge.is_idle("m")
        assert bench.judge.is_idle("nobody")
        await bench.releases.change("m", Action(Verb.START_SHADOW, "1"), ANN)
        assert not bench.judge.is_idle("m")

    async def manual(bench: AutomaticBench) -> None:
        await bench.releases.change("m", Action(Verb.START_SHADOW, "2"), ANN)
        assert bench.judge.is_idle("m")
        await bench.releases.change("m", Action(Verb.START_CANARY, "2"), ANN)
        assert not bench.judge.is_idle("m")

    play(tmp_path / "1", two_versions("automatic"), automatic)
    play(tmp_path / "2", two_versions("manual"), manual)


def test_what_differs_follows_from_what_the_model_answers(tmp_path: Path) -> None:
    """Numbers are held to their tolerance, labels are not."""
    model = two_versions("manual")

    async def scenario(bench: AutomaticBench) -> None:
        await bench.releases.change("m", Action(Verb.START_SHADOW, "2"), ANN)
        moved = shadow_evidence(out_of_tolerance=5000)
        bench.book.add("m", "2", bench.route.shadows[0].epoch, moved)
        for shape, verdict in (((-1, 3), Verdict.PASS), ((-1, 1), Verdict.FAIL)):
            output = TensorSpec("y", DATATYPES["FP32"], shape)
            model.versions["1"].verdict = Checked(Signature((), (output,)), True, 0.0, 0, ())
            situation = bench.judge.situation("m")
            assert situation is not None
            assert situation.shadows["2"].verdict is verdict

    play(tmp_path, model, scenario)


def test_labels_that_came_for_a_shadow_are_judged(tmp_path: Path) -> None:
    """Who was right on the same requests, in the present epoch: without labels there is no gate."""

    async def scenario(bench: AutomaticBench) -> None:
        def verdicts() -> list[Verdict]:
            situation = bench.judge.situation("m")
            assert situation is not None
            readings = situation.shadows["2"].readings
            return [one.verdict for one in readings if one.gate == "accuracy"]

        pair = (Version("m", "1", "aa"), Version("m", "2", "bb"))
        await bench.releases.change("m", Action(Verb.START_SHADOW, "2"), ANN)
        assert verdicts() == []
        bench.book.add_labels({pair: PairedCounts(both=10)}, {})
        assert verdicts() == [Verdict.INCONCLUSIVE]
        bench.book.add_labels({pair: PairedCounts(both=10_000)}, {})
        assert verdicts() == [Verdict.PASS]
        bench.book.add_labels({pair: PairedCounts(live_only=1000)}, {})
        assert verdicts() == [Verdict.FAIL]

        await bench.releases.change("m", Action(Verb.STOP_SHADOW, "2"), ANN)
        await bench.releases.change("m", Action(Verb.START_SHADOW, "2"), ANN)
        assert verdicts() == []

    play(tmp_path, two_versions("manual"), scenario)


def test_a_report_has_every_gate_of_every_part(tmp_path: Path) -> None:
    """As JSON values, with words for people."""

    async def scenario(bench: AutomaticBench) -> None:
        assert bench.judge.report("m") == {"shadows": [], "canary": None, "live": None}
        assert bench.judge.report("nobody") == bench.judge.report("m")
        await bench.releases.change("m", Action(Verb.START_SHADOW, "2"), ANN)
        await bench.releases.change("m", Action(Verb.START_CANARY, "2"), ANN)
        report = bench.judge.report("m")

        (shadow,), canary = report["shadows"], report["canary"]
        assert (shadow["version"], shadow["verdict"]) == ("2", "no_data")
        assert canary["epoch"] == bench.route.canary.epoch  # type: ignore[union-attr]
        assert [gate["gate"] for gate in canary["gates"]] == ["canary_errors", "canary_faults"]
        assert canary["gates"][0]["words"] == "canary_errors: no data"
        assert bench.judge.situation("nobody") is None
        assert bench.judge.unproven("nobody", "1") == ()

    play(tmp_path, two_versions("manual"), scenario)
