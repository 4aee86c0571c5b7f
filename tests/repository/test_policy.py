"""Which versions are loaded and which one answers: rules that hold for every state."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.repository.policy import NO_ROUTE, Route, next_route, select

VERSIONS = ("1", "2", "3", "10")

policies = st.sampled_from(
    ["latest:1", "latest:2", "latest:9", "all", "specific:2", "specific:1,10", "specific:7"]
)
servables = st.dictionaries(st.sampled_from(VERSIONS), st.sampled_from("abc"))
loads = st.frozensets(st.tuples(st.sampled_from(VERSIONS), st.sampled_from("abc")))
leavings = st.frozensets(st.sampled_from(VERSIONS), max_size=2)
routes = st.builds(
    lambda live, loaded: Route(live, loaded | ({live} if live else frozenset())),
    st.sampled_from([None, *VERSIONS]),
    st.frozensets(st.sampled_from(VERSIONS)),
)


def everything(**digests: str) -> frozenset[tuple[str, str]]:
    """Say that every worker has loaded these, v1="a" for version 1 with digest a."""
    return frozenset((name.removeprefix("v"), digest) for name, digest in digests.items())


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


@settings(deadline=None, max_examples=60)
@given(routes, policies, servables, loads, leavings)
def test_what_is_live_is_loaded_and_selected_versions_are_too(
    route: Route,
    policy: str,
    servable: dict[str, str],
    loaded: frozenset[tuple[str, str]],
    leaving: frozenset[str],
) -> None:
    """Every route loads its live version and what the policy selects, and nothing else."""
    after = next_route(route, policy, servable, loaded, leaving)

    selected = set(select(policy, servable.keys() - leaving))
    assert after.loaded == selected | ({after.live} if after.live else set())
    assert after.loaded <= servable.keys()


@settings(deadline=None, max_examples=60)
@given(routes, policies, servables, loads, leavings)
def test_a_version_becomes_live_only_when_every_worker_has_it(
    route: Route,
    policy: str,
    servable: dict[str, str],
    loaded: frozenset[tuple[str, str]],
    leaving: frozenset[str],
) -> None:
    """A switch never meets a version that is missing, or loaded with other files."""
    after = next_route(route, policy, servable, loaded, leaving)

    if after.live is not None and after.live != route.live:
        assert (after.live, servable[after.live]) in loaded
        assert after.live in select(policy, servable.keys() - leaving)


@settings(deadline=None, max_examples=60)
@given(routes, policies, servables, loads)
def test_what_answers_goes_on_until_a_better_one_is_ready(
    route: Route, policy: str, servable: dict[str, str], loaded: frozenset[tuple[str, str]]
) -> None:
    """A servable live version is given up only for one that the policy prefers to it."""
    after = next_route(route, policy, servable, loaded)

    if route.live in servable:
        selected = select(policy, servable.keys())
        assert after.live is not None
        if route.live in selected:
            assert int(after.live) >= int(route.live)
        else:
            assert after.live == route.live or after.live in selected


@settings(deadline=None, max_examples=60)
@given(routes, policies, servables)
def test_when_all_is_loaded_the_highest_selected_answers_and_nothing_more_changes(
    route: Route, policy: str, servable: dict[str, str]
) -> None:
    """Once workers have done their part, the route is what the policy says, and stays."""
    loaded = frozenset(servable.items())
    after = next_route(route, policy, servable, loaded)

    selected = select(policy, servable.keys())
    if selected:
        assert after == Route(selected[-1], frozenset(selected))
    assert next_route(after, policy, servable, loaded) == after


def test_the_first_version_waits_until_it_is_loaded() -> None:
    """Before every worker has it, a version is to be loaded and does not answer."""
    waiting = next_route(NO_ROUTE, "latest:1", {"1": "a"}, frozenset())
    assert waiting == Route(None, frozenset({"1"}))
    assert next_route(waiting, "latest:1", {"1": "a"}, everything(v1="a")) == (
        Route("1", frozenset({"1"}))
    )


def test_a_new_version_is_loaded_beside_the_live_one_and_then_takes_over() -> None:
    """Both are loaded during the change; afterwards only what the policy keeps is."""
    live = Route("1", frozenset({"1"}))
    servable = {"1": "a", "2": "b"}

    during = next_route(live, "latest:1", servable, everything(v1="a"))
    assert during == Route("1", frozenset({"1", "2"}))
    after = next_route(during, "latest:1", servable, everything(v1="a", v2="b"))
    assert after == Route("2", frozenset({"2"}))


def test_a_worker_that_starts_again_does_not_bring_an_old_version_back() -> None:
    """While a new worker has loaded only the older version, the newer one stays live."""
    live = Route("2", frozenset({"1", "2"}))
    servable = {"1": "a", "2": "b"}

    for loaded in (frozenset[tuple[str, str]](), everything(v1="a")):
        assert next_route(live, "latest:2", servable, loaded) == live


def test_new_files_of_the_live_version_do_not_bring_an_old_version_back() -> None:
    """While workers load a version's new files, its old ones answer, not another version."""
    live = Route("2", frozenset({"1", "2"}))

    assert next_route(live, "all", {"1": "a", "2": "new"}, everything(v1="a", v2="b")) == live


def test_a_version_that_cannot_be_served_any_more_gives_way() -> None:
    """When the live version is not servable, the best of the others answers, or none."""
    live = Route("2", frozenset({"1", "2"}))

    assert next_route(live, "all", {"1": "a"}, everything(v1="a")) == Route("1", frozenset({"1"}))
    assert next_route(live, "all", {}, everything(v1="a")) == NO_ROUTE


def test_a_policy_can_go_back_to_an_older_version() -> None:
    """A live version that the policy no longer selects answers until the chosen one is loaded."""
    live = Route("2", frozenset({"2"}))
    servable = {"1": "a", "2": "b"}

    during = next_route(live, "specific:1", servable, everything(v2="b"))
    assert during == Route("2", frozenset({"1", "2"}))
    after = next_route(during, "specific:1", servable, everything(v1="a", v2="b"))
    assert after == Route("1", frozenset({"1"}))


def test_a_version_that_leaves_answers_until_another_can() -> None:
    """A live version whose files are gone is not selected, and gives way to any that is ready."""
    live = Route("2", frozenset({"1", "2"}))
    servable = {"1": "a", "2": "b"}

    assert next_route(live, "all", servable, everything(v2="b"), {"2"}) == live
    assert next_route(live, "all", servable, everything(v1="a", v2="b"), {"2"}) == (
        Route("1", frozenset({"1"}))
    )
