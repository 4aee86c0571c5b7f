"""An environment is made once, and what went wrong with it is told in one line."""

from pathlib import Path

import pytest

from loadtests.environments import python_of, reason


def test_an_environment_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    """It is the one of its requirements as long as these are what it was made with."""
    requirements = tmp_path / "peer.txt"
    requirements.write_text("numpy==2.4.6\n")
    home = tmp_path / "made" / "peer"
    home.mkdir(parents=True)
    (home / "installed.txt").write_text("numpy==2.4.6\n")

    assert python_of(requirements, tmp_path / "made") == home / "bin" / "python"
    assert [path.name for path in home.iterdir()] == ["installed.txt"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "no reason was given"),
        ("starting\n\nending\n \n", "ending"),
        (
            "Traceback …\nImportError: no such module\nshutting down\n",
            "ImportError: no such module",
        ),
        ("WARNING: x\nERROR: No matching distribution\n", "ERROR: No matching distribution"),
        ("  a.b.SomeException: why\nbye", "a.b.SomeException: why"),
    ],
)
def test_the_reason_is_the_last_error_or_else_the_last_line(text: str, line: str) -> None:
    """Programs go on writing when they end; what matters is what broke them."""
    assert reason(text) == line
