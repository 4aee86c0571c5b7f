"""Releases that go on by themselves: all the way, or no further than what is proven."""

from pathlib import Path

from server.controlplane.evidence_book import EvidenceBook
from server.controlplane.release_controller import SETTLED_LOOKS
from server.controlplane.release_judge import Judge
from server.controlplane.releases import Wish
from server.release.actions import Action, Verb
from server.release.shadow_rules import OutputRule, ShadowRules
from tests.support.automatic import AutomaticBench, play, two_versions
from tests.support.evidence import shadow_evidence

ANN = Wish("ann", "because")


async def to_canary(bench: AutomaticBench) -> None:
    """Let the new version pass as a shadow."""
    await bench.pass_seconds(1)
    bench.book.add("m", "2", bench.route.shadows[0].epoch, shadow_evidence())
    await bench.pass_seconds(10, bench.traffic)
    assert bench.route.canary is not None


def test_a_good_version_becomes_live_by_itself(tmp_path: Path) -> None:
    """Shadow, both steps, live; each change is in the audit, with what the gates said."""

    async def scenario(bench: AutomaticBench) -> None:
        await to_canary(bench)
        await bench.pass_seconds(60, bench.traffic)

        assert (bench.route.live, bench.route.previous, bench.route.canary) == ("2", "1", None)
        assert await bench.bench.history() == [
            ("set_live", "policy", 1),
            ("start_shadow", "automatic", 2),
            ("start_canary", "automatic", 3),
            ("next_step", "automatic", 4),
            ("promote", "automatic", 5),
        ]
        last = bench.releases.last["m"]
        assert last.reason == "all gates pass, at the last step of the canary"
        assert last.evidence["canary"]["verdict"] == "pass"
        assert bench.controller.obstacles == {}
        assert bench.controller.report("m")["waits_for"] == ""

    play(tmp_path, two_versions("automatic"), scenario)


def test_a_shadow_that_disagrees_is_refused(tmp_path: Path) -> None:
    """And does not come again."""

    async def scenario(bench: AutomaticBench) -> None:
        await bench.pass_seconds(1)
        epoch = bench.route.shadows[0].epoch
        bench.book.add("m", "2", epoch, shadow_evidence(label_flip=500))
        await bench.pass_seconds(20, bench.traffic)

        assert (bench.route.live, bench.route.shadows) == ("1", ())
        assert "disagreement: fail; 0.1" in bench.route.refused["bb"]

    play(tmp_path, two_versions("automatic"), scenario)


def test_a_canary_that_fails_is_ended(tmp_path: Path) -> None:
    """Within seconds of its first step, with the gate in the reason."""

    async def scenario(bench: AutomaticBench) -> None:
        await to_canary(bench)
        await bench.pass_seconds(8, lambda: bench.traffic("model_error"))

        assert (bench.route.live, bench.route.canary) == ("1", None)
        assert bench.route.refused["bb"].startswith("canary '2': canary_errors: fail; inf")

    play(tmp_path, two_versions("automatic"), scenario)


def test_a_canary_that_is_slow_is_ended(tmp_path: Path) -> None:
    """What is slow was fixed when it began, from the live version's own requests."""

    async def scenario(bench: AutomaticBench) -> None:
        await to_canary(bench)
        await bench.pass_seconds(8, lambda: bench.traffic(seconds=0.4))

        assert "canary_slow: fail" in bench.route.refused["bb"]
        assert "slow is above 10 ms" in bench.route.refused["bb"]

    play(tmp_path, two_versions("automatic"), scenario)


def test_a_canary_that_ends_workers_is_ended(tmp_path: Path) -> None:
    """What a worker was answering when it died is in no counts; one may be the machine's fault."""

    async def scenario(bench: AutomaticBench) -> None:
        await to_canary(bench)
        bench.workers.replaced[0] += 1
        await bench.pass_seconds(40, bench.traffic)
        assert bench.route.canary is not None
        assert bench.route.canary.step == 0
        del bench.workers.replaced[1]  # It is away for a moment.
        await bench.pass_seconds(1, bench.traffic)
        bench.workers.replaced[1] = 2
        await bench.pass_seconds(1, bench.traffic)
        assert bench.route.refused["bb"].endswith("3 workers lost")

    play(tmp_path, two_versions("automatic"), scenario)


def test_without_traffic_it_waits_for_a_person(tmp_path: Path) -> None:
    """Nothing is promoted, nothing is refused; when the person resumes, the time begins anew."""

    async def scenario(bench: AutomaticBench) -> None:
        await to_canary(bench)
        await bench.pass_seconds(101)

        assert bench.route.held == ("step 1 of 2 of canary '2': 0 of 50 requests in 100 s")
        generation = bench.route.generation
        await bench.pass_seconds(50, bench.traffic)
        assert bench.route.generation == generation
        await bench.releases.change("m", Action(Verb.RESUME), ANN)
        await bench.pass_seconds(60, bench.traffic)
        assert bench.route.live == "2"

    play(tmp_path, two_versions("automatic"), scenario)


def test_a_person_may_have_to_agree(tmp_path: Path) -> None:
    """An operator's canary in another mode is never promoted by itself, but its steps go on."""

    async def scenario(bench: AutomaticBench) -> None:
        steps = Action(Verb.START_CANARY, "2", steps=(1000, 5000))
        await bench.releases.change("m", steps, ANN)
        await bench.pass_seconds(60, bench.traffic)

        assert bench.route.live == "1"
        assert bench.route.canary is not None
        assert bench.route.canary.step == 1
        await bench.releases.change("m", Action(Verb.PROMOTE, "2"), ANN)
        assert bench.route.live == "2"
        await bench.pass_seconds(20, lambda: bench.serve("2", 1000, "model_error"))
        assert bench.route.live == "2"

    play(tmp_path, two_versions("manual"), scenario)


def test_what_was_promoted_by_itself_is_taken_back_if_requests_fail(tmp_path: Path) -> None:
    """Also by a control that has been started since."""

    async def scenario(bench: AutomaticBench) -> None:
        await to_canary(bench)
        while bench.route.live != "2":
            await bench.pass_seconds(1, bench.traffic)
        await bench.pass_seconds(5, lambda: bench.serve("2", 1000))
        bench.controller = bench.another_controller()
        await bench.pass_seconds(5, lambda: bench.serve("2", 1000, "model_error"))

        assert (bench.route.live, bench.route.previous) == ("1", "2")
        assert "live_errors: fail" in bench.route.refused["bb"]

    play(tmp_path, two_versions("automatic"), scenario)


def test_requests_count_while_all_workers_split_alike(tmp_path: Path) -> None:
    """What workers counted by the weight before, or while one is away, belongs to no step."""

    async def scenario(bench: AutomaticBench) -> None:
        async def counted(seconds: int) -> int:
            before = bench.judge.situation("m")
            await bench.pass_seconds(seconds, bench.traffic)
            after = bench.judge.situation("m")
            assert before is not None
            assert after is not None
            return after.canary_requests - before.canary_requests

        await to_canary(bench)
        assert await counted(SETTLED_LOOKS) == 0
        assert await counted(2) == 200
        bench.workers.late = 1
        assert await counted(3) == 0
        bench.workers.late = 0
        assert await counted(SETTLED_LOOKS + 1) == 100

    play(tmp_path, two_versions("automatic"), scenario)


def test_what_stands_in_the_way_is_told_and_asked_again(tmp_path: Path) -> None:
    """A version that is not loaded everywhere yet, or a store that cannot be written now."""

    async def scenario(bench: AutomaticBench) -> None:
        await bench.pass_seconds(1)
        bench.book.add("m", "2", bench.route.shadows[0].epoch, shadow_evidence())
        bench.bench.fleet.missing.add(("m", "2"))
        await bench.pass_seconds(12)
        assert "it is not loaded by every worker" in bench.controller.obstacles["m"]
        assert bench.controller.report("m")["waits_for"] == bench.controller.obstacles["m"]
        assert bench.route.canary is None
        bench.bench.fleet.missing.clear()
        bench.bench.store.is_broken = True
        await bench.pass_seconds(1)
        assert "the store cannot be used" in bench.controller.obstacles["m"]
        bench.bench.store.is_broken = False
        await bench.pass_seconds(1)
        assert bench.controller.obstacles == {}
        assert bench.route.canary is not None

    play(tmp_path, two_versions("automatic"), scenario)


def test_nothing_goes_on_before_releases_are_known(tmp_path: Path) -> None:
    """What the last desired state says may be old."""

    async def scenario(bench: AutomaticBench) -> None:
        bench.releases.known.clear()
        await bench.pass_seconds(3)
        assert bench.route.shadows == ()
        bench.releases.known.set()
        await bench.pass_seconds(1)
        assert bench.route.shadows != ()

    play(tmp_path, two_versions("automatic"), scenario)


def test_a_person_wins(tmp_path: Path) -> None:
    """Whoever changes the state while a change is on its way has the last word."""

    async def scenario(bench: AutomaticBench) -> None:
        await bench.pass_seconds(1)
        epoch = bench.route.shadows[0].epoch
        bench.book.add("m", "2", epoch, shadow_evidence())
        judged = bench.judge.report

        def report_while_a_person_acts(model: str) -> object:
            if not bench.route.held:
                bench.releases.change_now("m", Action(Verb.HOLD), Wish("ann", "wait"))
            return judged(model)

        bench.judge.report = report_while_a_person_acts  # type: ignore[method-assign, assignment]
        await bench.pass_seconds(12, bench.traffic)
        assert bench.route.held == "wait"
        assert bench.route.canary is None
        assert bench.controller.obstacles == {}

    play(tmp_path, two_versions("automatic"), scenario)


def test_counts_of_a_shadow_begin_anew_with_its_rules(tmp_path: Path) -> None:
    """Also if they were changed while no control ran; and once only."""

    async def scenario(bench: AutomaticBench) -> None:
        live = bench.bench.models["m"].versions["1"]
        live.shadow_rules = ShadowRules({"y": OutputRule(rtol=0.1)})
        await bench.releases.change("m", Action(Verb.START_SHADOW, "2"), ANN)
        await bench.pass_seconds(3)
        before = bench.route.shadows[0]
        bench.book.add("m", "2", before.epoch, shadow_evidence())
        live.shadow_rules = ShadowRules({"y": OutputRule(rtol=0.1)}, redacted={"x": ()})
        await bench.pass_seconds(7)
        assert bench.route.shadows == (before,)

        live.shadow_rules = ShadowRules({"y": OutputRule(rtol=0.5)})
        bench.book = EvidenceBook(bench.bench.store, bench.releases.route)
        bench.judge = Judge(bench.bench.models, bench.releases.route, bench.book)
        bench.controller = bench.another_controller()
        await bench.pass_seconds(10)

        assert bench.route.shadows[0].epoch != before.epoch
        assert bench.route.shadows[0].since_seconds > before.since_seconds
        assert (await bench.bench.history())[2:] == [("recount", "system", 3)]
        gates = bench.controller.report("m")["shadows"][0]["gates"]
        assert {gate["total"] for gate in gates} == {0}

    play(tmp_path, two_versions("manual", gates=None), scenario)
