"""Templates and files: escaped, of this host only, and as they were vendored."""

import hashlib
import html
import re
from pathlib import Path

import numpy as np
import pytest

from server.console import drift
from server.console.drift import Asked, DriftFacts
from server.console.pages import FOLDER, KINDS, POLICY, STATIC, Pages, asset, files
from server.monitoring.history import History
from tests.support.drift_answers import report

VENDOR = FOLDER / "static" / "vendor"
TEMPLATES = sorted((FOLDER / "templates").glob("*.html"))


def test_vendored_files_are_those_that_were_published() -> None:
    """Each has its hash in the list, and its licence beside it; nothing else lies there."""
    lines = (VENDOR / "SHA256SUMS.txt").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split() for line in lines)}

    there = {path.name for path in VENDOR.iterdir()} - {"SHA256SUMS.txt"}
    assert there == listed.keys()
    for name, expected in listed.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == expected
        assert f"{re.split('[-]', name)[0]}-LICENSE.txt" in there


def test_texts_are_escaped() -> None:
    """Markup in a name is shown as it was written."""
    shown = Pages().render("gone_live.html", {"error": "model '<script>\"x\"' is gone"}).decode()

    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_names_of_features_are_text() -> None:
    """Markup, two hundred characters and other scripts, in ranking, heat map and detail."""
    odd = "<img src=x onerror=alert(1)>" + "имя 模型" * 20
    told = report()["versions"][0]
    for column in told["columns"]:
        column["name"] = odd + column["name"]
    names = [column["name"] for column in told["columns"]]
    history = History([0.0], [60.0], [500], np.full((1, len(names)), 0.5), 200)
    facts = DriftFacts("m", told, (), history, names, None, "watching", 5000)
    values = {"view": drift.view(facts, Asked(feature=names[0])), "model": odd}

    shown = Pages().render("drift_live.html", values).decode()

    assert "<img" not in shown
    assert f"<bdi>{html.escape(names[0], quote=False)}</bdi>" in shown


def test_a_value_that_is_missing_is_an_error() -> None:
    """A page never shows an empty place for what it should have been given."""
    with pytest.raises(Exception, match="error"):
        Pages().render("gone_live.html", {})


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_nothing_inline_and_nothing_of_another_host(path: Path) -> None:
    """No script, no style and no event handler in a page, which the policy would refuse."""
    text = path.read_text()

    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=|hx-on|hx-vals", text)
    assert not re.search(r"(src|href|action)=.?(https?:)?//", text)
    assert "|safe" not in text
    assert "autoescape" not in text


def test_the_policy_allows_this_host_only() -> None:
    """Nothing inline, no eval, no frame around a page."""
    assert "unsafe" not in POLICY
    assert "default-src 'none'" in POLICY
    assert "frame-ancestors 'none'" in POLICY


def test_an_address_of_a_file_changes_with_its_bytes() -> None:
    """So that browsers may keep it for ever."""
    name = "console.css"

    digest = hashlib.sha256(files()[name]).hexdigest()[:12]
    assert asset(name) == f"{STATIC}{name}?{digest}"


def test_only_files_of_known_kinds_are_given_out() -> None:
    """And none of the templates."""
    assert files().keys() >= {"console.css", "console.js", "icon.svg", "vendor/htmx-4.0.1.min.js"}
    assert all(Path(name).suffix in KINDS for name in files())


def test_a_page_and_its_files_are_small() -> None:
    """All that the first page needs but itself: the rest is for fifty models."""
    needed = ["console.css", "console.js", "icon.svg", "vendor/htmx-4.0.1.min.js"]

    assert sum(len(files()[name]) for name in needed) < 75_000
