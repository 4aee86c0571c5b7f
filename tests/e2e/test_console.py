"""The console in a real browser: each page, each button, live updates, control restarted under it.

One gateway and one browser for all of these; each test leaves the release as it found it.
"""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from tests.support import models
from tests.support.browser import WAIT_MILLISECONDS, Tab, chromium, tab
from tests.support.gateway import Gateway, call, eventually, running

ROOT = Path(__file__).parent.parent.parent
MODEL = "breast-cancer"
ODD_NAME = "<b onclick=x>&'имя 模型" + "w" * 40
PAGES = (
    *("/", "/system", f"/models/{MODEL}", f"/models/{MODEL}/drift", f"/models/{MODEL}/release"),
    f"/models/{MODEL}/drift?feature=worst%20radius&span=day",
)
RELEASE = f"/models/{MODEL}/release"


@dataclass
class Stage:
    """What all tests here use."""

    gateway: Gateway
    browser: Browser

    def tab(self, **settings: Any) -> contextlib.AbstractContextManager[Tab]:
        """Open a tab on the console."""
        return tab(self.browser, self.gateway.control, **settings)

    def release(self) -> Any:
        """Return how the release stands."""
        return call(f"{self.gateway.control}/v1/models/{MODEL}/release").json

    def ask(self, name: str, **members: Any) -> None:
        """Make a call of the release API, as somebody else would."""
        reply = call(f"{self.gateway.control}/v1/models/{MODEL}/release/{name}", members)
        assert reply.status == 200, reply.body


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Serve an example model whose second version is live, under steady traffic of real rows."""
    root = tmp_path_factory.mktemp("console")
    shutil.copytree(ROOT / "models" / MODEL, root / "models" / MODEL)
    settings = root / "models" / MODEL / "model.toml"
    settings.write_text('release = "manual"\n' + settings.read_text())
    models.put(root / "models", ODD_NAME, 1, models.affine())
    with running(root / "models", root / "state", monitor_window_seconds=0.5) as gateway:
        eventually(lambda: gateway.index()[MODEL, "1"]["state"] == "READY")
        with asking(gateway), chromium() as browser:
            yield Stage(gateway, browser)


@contextlib.contextmanager
def asking(gateway: Gateway) -> Iterator[None]:
    """Ask for predictions of golden rows until the block ends, a few times a second."""
    golden = np.load(ROOT / "models" / MODEL / "2" / "golden.npz")["inputs/features"]
    rows = np.tile(golden, (3, 1)).astype(np.float32)
    inputs = [
        {
            "name": "features",
            "datatype": "FP32",
            "shape": list(rows.shape),
            "data": rows.ravel().tolist(),
        }
    ]
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.wait(0.2):
            with contextlib.suppress(OSError):
                gateway.infer(MODEL, inputs)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def act(opened: Tab, name: str, reason: str = "a test", **fields: str) -> None:
    """Open an action's form, fill it in and send it."""
    form = opened.page.locator(f"#act-{name}")
    form.locator("summary").click()
    form.locator("[name=reason]").fill(reason)
    for field, value in fields.items():
        box = form.locator(f"[name={field}]")
        if field == "version":
            box.select_option(value)
        else:
            box.fill(value)
    form.locator("button").click()


def told(opened: Tab, words: str) -> None:
    """Wait until the message of an action says something."""
    expect(opened.page.locator("#message")).to_contain_text(words, timeout=WAIT_MILLISECONDS)


def test_pages_can_be_used_by_all(stage: Stage) -> None:
    """No serious finding of axe-core on any page, and no page is wider than a small phone."""
    with stage.tab(viewport={"width": 360, "height": 740}) as opened:
        for path in PAGES:
            opened.open(path)
            assert opened.overflow() == 0, path
            assert opened.violations() == [], path
        opened.page.goto(stage.gateway.control + RELEASE)
        opened.page.locator("#act-promote summary").click()
        assert opened.violations() == []


def test_dark_pages_can_be_read(stage: Stage) -> None:
    """The other colours of who prefers them have contrast enough too."""
    with stage.tab(color_scheme="dark") as opened:
        for path in ("/", f"/models/{MODEL}/drift", RELEASE):
            opened.open(path)
            assert opened.violations("color-contrast") == [], path


def test_pages_lead_to_each_other(stage: Stage) -> None:
    """From the overview to a model, its drift, a feature of it, its release, and the system."""
    with stage.tab() as opened:
        opened.open("/")
        opened.page.locator("table.models").get_by_role("link", name=MODEL, exact=True).click()
        expect(opened.page.locator("h1")).to_contain_text(MODEL)
        expect(opened.page.locator(".chart canvas")).to_have_count(4)
        opened.page.get_by_role("link", name="Drift", exact=True).click()
        opened.page.get_by_role("link", name=re.compile("Show [0-9]+ more")).click()
        opened.page.get_by_role("link", name="worst area", exact=True).click()
        expect(opened.page.locator("#detail")).to_have_text("worst area")
        opened.page.get_by_role("link", name="last day, by hour").click()
        expect(opened.page.locator("svg.heat")).to_be_visible()
        expect(opened.page.locator("#detail")).to_have_text("worst area")
        opened.page.get_by_role("link", name="Release", exact=True).click()
        expect(opened.page.locator("#history")).to_be_visible()
        opened.page.get_by_role("link", name="System").click()
        expect(opened.page.locator("#workers")).to_be_visible()
        opened.page.go_back()
        expect(opened.page.locator("#history")).to_be_visible()


def test_names_are_text(stage: Stage) -> None:
    """Markup in the name of a folder is shown as it is, with the reason why it is no model."""
    with stage.tab() as opened:
        opened.open("/")
        row = opened.page.locator("table.models tr", has_text=ODD_NAME)
        expect(row.locator("bdi")).to_have_text(ODD_NAME)
        assert opened.page.locator("b").count() == 0


def test_figures_change_without_reloading_and_leave_forms_alone(stage: Stage) -> None:
    """A reason that is being written stays, with the cursor in it, while the page is replaced."""
    with stage.tab() as opened:
        opened.open(RELEASE)
        opened.page.evaluate("window.mark = 1")
        form = opened.page.locator("#act-promote")
        form.locator("summary").click()
        form.locator("[name=reason]").fill("half a sen")
        form.locator("[name=reason]").focus()
        seen = len(opened.parts)
        stage.ask("hold", reason="from elsewhere", actor="bob")

        expect(opened.page.locator("#act-resume")).to_be_visible()
        expect(opened.page.get_by_text("from elsewhere").first).to_be_visible()
        opened.page.keyboard.type("tence")
        assert form.locator("[name=reason]").input_value() == "half a sentence"
        assert form.get_attribute("open") is not None
        assert opened.page.evaluate("window.mark") == 1
        assert len(opened.parts) > seen
        stage.ask("resume", reason="over", actor="bob")


def test_lines_grow_while_they_are_looked_at(stage: Stage) -> None:
    """The numbers of a chart change, and its drawing is not made anew."""
    with stage.tab() as opened:
        opened.open(f"/models/{MODEL}")
        chart = opened.page.locator("#chart-1")
        opened.page.evaluate("document.querySelector('#chart-1 canvas').dataset.mark = 1")
        before = chart.get_attribute("data-chart")
        expect(chart).not_to_have_attribute("data-chart", before or "", timeout=WAIT_MILLISECONDS)
        expect(chart.locator("canvas[data-mark]")).to_have_count(1)


def test_a_hidden_tab_asks_for_nothing(stage: Stage) -> None:
    """And catches up once it is looked at again."""
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    change = "document.dispatchEvent(new Event('visibilitychange'))"
    with stage.tab() as opened:
        opened.page.clock.install()
        opened.open("/")
        opened.page.evaluate(hide % "true" + change)
        opened.page.clock.run_for(60_000)
        assert opened.parts == []
        opened.page.evaluate(hide % "false" + change)
        expect(opened.page.locator("#models")).to_be_visible()
        eventually(lambda: opened.page.title() and len(opened.parts) == 1)
        opened.page.clock.run_for(3_100)
        eventually(lambda: opened.page.title() and len(opened.parts) == 2)


def test_every_button_does_what_it_says(stage: Stage) -> None:
    """Shadow, canary step by step, approval, promotion and roll back, hold: for real."""
    with stage.tab() as opened:
        opened.open(RELEASE)
        act(opened, "shadow", version="1", actor="ann")
        told(opened, "The shadow has begun")
        expect(opened.page.locator("#gates-shadow-1")).to_be_visible()
        act(opened, "shadow-stop")
        told(opened, "The shadow has ended")
        act(opened, "canary", version="1")
        told(opened, "The canary has begun")
        act(opened, "canary-next")
        told(opened, "The canary has its next weight")
        assert stage.release()["canary"]["step"] == 1
        act(opened, "canary-stop")
        told(opened, "The canary has ended")
        stage.ask("canary", version="1", needs_approval=True, actor="ann", reason="try")
        act(opened, "approve", actor="bob")
        told(opened, "Approved")
        act(opened, "promote", "better on new rows", version="1", actor="bob")
        told(opened, "Promoted")
        assert stage.release()["live"] == "1"
        act(opened, "rollback", "it was not")
        told(opened, "Rolled back")
        assert stage.release()["live"] == "2"
        act(opened, "hold", "wait for labels")
        told(opened, "Held")
        act(opened, "resume")
        told(opened, "Resumed")
        history = opened.page.locator("table", has_text="Generation").last
        expect(history).to_contain_text("better on new rows")
        expect(history).to_contain_text("bob")


def test_whoever_was_too_late_is_told_by_whom(stage: Stage) -> None:
    """Nothing is changed, and the page shows how it stands now."""
    with stage.tab() as opened:
        opened.page.clock.install()  # The page is not renewed meanwhile.
        opened.open(RELEASE)
        stage.ask("hold", reason="labels are late", actor="ann")
        act(opened, "promote", version="1")
        told(opened, "by ann: labels are late")
        assert stage.release()["live"] == "2"
        expect(opened.page.locator("#act-resume")).to_be_visible()
        act(opened, "resume", "they have come")
        told(opened, "Resumed")


def test_a_refusal_is_told_in_place(stage: Stage) -> None:
    """What the page did not know, the answer says; the form stays as it was filled in."""
    with stage.tab() as opened:
        opened.open(RELEASE)
        opened.page.evaluate("document.querySelector('#version-promote option').value = '77'")
        act(opened, "promote", "no such version")
        told(opened, "Nothing was changed")
        expect(opened.page.locator("#reason-promote")).to_have_value("no such version")


def test_control_may_be_killed_under_an_open_page(stage: Stage) -> None:
    """It says that control does not answer, then what control does not know yet, then goes on."""
    with stage.tab() as opened:
        opened.open("/")
        opened.page.evaluate("window.mark = 1")
        before = stage.gateway.children()["control"]
        os.kill(before, signal.SIGKILL)
        eventually(lambda: stage.gateway.children().get("control") not in (None, before))
        expect(opened.page.locator("aside.unknown")).to_contain_text(
            "Not known yet", timeout=WAIT_MILLISECONDS
        )
        expect(opened.page.locator("#beat")).to_have_text("live")
        row = opened.page.locator("tr", has_text=MODEL)
        expect(row).to_contain_text("2", timeout=WAIT_MILLISECONDS)
        expect(opened.page.locator("aside.unknown")).to_have_count(0, timeout=WAIT_MILLISECONDS)
        assert opened.page.evaluate("window.mark") == 1


def test_a_page_says_when_control_does_not_answer(stage: Stage) -> None:
    """With the time of what it shows, and that what was asked may not have been done."""
    with stage.tab() as opened:
        opened.open(RELEASE)
        opened.page.context.set_offline(True)
        expect(opened.page.locator("#beat")).to_contain_text("control does not answer")
        act(opened, "hold")
        told(opened, "Whether the change was made is not known")
        opened.page.context.set_offline(False)
        expect(opened.page.locator("#beat")).to_have_text("live")
        assert stage.release()["held"] == ""


def test_axe_is_the_one_that_was_published() -> None:
    """What judges the pages has its hash in the list beside it."""
    folder = ROOT / "tests" / "vendor"
    lines = (folder / "SHA256SUMS.txt").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split() for line in lines)}

    assert listed.keys() == {path.name for path in folder.iterdir()} - {"SHA256SUMS.txt"}
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_with_keys_people_enter_one_once(stage: Stage) -> None:
    """Who may look cannot press; who may act is named by the key. The last test: keys stay on."""
    watcher, operator = (
        make_key(stage, "watcher", "read-metrics"),
        make_key(stage, "ops", "operate"),
    )
    eventually(lambda: call(stage.gateway.control + "/").status == 401)
    with stage.tab() as opened:
        enter(opened, watcher)
        expect(opened.page.locator(".who")).to_have_text("watcher")
        opened.page.locator("#act-hold summary").click()
        expect(opened.page.locator("#act-hold button")).to_be_disabled()
        opened.page.get_by_role("button", name="Sign out").click()
        opened.page.wait_for_url("**/login")
        enter(opened, operator)
        expect(opened.page.locator("[name=actor]")).to_have_count(0)
        act(opened, "hold", "one last look")
        told(opened, "Held")
        history = opened.page.locator("table", has_text="Generation").last
        expect(history.locator("tbody tr").first).to_contain_text("ops")
        act(opened, "resume")
        told(opened, "Resumed")


def make_key(stage: Stage, name: str, role: str) -> str:
    """Make a key as an operator does; return it."""
    command = [sys.executable, "-m", "server", "key", "create", name, "--role", role]
    command += ["--state-dir", str(stage.gateway.state_dir)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"tg_\S+", made.stdout)
    assert found is not None, made.stdout
    return found.group()


def enter(opened: Tab, key: str) -> None:
    """Ask for the release page, and enter a key on the page that comes in its place."""
    opened.page.goto(opened.origin + RELEASE)
    opened.page.locator("[name=key]").fill(key)
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_url(f"**{RELEASE}")
    opened.page.wait_for_function("window.htmx !== undefined")
