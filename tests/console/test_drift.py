"""The drift page: what has moved, one feature at large, and how well the version does."""

from typing import Any

from server.console.drift import SHOWN_FEATURES, Asked, DriftFacts, view
from tests.support.drift_answers import report


def facts(version: Any, **other: Any) -> DriftFacts:
    """Return the facts of a version."""
    given: dict[str, Any] = {
        "others": (),
        "history": None,
        "columns": (),
        "performance": None,
        "state": "watching",
        "needed_rows": 5000,
    }
    return DriftFacts("m", version, **(given | other))


def version(**other: Any) -> Any:
    """Return what the report tells of a version whose second feature has moved."""
    return report(**other)["versions"][0]


def test_what_has_moved_comes_first_and_is_shown_at_large() -> None:
    """With the alert, the direction in words, and quantiles of both sides."""
    found = view(facts(version()), Asked())

    first = found.features[0]
    assert found.detail is not None
    assert first.is_chosen
    assert found.detail.name == first.name == "f1"
    assert first.alarms[0].state == "firing"
    assert "location up" in found.detail.words
    assert found.firing >= 1
    assert found.detail.drawn is not None
    assert len(found.detail.drawn.quantiles) == 5
    assert found.reference == "5,000 rows of train.csv"
    assert found.budget == "1 false alarm a month, all features together"


def test_the_reader_chooses_another_feature() -> None:
    """One that has not moved says so; one that is not there changes nothing."""
    told = version()

    found = view(facts(told), Asked(feature="f0"))
    other = view(facts(told), Asked(feature="not there"))

    assert found.detail is not None
    assert other.detail is not None
    assert (found.detail.name, found.detail.words) == ("f0", "as in the reference")
    assert other.detail.name == "f1"


def test_of_many_features_the_first_are_listed() -> None:
    """The others are one step away."""
    told = version(shift=[0.0] * 40, rows=300)

    some, every = view(facts(told), Asked()), view(facts(told), Asked(every=True))

    assert len(some.features) == SHOWN_FEATURES
    assert len(every.features) == len(told["columns"]) == some.left + SHOWN_FEATURES
    assert some.all_href == "?version=1&span=recent&all=1"


def test_too_few_rows_are_said_to_be_too_few() -> None:
    """There is no effect to show, and not one of zero."""
    found = view(facts(version(rows=90)), Asked())

    assert {(one.words, one.effect) for one in found.features} == {("too few rows yet", None)}


def test_choices_are_kept_in_addresses() -> None:
    """A feature's name may have anything in it."""
    asked = Asked(feature="a&b=<c>", span="day")

    assert asked.href("2") == "?version=2&feature=a%26b%3D%3Cc%3E&span=day"
    assert asked.href("2", feature="") == "?version=2&span=day"


def test_a_version_that_learns_says_how_far_it_is() -> None:
    """There is nothing to hold it to yet."""
    learning = {
        "version": "1",
        "is_live": True,
        "state": "learning",
        "rows": 700,
        "learned_rows": 700,
        "windows": [],
        "alerts": [],
        "performance": None,
        "columns": [],
    }

    found = view(facts(learning, state="learning"), Asked())

    assert "700 of 5,000" in found.state_words
    assert (found.features, found.detail, found.performance) == ([], None, None)


def test_what_is_not_watched_says_why() -> None:
    """Switched off, or not loaded yet."""
    assert "switched off" in view(facts(None, state="off"), Asked()).state_words
    assert "watched from when" in view(facts(None, state="unwatched"), Asked()).state_words


def test_performance_by_labels_stands_beside_the_estimate() -> None:
    """Figures that only labels give have no estimate, and the other way round."""
    told = version()
    told["performance"] = {
        "assumption": "scores mean what they meant",
        "reference": {"rows": 100.0, "accuracy": 0.95, "precision": None},
        "live": {"rows": 500.0, "accuracy": 0.9, "precision": None},
    }
    figures = {"accuracy": 0.875, "log_loss": 0.25, "brier": None}
    role = {"role": "live", "labelled": 40, "predicted": 500, "figures": figures}

    found = view(facts(told, performance={"roles": [role]}), Asked()).performance

    assert found is not None
    assert [(one.name, one.reference, one.live, one.realised) for one in found.rows] == [
        ("accuracy", "0.95", "0.9", "0.875"),
        ("log loss", "\N{EN DASH}", "\N{EN DASH}", "0.25"),
    ]
    assert found.labels == "40 of 500 answers have labels"


def test_without_labels_that_is_said() -> None:
    """An estimate alone is told together with that."""
    told = version()
    told["performance"] = {
        "assumption": "a",
        "reference": {"accuracy": 0.95},
        "live": {"accuracy": None},
    }

    found = view(facts(told), Asked()).performance

    assert found is not None
    assert found.labels == "no answer has a label yet"
