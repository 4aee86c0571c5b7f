"""How results of the hostile clients are printed."""

from loadtests.hostile.command import table


def test_what_is_nested_has_its_path_as_name() -> None:
    """One line for each value; a list stands in one line, and says so if it is empty."""
    found = {"seed": 1, "clean": {"failed": [], "outcomes": {"good": 4}}, "codes": [0, 3]}

    assert table(found).splitlines() == [
        "| what | found |",
        "|---|---|",
        "| seed | 1 |",
        "| clean: failed | none |",
        "| clean: outcomes: good | 4 |",
        "| codes | 0; 3 |",
    ]
