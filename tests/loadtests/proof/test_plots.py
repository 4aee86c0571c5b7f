"""Pictures show what was measured, and can be read."""

import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from loadtests.proof import plots
from tests.loadtests.proof.support import measured, outcome, results

VALUES = st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=9)


@given(VALUES)
def test_an_axis_shows_all_values_in_their_order(values: list[float]) -> None:
    """Between its ends, greater ones further on, and ticks within."""
    axis = plots.axis(values, 300.0, 40.0)

    places = [axis.at(value) for value in sorted(values)]
    assert all(39.9 <= place <= 300.1 for place in places)
    assert places == sorted(places, reverse=True)
    assert axis.at(axis.ticks()[0]) == 300.0
    assert len(axis.ticks()) >= 2


def test_scenarios_are_rows_and_connections_are_lines() -> None:
    """Each picture is SVG that names its targets."""
    told = results(
        *(
            outcome(measured("tidegate", [90, 100]), measured("a <b>", [10, 12]), scenario=name)
            for name in ("mlp-json-1/64", "mlp-json-1/1", "mlp-json-1/64/close")
        )
    )

    drawn = plots.pictures(told)

    assert {"scenarios-requests-per-second", "mlp-json-1-p99-seconds"} <= set(drawn)
    for name, picture in drawn.items():
        assert ET.fromstring(picture).tag.endswith("svg"), name
        words = [node.text for node in ET.fromstring(picture).iter() if node.tag.endswith("text")]
        assert {"tidegate", "a <b>"} <= set(words), name
    assert drawn["mlp-json-1-p99-seconds"].count("<polyline") == 2


def test_what_does_not_count_is_not_drawn() -> None:
    """A target whose runs are all invalid has no dot, and a picture of nothing is not there."""
    bad = measured("tidegate", [1, 2], errors=1)

    assert plots.pictures(results(outcome(bad))) == {}
