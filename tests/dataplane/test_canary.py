"""A canary on a worker: who answers on each path, what the answers say, and what is counted."""

import math
from collections import Counter
from collections.abc import Iterator

import pytest

from server.dataplane.targets import bucket_bp
from server.release.route import Canary, ReleaseRoute
from server.wire.desired import DesiredState, ModelPlan
from server.wire.tally import Routed
from tests.dataplane.conftest import PlanOf
from tests.support.asking import ask, check_nothing_left, error_of, infer_body
from tests.support.canaries import a_canary
from tests.support.dataplane import InProcessWorker
from tests.support.gateway import eventually
from tests.support.raw import RawAnswer, connected, post

HOT = "/v2/models/m/infer"
PATHS = {"hot": HOT, "cold": HOT + "?cold", "v1": "/v1/models/m:predict"}
NAMED = {
    "hot": "/v2/models/m/versions/{}/infer",
    "cold": "/v2/models/m/versions/{}/infer?cold",
    "v1": "/v1/models/m/versions/{}:predict",
}
BODY = infer_body([[1, 2, 3]])
V1_BODY = b'{"instances": [[1, 2, 3]]}'
SALT = "of this release"
LIVE, CANARY = "1", "2"


class Release:
    """A worker with two versions of a model, whose release state changes."""

    def __init__(self, worker: InProcessWorker, plan_of: PlanOf) -> None:
        self.worker = worker
        self._versions = {LIVE: plan_of("affine", max_rows=8), CANARY: plan_of("open", max_rows=8)}
        self.generation = 1

    def become(self, canary: Canary | None, *, loaded: tuple[str, ...] = (LIVE, CANARY)) -> None:
        """Have the worker carry out another release state."""
        self.generation += 1
        versions = {version: self._versions[version] for version in loaded}
        release = ReleaseRoute("m", 10 * self.generation, live=LIVE, canary=canary)
        plan = ModelPlan(LIVE, versions, {"3": False}, release)
        state = DesiredState(self.generation, {"m": plan}, is_settled=True)
        loader = self.worker.worker.loader
        self.worker.on_loop(loader.want, state)
        eventually(lambda: loader.generation == self.generation)

    def ask(self, way: str, *headers: str, version: str | None = None) -> RawAnswer:
        path = PATHS[way] if version is None else NAMED[way].format(version)
        return ask(self.worker, post(path, V1_BODY if way == "v1" else BODY, *headers))

    def routed(self) -> dict[str, Counter[str]]:
        """Return what came through a split, by version and outcome, and forget it."""
        loaded = self.worker.worker.loader.loaded

        def take() -> dict[str, Counter[str]]:
            self.worker.worker.telemetry.flush()
            found = {}
            for (_, version), served in loaded.items():
                tally = served.telemetry.tally
                found[version], tally.routed = tally.routed.outcomes, Routed()
            return found

        check_nothing_left(self.worker)
        found: dict[str, Counter[str]] = self.worker.on_loop(take)
        return found


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf) -> Iterator[Release]:
    """A worker whose versions can be told apart by their answers' headers."""
    plans = {"m": plan_of("affine", max_rows=8)}
    with InProcessWorker(tmp_path_factory.mktemp("canary"), plans) as worker:
        yield Release(worker, plan_of)


def version_of(answer: RawAnswer) -> str | None:
    assert answer.status == 200, answer.body
    return answer.header("x-model-version")


def test_a_key_has_the_same_version_on_every_path(release: Release) -> None:
    """In V2 and in V1, hot and cold, the hash of the key decides, and nothing else."""
    release.become(a_canary(CANARY, 5000, SALT))
    keys = [f"user {number}" for number in range(8)]
    expected = [CANARY if bucket_bp(SALT.encode(), key.encode()) < 5000 else LIVE for key in keys]
    assert set(expected) == {LIVE, CANARY}
    for way in PATHS:
        answers = [release.ask(way, f"X-Routing-Key: {key}") for key in keys]
        assert [version_of(answer) for answer in answers] == expected, way
        generations = {answer.header("x-release-generation") for answer in answers}
        assert generations == {str(10 * release.generation)}


def test_requests_without_a_key_are_shared_out_by_chance(release: Release) -> None:
    """On one connection, with one head that repeats, each request is drawn for by itself."""
    release.become(a_canary(CANARY, 2500, SALT))
    release.routed()
    requests = 400
    with connected(release.worker.url) as client:
        answers = []
        for _ in range(requests // 20):
            client.send(post(HOT, BODY) * 20)
            answers += [client.read() for _ in range(20)]
    counted = Counter(version_of(answer) for answer in answers)

    assert abs(counted[CANARY] - requests / 4) < 5 * math.sqrt(requests * 0.25 * 0.75)
    assert release.routed() == {LIVE: {"ok": counted[LIVE]}, CANARY: {"ok": counted[CANARY]}}


@pytest.mark.parametrize("way", PATHS)
def test_a_named_version_answers_whatever_the_split_says(release: Release, way: str) -> None:
    """By path, by header or by both; it is no evidence for or against the canary."""
    release.become(a_canary(CANARY, 10_000, SALT))
    release.routed()
    for version in (LIVE, CANARY):
        pin = f"X-Model-Version: {version}"
        answers = [
            release.ask(way, pin),
            release.ask(way, version=version),
            release.ask(way, pin, version=version),
        ]
        assert [version_of(answer) for answer in answers] == [version] * 3
    assert version_of(release.ask(way)) == CANARY

    assert release.routed() == {LIVE: {}, CANARY: {"ok": 1}}


@pytest.mark.parametrize("way", PATHS)
def test_a_pin_on_nobody_is_an_error_that_says_so(release: Release, way: str) -> None:
    """Unknown and not loaded are those of a version in the path; two at once are refused."""
    release.become(a_canary(CANARY, 5000, SALT))
    answers = [release.ask(way, f"X-Model-Version: {version}") for version in ("9", "3", "")]
    assert [error_of(answer) for answer in answers] == [
        (404, "version_not_found"),
        (503, "model_unavailable"),
        (404, "version_not_found"),
    ]
    both = release.ask(way, "X-Model-Version: 2", version="1")
    assert error_of(both) == (400, "invalid_request")
    assert b"X-Model-Version '2'" in both.body


def test_failures_count_for_the_arm_that_failed(release: Release) -> None:
    """Refused before a batch or answered by it: the version that was to answer has the outcome."""
    release.become(a_canary(CANARY, 10_000, SALT))
    release.routed()
    wrong = [
        ask(release.worker, post(path, b'{"inputs": 3}', "X-Prediction-Id: mine"))
        for path in (HOT, PATHS["cold"])
    ]
    assert [error_of(answer) for answer in wrong] == [(400, "invalid_request")] * 2
    release.ask("hot", "X-Request-Timeout-Ms: never")

    assert release.routed() == {LIVE: {}, CANARY: {"invalid_request": 2}}


def test_a_canary_that_is_not_loaded_leaves_everything_to_the_live_version(
    release: Release,
) -> None:
    """A worker that lacks it, or has let it go, answers all requests, and counts none as routed."""
    release.become(a_canary(CANARY, 10_000, SALT), loaded=(LIVE,))
    release.routed()
    assert [version_of(release.ask(way)) for way in PATHS] == [LIVE] * 3
    assert release.routed() == {LIVE: {}}

    release.become(None)
    assert [version_of(release.ask(way)) for way in PATHS] == [LIVE] * 3
    assert release.routed() == {LIVE: {}, CANARY: {}}
