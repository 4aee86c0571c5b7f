"""The routes of releases: paths, methods, headers and statuses."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from server.controlplane.release_app import ReleaseApp
from server.http_app import starlette_app
from tests.support import models
from tests.support.control import Control, ToldWorker, running_control

RELEASE = "http://control/v1/models/m/release"

Scenario = Callable[[httpx.AsyncClient, Control], Awaitable[None]]


def play(repository: Path, scenario: Scenario) -> None:
    """Play a scenario with model `m`, whose versions 1 and 2 are loaded and of which 2 is live."""
    for version in (1, 2):
        models.put(repository, "m", version, models.affine(offset=version))

    async def main() -> None:
        settings = {"version_policy": "all", "release": "manual", "load_timeout_seconds": 20.0}
        async with running_control(repository, ToldWorker(0), **settings) as control:
            app = starlette_app(list(ReleaseApp(control.release_operations).routes()))
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url=RELEASE) as client:
                await scenario(client, control)

    asyncio.run(main())


def test_a_release_is_shown_with_its_generation_as_etag(repository: Path) -> None:
    """Whoever looks gets what is needed to change it safely."""

    async def scenario(client: httpx.AsyncClient, _: Control) -> None:
        answer = await client.get(RELEASE)
        assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')
        assert (answer.json()["live"], answer.json()["mode"]) == ("2", "manual")

        stranger = await client.get("http://control/v1/models/nobody/release")
        assert (stranger.status_code, stranger.json()["code"]) == (404, "model_not_found")

    play(repository, scenario)


def test_a_change_is_answered_when_workers_have_it(repository: Path) -> None:
    """The answer tells what it was, what it is, and that everybody answers by it."""

    async def scenario(client: httpx.AsyncClient, control: Control) -> None:
        answer = await client.post(
            "/promote",
            json={"version": 1, "reason": "it is better"},
            headers=[
                (b"if-match", b'"1"'),
                (b"x-tidegate-actor", "Zoë".encode()),
                (b"x-request-id", b"r1"),
            ],
        )
        told = answer.json()
        assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
        assert (told["action"], told["generation"]) == ("promote", 2)
        assert (told["before"]["live"], told["after"]["live"]) == ("2", "1")
        assert (told["durable"], told["acknowledged"], told["workers_behind"]) == (True, True, [])
        assert control.fleet.live_everywhere("m") == "1"

        history = (await client.get("/history?limit=1&verify=1")).json()
        entry = history["entries"][0]
        assert (entry["actor"], entry["request_id"], entry["seq"]) == ("Zoë", "r1", 2)
        assert (history["is_sound"], history["problem"]) == (True, None)
        assert history["begins"]["generation"] == 0
        older = (await client.get("/history?before=2")).json()["entries"]
        assert [one["seq"] for one in older] == [1]

    play(repository, scenario)


def test_a_stale_change_is_refused_with_what_it_missed(repository: Path) -> None:
    """412 shows the release as it is and who has changed it."""

    async def scenario(client: httpx.AsyncClient, _: Control) -> None:
        body = {"version": "1", "reason": "x", "actor": "ann"}
        assert (await client.post("/promote", json=body)).status_code == 200
        stale = await client.post("/hold", json={"reason": "x"}, headers={"if-match": '"1"'})

        assert (stale.status_code, stale.json()["code"]) == (412, "stale_generation")
        assert stale.json()["release"]["live"] == "1"
        assert stale.json()["release"]["last_change"]["actor"] == "ann"
        assert (stale.headers["etag"], "x-request-id" in stale.headers) == ('"2"', True)

    play(repository, scenario)


def test_what_is_refused_is_named(repository: Path) -> None:
    """Wrong members, versions that are not there, and what is in the way."""

    async def scenario(client: httpx.AsyncClient, _: Control) -> None:
        for path, body, status, code in (
            ("/promote", {"verson": "1"}, 400, "invalid_request"),
            ("/promote", {"version": "1"}, 400, "invalid_request"),
            ("/promote", {"version": "9", "reason": "x"}, 404, "version_not_found"),
            ("/promote", {"version": "2", "reason": "x"}, 409, "release_refused"),
            ("/shadow", {"version": "2"}, 409, "release_refused"),
            ("/rollback", {}, 409, "release_refused"),
            ("/nothing", {}, 404, "not_found"),
        ):
            answer = await client.post(path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (status, code), path
        refused = await client.post("/promote", json={"version": "2", "reason": "x"})
        assert refused.json()["missing"] == ["it is live"]
        assert (await client.get("/history?limit=x")).status_code == 400
        assert (await client.get("/promote")).status_code == 405
        assert (await client.post("/hold", content=b" " * 70_000)).status_code == 413

    play(repository, scenario)


def test_a_candidate_is_stopped_by_either_way(repository: Path) -> None:
    """DELETE and {"stop": true} do the same."""

    async def scenario(client: httpx.AsyncClient, _: Control) -> None:
        assert (await client.post("/shadow", json={"version": "1"})).status_code == 200
        samples = (await client.get("/mismatches")).json()
        assert [one["version"] for one in samples["shadows"]] == ["1"]
        assert (await client.get("/mismatches?version=2")).status_code == 404
        assert (await client.delete("/shadow?version=1&reason=enough")).status_code == 200
        assert (await client.post("/canary", json={"version": "1"})).status_code == 200
        assert (await client.post("/canary", json={"next": True})).status_code == 200
        stopped = await client.post("/canary", json={"stop": True})
        assert (stopped.json()["after"]["canary"], stopped.json()["after"]["shadows"]) == (None, [])
        assert (await client.delete("/canary")).status_code == 409

    play(repository, scenario)


def test_a_dry_run_and_a_repeated_call_change_nothing(repository: Path) -> None:
    """The one says what would follow, the other what has followed."""

    async def scenario(client: httpx.AsyncClient, _: Control) -> None:
        body = {"version": "1", "reason": "x"}
        dry = await client.post("/promote?dry_run=1", json=body)
        assert (dry.json()["dry_run"], dry.json()["after"]["live"]) == (True, "1")
        assert (await client.get(RELEASE)).json()["live"] == "2"

        key = {"idempotency-key": "once"}
        first = (await client.post("/promote", json=body, headers=key)).json()
        again = (await client.post("/promote", json=body, headers=key)).json()
        assert (first.pop("repeated"), again.pop("repeated")) == (False, True)
        assert first == again
        other = await client.post("/promote", json={**body, "reason": "y"}, headers=key)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")

    play(repository, scenario)


def test_a_parameter_that_is_not_known_changes_nothing(repository: Path) -> None:
    """A misspelt `dry_run` must not make the change that was only to be tried."""

    async def scenario(client: httpx.AsyncClient, _: Control) -> None:
        words = "'dryrun' is no parameter of this call; dry_run"
        promote = await client.post("/promote?dryrun=1", json={"version": "1", "reason": "x"})
        assert (promote.status_code, promote.json()["error"]) == (400, words)
        stop = await client.delete("/shadow?version=1&dryrun=1")
        assert (stop.status_code, stop.json()["error"]) == (
            400,
            f"{words[:-7]}actor, dry_run, reason, version",
        )
        twice = await client.post("/promote?dry_run=1&dry_run=0", json={"version": "1"})
        assert twice.json()["error"] == "dry_run: expected it once, got it twice"
        for path in ("/history?limits=1", "/mismatches?verson=1"):
            asked = await client.get(path)
            assert (asked.status_code, asked.json()["code"]) == (400, "invalid_request")
        assert (await client.get(RELEASE)).json()["generation"] == 1

    play(repository, scenario)
