"""The routes of feedback, without a socket."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from server.controlplane.feedback_app import MAX_FEEDBACK_BYTES, MAX_ITEMS, FeedbackApp
from server.controlplane.known import KnownModel
from server.controlplane.realised_view import RealisedView
from server.errors import ModelNotFound
from server.http_app import starlette_app
from tests.support.predicted import MODEL, FeedbackRig, item

Scenario = Callable[[FeedbackRig, httpx.AsyncClient], Coroutine[Any, Any, None]]


def run(tmp_path: Path, scenario: Scenario, **settings: Any) -> None:
    """Run a scenario; feedback is written while it runs."""

    async def whole() -> None:
        rig = FeedbackRig(tmp_path / "state", **settings)

        def find(name: str) -> KnownModel:
            if name not in rig.models:
                raise ModelNotFound(f"model '{name}' is not found")
            return rig.models[name]

        view = RealisedView(rig.feedback, rig.store, lambda: rig.now)
        app = FeedbackApp(rig.feedback, view, find, lambda _: {"1": {"assumption": "none"}})
        transport = httpx.ASGITransport(starlette_app(app.routes()))
        writing = asyncio.create_task(rig.feedback.run())
        async with httpx.AsyncClient(transport=transport, base_url="http://control") as client:
            await scenario(rig, client)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await rig.feedback.close()
        await rig.store.close()

    asyncio.run(whole())


def test_each_item_is_answered(tmp_path: Path) -> None:
    """In their order, as a list or in an object; what is wrong with one is said there."""

    async def scenario(rig: FeedbackRig, client: httpx.AsyncClient) -> None:
        one, two = rig.predict([0.9, 0.1])
        answer = await client.post("/v1/feedback", json=[item(one, 1), item(two, 5), item(one, 1)])
        assert answer.status_code == 200
        assert answer.json() == {
            "results": [
                {"result": "joined"},
                {
                    "result": "rejected",
                    "reason": "label: 5 is no class of the model; 0, 1 are",
                },
                {"result": "duplicate"},
            ],
            "counts": {"joined": 1, "rejected": 1, "duplicate": 1},
        }
        answer = await client.post("/v1/feedback", json={"items": [item(two, 0)]})
        assert answer.json()["counts"] == {"joined": 1}
        empty = await client.post("/v1/feedback", json=[])
        assert empty.json() == {"results": [], "counts": {}}

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad_json"),
        (b"{}", 400, "invalid_request"),
        (b'"x"', 400, "invalid_request"),
        (b'{"items": [], "x": 1}', 400, "invalid_request"),
        (orjson.dumps([0] * (MAX_ITEMS + 1)), 400, "invalid_request"),
        (b" " * (MAX_FEEDBACK_BYTES + 1), 413, "payload_too_large"),
    ],
    ids=["half", "no items", "text", "more", "too many", "too long"],
)
def test_a_call_that_cannot_be_read_is_refused(
    tmp_path: Path, body: bytes, status: int, code: str
) -> None:
    """As a whole: there are no items to answer."""

    async def scenario(_: FeedbackRig, client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/feedback", content=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)

    run(tmp_path, scenario)


def test_as_many_labels_as_a_call_may_have(tmp_path: Path) -> None:
    """Ten thousand of them fit, with all members that an item may have."""

    async def scenario(rig: FeedbackRig, client: httpx.AsyncClient) -> None:
        ids = rig.predict([0.9] * MAX_ITEMS)
        full = {"row": 0, "ts": rig.now, "acted_on": False, "model": MODEL}
        answer = await client.post("/v1/feedback", json=[item(one, 1, **full) for one in ids])
        assert answer.json()["counts"] == {"joined": MAX_ITEMS}

    run(tmp_path, scenario)


def test_performance_is_told_beside_what_is_estimated(tmp_path: Path) -> None:
    """By version, with the live one marked; an unknown model is not found."""

    async def scenario(rig: FeedbackRig, client: httpx.AsyncClient) -> None:
        one, two = rig.predict([0.9, 0.1], sexes=["f", "m"])
        await client.post("/v1/feedback", json=[item(one, 1), item(two, 1)])

        report = (await client.get(f"/v1/models/{MODEL}/performance")).json()
        (version,) = report["versions"]
        assert (report["model"], version["version"]) == (MODEL, "1")
        assert version["estimated"] == {"assumption": "none"}
        (role,) = version["roles"]
        assert (role["labelled"], role["figures"]["accuracy"]) == (2, 0.5)
        assert [one["segment"] for one in role["segments"]] == ["sex=f", "sex=m"]
        assert (await client.get("/v1/models/nobody/performance")).status_code == 404

    run(tmp_path, scenario)
