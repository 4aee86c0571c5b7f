"""The console over HTTP: pages, parts of pages, files, actions and what they answer."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from server.access.principals import Principal
from server.access.roles import Role
from server.console.pages import POLICY, files
from server.controlplane.console_app import KEPT_SECONDS, MAX_KEPT
from server.http_app import starlette_app
from tests.support import models
from tests.support.consoles import HTMX, Console, play
from tests.support.monitoring import Traffic, put_with_profile

PAGES = ("/", "/system", "/models/m", "/models/m/drift", "/models/m/release")
MAX_PAGE_BYTES = 150_000
ODD_NAME = "<script>alert(1)<-script>&\"' имя 模型"


def form(**fields: Any) -> dict[str, Any]:
    """Return a form as it is sent; what is not said is not in it."""
    return {name: str(value) for name, value in fields.items()}


def put_two(repository: Path) -> None:
    """Write two versions of `m`, of which the second goes live."""
    for version in (1, 2):
        models.put(repository, "m", version, models.affine(offset=version))


def test_every_page_is_html_of_this_host_only(repository: Path) -> None:
    """With the strict policy, never kept, and with nothing inline."""
    put_two(repository)

    async def scenario(client: httpx.AsyncClient, _: Console) -> None:
        for path in PAGES:
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert answer.headers["content-security-policy"] == POLICY
            assert answer.headers["cache-control"] == "no-store"
            assert answer.text.startswith("<!doctype html>")
            assert not re.search(r"<script(?![^>]* src=)| style=| on[a-z]+=\"", answer.text)

    play(repository, scenario)


def test_every_file_that_a_page_names_is_there(repository: Path) -> None:
    """Kept by browsers, because its address changes with it; others are not found."""
    put_two(repository)

    async def scenario(client: httpx.AsyncClient, _: Console) -> None:
        for path in PAGES:
            page = (await client.get(path)).text
            named = re.findall(r'(?:src|href)="(/console/[^"]+)"', page)
            assert len(named) >= 4
            for one in named:
                answer = await client.get(one)
                assert answer.status_code == 200, one
                assert "immutable" in answer.headers["cache-control"]
        for stranger in ("/console/nothing.js", "/console/../pages.py", "/console/"):
            assert (await client.get(stranger)).status_code == 404

    play(repository, scenario)


def test_htmx_gets_the_part_that_changes(repository: Path) -> None:
    """And asks for the same address again, its query included."""
    put_two(repository)

    async def scenario(client: httpx.AsyncClient, _: Console) -> None:
        whole = (await client.get("/models/m/drift?span=day&feature=%22%3E")).text
        assert 'hx-get="/models/m/drift?span=day&amp;feature=%22%3E"' in whole
        part = await client.get("/models/m/release", headers=HTMX)
        assert "<html" not in part.text
        assert '<input type="hidden" name="generation" value="1"' in part.text

    play(repository, scenario)


def test_a_part_is_rendered_once_a_second_for_all(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty tabs cost as much as one."""
    put_two(repository)

    async def scenario(client: httpx.AsyncClient, console: Console) -> None:
        rendered: list[str] = []
        render = console.app._pages.render

        def counting(template: str, values: dict[str, Any]) -> bytes:
            rendered.append(template)
            return render(template, values)

        monkeypatch.setattr(console.app._pages, "render", counting)
        answers = await asyncio.gather(*(client.get("/", headers=HTMX) for _ in range(20)))
        assert rendered == ["overview_live.html"]
        assert len({answer.content for answer in answers}) == 1

        console.clock += KEPT_SECONDS
        await client.get("/", headers=HTMX)
        assert len(rendered) == 2
        for number in range(MAX_KEPT + 10):
            await client.get(f"/?{number}", headers=HTMX)
        assert len(console.app._kept) <= MAX_KEPT

    play(repository, scenario)


def test_fifty_models_are_a_small_page(repository: Path) -> None:
    """Together with all the files that it needs."""
    for number in range(50):
        models.put(repository, f"model-number-{number:02}", 1, models.affine())

    async def scenario(client: httpx.AsyncClient, console: Console) -> None:
        for _ in range(20):
            console.control.now += 5.0
            console.recent.tick(console.control.now)
        page = await client.get("/")
        assert page.text.count('scope="row"') == 50
        named = set(re.findall(r'(?:src|href)="/console/([^"?]+)', page.text))
        assert len(page.content) + sum(len(files()[one]) for one in named) < MAX_PAGE_BYTES

    play(repository, scenario)


def test_a_drift_page_of_many_features_is_small(repository: Path) -> None:
    """With a history and a histogram of each feature that is listed."""
    put_with_profile(repository)

    async def scenario(client: httpx.AsyncClient, console: Console) -> None:
        await console.control.monitor.tick()
        await Traffic(console.control).run(80, 100, shift=[0.0, 1.0, 0.0])
        page = await client.get("/models/m/drift")
        assert "drift firing" in page.text
        assert '<svg class="heat"' in page.text
        assert '<svg class="hist"' in page.text
        assert len(page.content) < MAX_PAGE_BYTES

    play(repository, scenario)


def test_names_are_shown_as_they_are_and_never_run(repository: Path) -> None:
    """Markup, quotes and other scripts in the name of a model."""
    put_two(repository)
    models.put(repository, ODD_NAME[:60], 1, models.affine())

    async def scenario(client: httpx.AsyncClient, _: Console) -> None:
        page = (await client.get("/")).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page

    play(repository, scenario)


def test_a_model_that_is_gone_says_so_on_a_page(repository: Path) -> None:
    """In the part of a page that is open as well, with what can be done."""
    put_two(repository)

    async def scenario(client: httpx.AsyncClient, _: Console) -> None:
        for path in ("/models/gone", "/models/gone/drift", "/models/gone/release"):
            page = await client.get(path)
            part = await client.get(path, headers=HTMX)
            assert (page.status_code, part.status_code) == (404, 404)
            assert "is not in the repository" in page.text
            assert "<html" not in part.text
        answer = await client.post("/models/gone/release/hold", data=form(reason="r"), headers=HTMX)
        assert answer.status_code == 404
        assert "Nothing was changed" in answer.text

    play(repository, scenario)


def test_an_action_changes_the_release_and_says_so(repository: Path) -> None:
    """With its reason and its actor in the history, which the page shows."""
    put_two(repository)

    async def scenario(client: httpx.AsyncClient, console: Console) -> None:
        await client.get("/models/m/release", headers=HTMX)
        fields = form(version=1, reason="it is <b>better</b>", actor="Zoë", generation=1)
        answer = await client.post("/models/m/release/promote", data=fields, headers=HTMX)

        assert answer.status_code == 200
        assert "Promoted" in answer.text
        assert "<html" not in answer.text
        assert console.control.fleet.live_everywhere("m") == "1"
        part = (await client.get("/models/m/release", headers=HTMX)).text
        assert "it is &lt;b&gt;better&lt;/b&gt;" in part
        assert "<bdi>Zoë</bdi>" in part
        assert "Roll back to 2" in part

    play(repository, scenario)


def test_without_htmx_a_form_is_answered_with_the_whole_page(repository: Path) -> None:
    """Which then asks for the release itself, and not for the address of the action."""
    put_two(repository)

    async def scenario(client: httpx.AsyncClient, _: Console) -> None:
        fields = form(version=1, reason="r", generation=1)
        answer = await client.post("/models/m/release/promote", data=fields)
        assert answer.text.startswith("<!doctype html>")
        assert "Promoted" in answer.text
        assert 'hx-get="/models/m/release"' in answer.text

    play(repository, scenario)


def test_a_stale_form_names_who_was_faster(repository: Path) -> None:
    """What was done meanwhile, by whom and why, and how it stands now."""
    put_two(repository)

    async def scenario(client: httpx.AsyncClient, _: Console) -> None:
        first = form(version=1, reason="first", actor="ann", generation=1)
        await client.post("/models/m/release/promote", data=first, headers=HTMX)
        late = form(reason="late", generation=1)
        answer = await client.post("/models/m/release/rollback", data=late, headers=HTMX)

        assert answer.status_code == 412
        assert "has changed since it was shown" in answer.text
        assert "&#39;promote&#39; by ann: first" in answer.text
        assert "Version 1 is live now, generation 2" in answer.text

    play(repository, scenario)


@pytest.mark.parametrize(
    ("action", "fields", "status", "told"),
    [
        ("rollback", form(reason="r"), 409, "Nothing was changed"),
        ("promote", form(reason="r"), 400, "version"),
        ("promote", form(version="x", reason="r"), 400, "number of a version"),
        ("promote", form(version=9, reason="r"), 404, "no version"),
        ("hold", form(reason="r", generation="<b>"), 400, "If-Match"),
        ("erase", form(reason="r"), 404, "no action"),
        ("hold", {f"f{number}": "1" for number in range(50)}, 400, "cannot be read"),
    ],
)
def test_what_is_refused_says_why_in_place(
    repository: Path, action: str, fields: dict[str, str], status: int, told: str
) -> None:
    """Nothing is changed, and nothing that was sent becomes markup."""
    put_two(repository)

    async def scenario(client: httpx.AsyncClient, _: Console) -> None:
        answer = await client.post(f"/models/m/release/{action}", data=fields, headers=HTMX)
        assert (answer.status_code, answer.headers["content-security-policy"]) == (status, POLICY)
        assert told in answer.text
        assert "Nothing was changed" in answer.text
        assert "<b>" not in answer.text

    play(repository, scenario)


class _As:
    """An application whose callers have all been recognized as one."""

    def __init__(self, app: ASGIApp, principal: Principal) -> None:
        self._app = app
        self._principal = principal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "user": self._principal}, receive, send)


def test_who_may_only_look_has_no_buttons_to_press(repository: Path) -> None:
    """And whoever may act is named in the history by their key, whatever the form says."""
    put_two(repository)

    async def scenario(_: httpx.AsyncClient, console: Console) -> None:
        app = starlette_app(list(console.app.routes()))

        def calling(principal: Principal) -> httpx.AsyncClient:
            transport = httpx.ASGITransport(_As(app, principal))
            return httpx.AsyncClient(transport=transport, base_url="http://control")

        async with calling(Principal("watcher", {Role.READ_METRICS})) as client:
            for headers in ({}, HTMX):
                text = (await client.get("/models/m/release", headers=headers)).text
                assert "takes the role <code>operate</code>" in text
                assert text.count("<button disabled>") == text.count('<details id="act-')
            assert "watcher" in (await client.get("/")).text
        async with calling(Principal("operator key", {Role.OPERATE})) as client:
            text = (await client.get("/models/m/release", headers=HTMX)).text
            assert "disabled" not in text
            assert 'name="actor"' not in text
            fields = form(version=1, reason="r", actor="somebody else")
            await client.post("/models/m/release/promote", data=fields, headers=HTMX)
            text = (await client.get("/models/m/release", headers=HTMX)).text
            assert "<bdi>operator key</bdi>" in text
            assert "somebody else" not in text

    play(repository, scenario)
