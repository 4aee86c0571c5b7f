"""Scenarios have names that can be read back, and others are refused with what there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests import bench_models
from loadtests.proof.catalogue import CONNECTIONS, OPTIONS, SETS, Scenario, Unknown, parse, selected

WORKLOADS = bench_models.WORKLOADS


def scenarios() -> st.SearchStrategy[Scenario]:
    """Return scenarios that may be."""
    common = {
        "workload": st.sampled_from(WORKLOADS),
        "connections": st.integers(1, 2000),
        "workers": st.integers(1, 64),
        "unmonitored": st.booleans(),
        "shadow": st.booleans(),
    }
    return st.one_of(
        st.builds(Scenario, **common, closes=st.booleans(), bare=st.booleans()),
        st.builds(Scenario, **common, rate=st.integers(1, 999_999)),
        st.builds(Scenario, **common, load_percent=st.integers(1, 100)),
    )


@given(scenarios())
def test_a_name_says_everything_about_a_scenario(scenario: Scenario) -> None:
    """Whoever has the name can measure the same again."""
    assert parse(scenario.name, WORKLOADS) == scenario


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tables/64", "no workload is called 'tables'; there are .*workloads: tabular-json-1"),
        ("tabular-json-1", "must have connections, 1 to 2000"),
        ("tabular-json-1/0", "must have connections"),
        ("tabular-json-1/many", "must have connections"),
        ("tabular-json-1/64/fast", "no option is called 'fast'; .*options: workers=N, close"),
        ("tabular-json-1/64/rate=0", "no option is called 'rate=0'"),
        ("tabular-json-1/64/rate=9/close", "neither with close nor with bare"),
        ("tabular-json-1/64/rate=9/load=50", "must have one rate"),
        ("nothing-*", "no scenario is like 'nothing-\\*'"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(name: str, words: str) -> None:
    """Each message names what was wrong and what is there."""
    with pytest.raises(Unknown, match=words):
        selected([name], WORKLOADS)


@pytest.mark.parametrize("name", SETS)
def test_sets_hold_scenarios_that_exist(name: str) -> None:
    """Each can be asked for by its name, none is there twice."""
    found = selected([name], WORKLOADS)

    assert [parse(one.name, WORKLOADS) for one in found] == found
    assert len({one.name for one in found}) == len(found)


def test_everything_has_each_workload_connection_and_option() -> None:
    """The issue's list of what varies is covered."""
    found = selected(["all"], WORKLOADS)

    assert {one.workload for one in found} == set(WORKLOADS)
    assert {one.connections for one in found} >= set(CONNECTIONS)
    assert {one.workers for one in found} == {1, 2}
    words = {word.split("=")[0] for one in found for word in one.name.split("/")[2:]}
    assert words == {option.split("=")[0] for option in OPTIONS}


def test_a_pattern_selects_by_name_and_nothing_twice() -> None:
    """Words may overlap; the order is theirs."""
    found = selected(["mlp-json-1/64", "mlp-json-1/*4"], WORKLOADS)

    assert [one.name for one in found] == ["mlp-json-1/64", "mlp-json-1/4"]


def test_scenarios_share_servers_unless_other_ones_are_needed() -> None:
    """Connections and rates are the client's; workers and shadows are not."""
    one, other = parse("mlp-json-1/64", WORKLOADS), parse("mlp-json-1/4/close", WORKLOADS)

    assert one.servers == other.servers
    assert one.servers != parse("mlp-json-1/64/workers=2", WORKLOADS).servers
    assert one.servers != parse("mlp-json-1/64/shadow", WORKLOADS).servers
