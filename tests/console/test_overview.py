"""The first page: a row for each model, and what needs attention."""

from typing import Any

from server.console import words
from server.console.lights import RaisedAlert, Watch
from server.console.overview import ModelFacts, OverviewFacts, model_href, view
from server.console.traffic import Figures
from server.release.route import ReleaseRoute, Shadow
from tests.console.test_candidates import gate, report
from tests.console.test_traffic import traffic


def row(version: str = "1", state: str = "READY", **other: Any) -> dict[str, Any]:
    """Return a row of the index."""
    known = {"name": "m", "version": version, "state": state, "reason": ""}
    return known | {"live": state == "READY"} | other


def model(name: str = "m", **other: Any) -> ModelFacts:
    """Return the facts of a model that answers and of which nothing is to be said."""
    given: dict[str, Any] = {
        "index": [row()],
        "route": ReleaseRoute(name, 1, "1"),
        "traffic": [traffic([50] * 20)],
        "watch": Watch("watching", 1000),
        "gates": None,
    }
    return ModelFacts(name, **(given | other))


def page(*models: ModelFacts, **other: Any) -> Any:
    """Return the page of some models."""
    given: dict[str, Any] = {"silence": traffic([0] * 20), "unknown": ()}
    return view(OverviewFacts(models, **(given | other)))


def test_a_model_that_answers_has_its_figures() -> None:
    """The rate of the last minute, and a line of all that is kept."""
    found = page(model())

    (shown,) = found.rows
    assert (shown.state, shown.live, shown.href) == ("ready", "1", "/models/m")
    assert shown.figures.requests_per_second == 10.0
    assert shown.spark.startswith("M0 ")
    assert shown.light.kind == "steady"
    assert (found.ready, found.firing, found.notices) == (1, 0, [])


def test_a_model_that_nobody_asked_is_not_unknown() -> None:
    """Zero a second is known; its latency is not."""
    (shown,) = page(model(traffic=[])).rows

    assert shown.figures == Figures(requests_per_second=0.0, rows_per_second=0.0)


def test_right_after_a_restart_no_rate_is_shown() -> None:
    """What control does not know yet is said, and nothing is zero."""
    found = page(model(traffic=[]), silence=traffic([]), unknown=["traffic"])

    assert found.rows[0].figures == Figures()
    assert found.total == Figures()
    assert found.unknown == ["traffic"]


def test_figures_of_all_models_are_of_all_their_requests() -> None:
    """Not the mean of their means."""
    busy, idle = traffic([90] * 12, failures=9), traffic([10] * 12, failures=1)

    found = page(model("a", traffic=[busy]), model("b", traffic=[idle]))

    assert found.total.requests_per_second == 20.0
    assert found.total.error_ratio == 10 / (12 * 100)


def test_what_needs_attention_is_told_first() -> None:
    """A model that does not answer, versions that cannot be served, alerts, failed gates."""
    alert = RaisedAlert("drift", True, "age", "location up")
    found = page(
        model("down", index=[row(state="UNAVAILABLE", reason="unloaded by an operator", fix="f")]),
        model("bad", index=[row(), row("2", "UNAVAILABLE", reason="no such file", fix="f")]),
        model("moved", watch=Watch("watching", 10, alerts=[alert])),
        model(
            "tried",
            route=ReleaseRoute("tried", 1, "1", shadows=(Shadow("2", "d", 10_000, "e", 0.0),)),
            gates=report("fail", gate("fail", 500)),
        ),
    )

    told = [(one.kind, one.model, one.words) for one in found.notices]
    assert told == [
        ("bad", "down", "unloaded by an operator"),
        ("warn", "down", "version 1: unloaded by an operator"),
        ("warn", "bad", "version 2: no such file"),
        ("bad", "moved", "age: location up"),
        ("warn", "tried", "shadow 2: sees 100 %, a gate fails"),
    ]
    assert (found.ready, found.firing, found.candidates) == (3, 1, 1)


def test_a_model_that_is_being_loaded_is_no_trouble() -> None:
    """It is said that it is loading."""
    found = page(model(index=[row(state="LOADING")]))

    assert (found.rows[0].state, found.notices) == ("loading", [])


def test_a_folder_that_cannot_be_read_is_a_row_too() -> None:
    """It has no version and no figures, and says why."""
    broken = {"name": "x y", "version": "", "state": "UNAVAILABLE", "reason": "a bad name"}

    found = page(broken=[broken])

    assert (found.rows[0].state_words, found.rows[0].live) == ("a bad name", words.NOT_KNOWN)
    assert found.notices[0].words == "a bad name"


def test_an_address_holds_any_name() -> None:
    """Markup, slashes and other scripts are quoted."""
    assert model_href('<b>"é/?', "drift") == "/models/%3Cb%3E%22%C3%A9%2F%3F/drift"
