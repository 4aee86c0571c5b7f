"""A real browser, the distribution's Chromium, and pages of it that note all that goes wrong."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
AXE = (Path(__file__).parent.parent / "vendor" / "axe-4.14.1.min.js").read_text()
SERIOUS = ("serious", "critical")
UNANSWERED = ("Failed to load resource", "Failed to fetch", "network error", "error: timeout")
"""Words of the browser, and of htmx, for a request without an answer, or with half of one."""
WAIT_MILLISECONDS = 20_000
"""For what a test waits for; a busy machine takes its time."""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser until the block ends."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert program, f"none of {', '.join(NAMES)} is installed: .ci/programs says what to do"
    with sync_playwright() as playwright:
        # The sandbox of Chromium needs a kernel that lets it, which few containers have.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Tab:
    """A page in the browser, what it asked for, and what went wrong in it."""

    page: Page
    origin: str
    """Of the control port; nothing else may be asked."""
    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    """Paths of the parts of pages that were asked for."""

    def open(self, path: str) -> None:
        """Go to a page and wait until it is there."""
        self.page.goto(self.origin + path)
        self.page.wait_for_function("window.htmx !== undefined")

    def note(self, request: Request) -> None:
        """Note a request of the page."""
        parts = urlsplit(request.url)
        if f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.strangers.append(request.url)
        elif "hx-request" in request.headers:
            self.parts.append(parts.path)

    def log(self, kind: str, text: str) -> None:
        """Note what the page writes to its console, but for requests that got no good answer."""
        if kind == "error" and not any(words in text for words in UNANSWERED):
            self.errors.append(text)

    def violations(self, *rules: str) -> list[str]:
        """Return what axe-core finds serious in the page as it is now, by some rules or by all."""
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        if rules:
            options["runOnly"] = rules
        self.page.evaluate(AXE)
        found: Any = self.page.evaluate("options => axe.run(document, options)", options)
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in SERIOUS
            for node in one["nodes"]
        ]

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        width: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return width


@contextlib.contextmanager
def tab(browser: Browser, origin: str, **settings: Any) -> Iterator[Tab]:
    """Open a tab; after the block, no script has failed and nobody else was asked.

    A request that gets no answer, and an answer that refuses, are no errors of a script.
    """
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | settings)
    context.set_default_timeout(WAIT_MILLISECONDS)
    page = context.new_page()
    made = Tab(page, origin)
    page.on("pageerror", lambda error: made.errors.append(str(error)))
    page.on(
        "console",
        lambda message: made.log(message.type, message.text),
    )
    page.on("request", made.note)
    try:
        yield made
        assert not made.errors, made.errors
        assert not made.strangers, made.strangers
    finally:
        context.close()
