"""Which versions are loaded and which one answers: rules that hold for every state."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.release.candidate import Candidate
from server.release.route import Canary, ReleaseRoute, Shadow
from server.release.transitions import fall_back, set_live
from server.repository.policy import (
    POLICY,
    SYSTEM,
    Choice,
    Facts,
    choose,
    kept_previous,
    select,
    to_load,
)

VERSIONS = ("1", "2", "3", "10")
NO_RELEASE = ReleaseRoute("m")

versions = st.sampled_from(VERSIONS)
digests = st.sampled_from("abc")
policies = st.sampled_from(
    ["latest:1", "latest:2", "latest:9", "all", "specific:2", "specific:1,10", "specific:7"]
)
modes = st.sampled_from(["latest", "manual", "automatic"])
loads = st.frozensets(st.tuples(versions, digests))


@st.composite
def situations(draw: st.DrawFn, *, mode: str | None = None) -> tuple[ReleaseRoute, Facts]:
    """Return a release state and facts, whatever they are."""
    servable = draw(st.dictionaries(versions, digests))
    leaving = draw(st.frozensets(versions, max_size=2))
    facts = Facts(
        mode or draw(modes),  # type: ignore[arg-type]
        select(draw(policies), servable.keys() - leaving),
        servable,
        draw(loads),
        is_complete=draw(st.booleans()),
    )
    if draw(st.booleans()):
        return NO_RELEASE, facts
    live, previous, other = draw(st.permutations(VERSIONS))[:3]
    candidate = Canary(other, draw(digests), (100,), 0, 0.0, "1", "salt")
    shadow = Shadow(other, draw(digests), 100, "1", 0.0)
    route = ReleaseRoute(
        "m",
        draw(st.integers(1, 9)),
        live=live,
        live_digest=draw(digests),
        previous=draw(st.sampled_from([None, previous])),
        canary=draw(st.sampled_from([None, candidate])),
        shadows=draw(st.sampled_from([(), (shadow,)])),
        held=draw(st.sampled_from(["", "wait"])),
        refused=draw(st.dictionaries(digests, st.just("no"), max_size=1)),
    )
    return route, facts


def facts_of(mode: str, selected: str, loaded: str = "", **more: Any) -> Facts:
    """Return facts about versions 1 to 9, whose digests are d1 to d9; all are servable."""
    servable = {number: f"d{number}" for number in more.pop("servable", "123456789")}
    everywhere = frozenset((one, f"d{one}") for one in loaded)
    given: Any = {"is_complete": True, **more}
    return Facts(mode, list(selected), servable, everywhere, **given)  # type: ignore[arg-type]


def live(version: str, **more: Any) -> ReleaseRoute:
    """Return a release state in which a version is live."""
    return ReleaseRoute("m", 3, live=version, live_digest=f"d{version}", **more)


@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        ("latest:1", ["10"]),
        ("latest:2", ["3", "10"]),
        ("latest:99", ["1", "3", "10"]),
        ("all", ["1", "3", "10"]),
        ("specific:1", ["1"]),
        ("specific:10,2,1", ["1", "10"]),
        ("specific:7", []),
    ],
)
def test_a_policy_selects_versions_by_number(policy: str, versions: list[str]) -> None:
    """Versions are numbers, so 10 is later than 3; what is not there is not selected."""
    assert select(policy, {"10", "3", "1"}) == versions
    assert select(policy, set()) == []


@settings(deadline=None, max_examples=200)
@given(situations(), st.sampled_from([None, *VERSIONS]))
def test_another_version_answers_only_when_every_worker_has_it(
    situation: tuple[ReleaseRoute, Facts], answering: str | None
) -> None:
    """A switch never meets a version that is missing, or loaded with other files."""
    route, facts = situation
    choice = choose(route, answering, facts)

    if choice.live is not None and choice.live != (route.live or answering):
        assert facts.is_ready(choice.live)
    if choice.live is not None:
        assert choice.live in facts.servable
    if route.live in facts.servable:
        assert choice.live is not None


@settings(deadline=None, max_examples=200)
@given(situations())
def test_who_answers_is_what_the_release_state_says_or_shall_say(
    situation: tuple[ReleaseRoute, Facts],
) -> None:
    """Nothing answers beside the release state, unless the choice says who changes it."""
    route, facts = situation
    choice = choose(route, None, facts)

    if route.live is not None and choice.live not in (None, route.live):
        assert choice.actor in (POLICY, SYSTEM)
        assert choice.reason
    if choice.actor:
        assert choice.live is not None


@settings(deadline=None, max_examples=200)
@given(situations())
def test_no_candidate_and_nothing_refused_is_brought_in_by_the_policy(
    situation: tuple[ReleaseRoute, Facts],
) -> None:
    """Only a version that was live before may follow one that cannot be served."""
    route, facts = situation
    choice = choose(route, None, facts)

    if route.live is not None and choice.live not in (None, route.live, route.previous):
        assert (facts.mode, route.held, route.canary) == ("latest", "", None)
        candidates = {shadow.digest for shadow in route.shadows}
        assert facts.servable[choice.live] not in candidates | route.refused.keys()


@settings(deadline=None, max_examples=200)
@given(situations(), st.sampled_from([None, *VERSIONS]))
def test_a_choice_that_was_followed_is_made_once(
    situation: tuple[ReleaseRoute, Facts], answering: str | None
) -> None:
    """When the release state has changed to what was chosen, nothing more changes."""
    route, facts = situation
    choice = choose(route, answering, facts)
    if not choice.actor or choice.live is None:
        return
    if choice.actor == SYSTEM and choice.live == route.previous:
        after = fall_back(route, now_seconds=1.0)
        after = replace(after, live_digest=facts.servable[choice.live])
    else:
        digest = facts.servable[choice.live]
        candidate = Candidate(choice.live, digest, is_loaded=True)
        if digest in route.refused:
            return  # New files of the live version are those that were refused as another one.
        after = set_live(replace(route, held="", canary=None), candidate, now_seconds=1.0)

    again = choose(after, choice.live, facts)

    assert again == Choice(choice.live) or again.live != choice.live  # A better one is ready.


def test_a_release_begins_with_the_best_version_once_that_is_known() -> None:
    """Until all has been looked at, versions answer as they come, and no state is begun."""
    assert choose(NO_RELEASE, None, facts_of("manual", "12")) == Choice(None)
    early = facts_of("manual", "12", "1", is_complete=False)
    assert choose(NO_RELEASE, None, early) == Choice("1")
    assert choose(NO_RELEASE, "1", facts_of("manual", "12", "1")) == Choice("1")

    begun = choose(NO_RELEASE, "1", facts_of("manual", "12", "12"))
    assert begun == Choice("2", POLICY, "first version")


@pytest.mark.parametrize("mode", ["manual", "automatic"])
def test_a_new_version_waits_unless_the_policy_decides(mode: str) -> None:
    """It is loaded beside the live one; only with `release = latest` it goes live."""
    assert choose(live("1"), None, facts_of(mode, "2", "12")) == Choice("1")

    words = "the highest version that the version policy selects"
    assert choose(live("1"), None, facts_of("latest", "2", "12")) == Choice("2", POLICY, words)


@pytest.mark.parametrize(
    "route",
    [
        live("1", held="wait"),
        live("1", refused={"d2": "rolled back"}),
        live("1", shadows=(Shadow("2", "d2", 100, "1", 0.0),)),
        live("1", canary=Canary("2", "d2", (100,), 0, 0.0, "1", "salt")),
    ],
    ids=["held", "refused", "shadow", "canary"],
)
def test_the_policy_keeps_its_hands_off(route: ReleaseRoute) -> None:
    """What was rolled back, is being tried, or is held does not go live by itself."""
    assert choose(route, None, facts_of("latest", "2", "12")) == Choice("1")


@pytest.mark.parametrize("mode", ["latest", "manual", "automatic"])
def test_what_was_live_before_answers_when_the_live_version_cannot(mode: str) -> None:
    """The system says so; a canary or a shadow never answers in its place."""
    route = live(
        "3",
        previous="1",
        canary=Canary("2", "d2", (100,), 0, 0.0, "1", "salt"),
    )
    fallen = Choice("1", SYSTEM, "version '3' cannot be served")

    assert choose(route, None, facts_of(mode, "2", "12", servable="12")) == fallen
    assert choose(route, None, facts_of(mode, "2", "2", servable="2")) == Choice(None)


def test_with_latest_any_selected_version_answers_when_the_live_one_cannot() -> None:
    """The policy names a successor even if it was never live."""
    facts = facts_of("latest", "2", "2", servable="2")

    assert choose(live("3"), None, facts) == Choice("2", SYSTEM, "version '3' cannot be served")


def test_a_worker_that_starts_again_does_not_bring_an_old_version_back() -> None:
    """While a new worker has loaded only the older version, the newer one stays live."""
    for loaded in ("", "1"):
        assert choose(live("2"), None, facts_of("latest", "12", loaded)) == Choice("2")


def test_new_files_of_the_live_version_change_the_release_when_they_are_loaded() -> None:
    """Until then its old ones answer, and no older version does."""
    servable = {"1": "d1", "2": "new"}
    loaded = {("1", "d1"), ("2", "d2")}
    facts = Facts("latest", ["1", "2"], servable, loaded, is_complete=True)

    assert choose(live("2"), None, facts) == Choice("2")
    facts = replace(facts, loaded=loaded | {("2", "new")})
    assert choose(live("2"), None, facts) == Choice("2", POLICY, "its files are others")


def test_a_policy_can_go_back_to_an_older_version() -> None:
    """A live version that the policy no longer selects answers until the chosen one is loaded."""
    assert choose(live("2"), None, facts_of("latest", "1", "2")) == Choice("2")
    assert choose(live("2"), None, facts_of("latest", "1", "12")).live == "1"


def test_what_may_answer_is_loaded_and_nothing_else() -> None:
    """The policy's versions, the live one, the canary, and for a while the one before."""
    route = live(
        "4",
        previous="3",
        live_since_seconds=100.0,
        canary=Canary("2", "d2", (100,), 0, 0.0, "1", "salt"),
        shadows=(Shadow("1", "d1", 100, "1", 0.0),),
    )
    facts = facts_of("manual", "9", "")

    for now, previous in ((159.0, "3"), (160.0, None)):
        kept = kept_previous(route, now_seconds=now, keep_previous_seconds=60.0)
        assert kept == previous
        wanted = {"9", "4", "2"} | ({kept} if kept else set())
        assert to_load(route, "4", kept, facts) == wanted
    unservable = facts_of("manual", "9", "", servable="12399")
    assert to_load(route, None, None, unservable) == {"9", "2", "3"}


@settings(deadline=None, max_examples=100)
@given(situations())
def test_what_answers_is_loaded(situation: tuple[ReleaseRoute, Facts]) -> None:
    """Whatever is chosen, workers are told to have it, and only what can be served."""
    route, facts = situation
    choice = choose(route, None, facts)
    wanted = to_load(route, choice.live, None, facts)

    assert choice.live is None or choice.live in wanted
    assert set(facts.selected) <= wanted <= facts.servable.keys()
