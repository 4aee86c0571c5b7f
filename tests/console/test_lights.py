"""The drift light: which of several alerts speaks."""

import pytest

from server.console.lights import Light, RaisedAlert, Watch, light


def raised(rule: str, *, firing: bool = True, column: str = "age") -> RaisedAlert:
    """Return an alert."""
    return RaisedAlert(rule, firing, column, f"words of {rule}")


@pytest.mark.parametrize(
    ("watch", "kind"),
    [
        (Watch("off"), "off"),
        (Watch("unwatched"), "unknown"),
        (Watch("learning", 10, 10, 5000), "learning"),
        (Watch("watching", 10), "steady"),
        (Watch("watching", 10, alerts=[raised("drift", firing=False)]), "pending"),
        (Watch("watching", 10, alerts=[raised("drift")]), "firing"),
    ],
)
def test_each_state_has_its_light(watch: Watch, kind: str) -> None:
    """Not being watched is not the same as nothing having moved."""
    assert light(watch).kind == kind


def test_what_fires_and_names_a_cause_speaks() -> None:
    """A missing column explains drift; what is only pending comes last."""
    alerts = [raised("realised", firing=False), raised("drift"), raised("missing", column="bmi")]

    found = light(Watch("watching", 1000, alerts=alerts))

    assert found.words == "bmi: words of missing (and 2 more)"
    assert (found.firing, found.pending, found.label) == (2, 1, "2 firing")


def test_an_alert_about_all_columns_has_no_name_before_it() -> None:
    """The volume of rows is of no column."""
    found = light(Watch("watching", 1000, alerts=[raised("volume", column="")]))

    assert (found.words, found.label) == ("words of volume", "firing")


def test_learning_says_how_far_it_is() -> None:
    """Rows that were seen and rows that are needed."""
    expected = Light("learning", "learning what is usual: 1,200 of 5,000 rows")

    assert light(Watch("learning", 1200, 1200, 5000)) == expected
