"""A canary through a whole gateway: users stay where they are, and moves go one way."""

import os
import signal
from pathlib import Path
from typing import Any

from tests.conftest import StartGateway
from tests.support import models
from tests.support.gateway import Gateway, Reply, call, eventually
from tests.support.workshop import ROW, offset_of

MANUAL: dict[str, Any] = {"release": "manual", "version_policy": "all", "workers": 2}
USERS = [f"user-{number}" for number in range(40)]


def canary(gateway: Gateway, **members: Any) -> Any:
    """Change the canary of model m on all workers; return the release state after it."""
    url = f"{gateway.control}/v1/models/m/release/canary"
    reply = call(url, {"actor": "ann", "reason": "a test", **members})
    assert (reply.status, reply.json.get("acknowledged")) == (200, True), reply.body
    return reply.json["after"]


def arms(gateway: Gateway) -> dict[str, str]:
    """Return which version answers each user; each call may meet another worker."""
    found = {}
    for user in USERS:
        reply = gateway.infer("m", ROW, X_Routing_Key=user)
        found[user] = reply.headers["x-model-version"]
        assert offset_of(reply) == float(found[user])
    return found


def share(found: dict[str, str]) -> set[str]:
    return {user for user, version in found.items() if version == "2"}


def test_users_move_to_a_canary_one_way_and_stay(start: StartGateway, repository: Path) -> None:
    """Step by step, on every worker, over the death of one; a version that is named answers."""
    for version in (1, 2):
        models.put(repository, "m", version, models.affine(offset=version))
    with start(**MANUAL) as gateway:
        url = f"{gateway.control}/v1/models/m/release/promote"
        assert call(url, {"version": "1", "reason": "a test", "actor": "ann"}).status == 200
        begun = canary(gateway, version="2", steps=[3000, 7000])
        few = arms(gateway)
        assert 0 < len(share(few)) < len(USERS)
        gone = gateway.workers()[0]
        os.kill(gone, signal.SIGKILL)
        eventually(lambda: _is_whole(gateway, gone))
        assert arms(gateway) == few

        grown = canary(gateway, next=True)
        assert grown["generation"] == begun["generation"] + 1
        many = arms(gateway)
        assert share(few) < share(many)

        pinned = gateway.infer("m", ROW, X_Model_Version="1", X_Prediction_Id="order:17")
        assert _origin(pinned) == ("1", str(grown["generation"]), "order:17")
        assert _origin(gateway.infer("m", ROW, "2"))[:2] == ("2", str(grown["generation"]))
        unknown = gateway.infer("m", ROW, X_Model_Version="9")
        assert (unknown.status, unknown.json["code"]) == (404, "version_not_found")

        canary(gateway, stop=True)
        assert share(arms(gateway)) == set()


def _is_whole(gateway: Gateway, gone: int) -> bool:
    """Whether there are two workers without the one that is gone, and each has what it should."""
    workers = gateway.workers()
    is_ready = call(gateway.control + "/v2/health/ready").status == 200
    return is_ready and len(workers) == 2 and gone not in workers


def _origin(reply: Reply) -> tuple[str, ...]:
    names = ("x-model-version", "x-release-generation", "x-prediction-id")
    return tuple(reply.headers[name] for name in names)
