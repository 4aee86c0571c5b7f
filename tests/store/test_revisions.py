"""Revisions by name: read without alembic, and told as alembic would tell them."""

from alembic.config import Config
from alembic.script import ScriptDirectory

from server.store import revisions


def test_known_revisions_are_alembics() -> None:
    """The names of the scripts, which are read at a start, tell what alembic would find in them."""
    config = Config()
    config.set_main_option("script_location", str(revisions.SCRIPTS))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)

    found = [one.revision for one in script.walk_revisions()]
    assert revisions.known() == found[::-1]
    assert script.get_current_head() == revisions.known()[-1]


def test_only_a_revision_that_nobody_here_knows_is_refused() -> None:
    """Both numbers are named, and what can be done."""
    newest = revisions.known()[-1]

    assert {revisions.refusal(revision) for revision in revisions.known()} == {""}
    words = revisions.refusal("0999")
    assert f"of revision 0999, newer than {newest}" in words
    assert "run the newer program again, or stop the gateway and move the file away" in words
