"""Keys through a whole gateway: made by the command, asked for on both ports, never to be read."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from server.cli import app
from tests.support import models
from tests.support.documents import in_code, page, tables
from tests.support.gateway import Gateway, Reply, call, eventually, running

ROW = [[1.0, 2.0, 3.0]]
ROLES = {
    "shop": ["predict"],
    "one-model": ["predict"],
    "ann": ["operate"],
    "prometheus": ["read-metrics"],
}


def key(folder: Path, *arguments: str) -> Any:
    """Run a command of `tidegate key` on the state directory of the gateway."""
    places = ["--state-dir", str(folder / "state"), "--json"]
    result = CliRunner().invoke(app, ["key", *arguments, *places])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where repository and state are."""
    return tmp_path_factory.mktemp("access")


@pytest.fixture(scope="module")
def made(folder: Path) -> dict[str, Any]:
    """The keys, as the command has printed them."""
    return {
        name: key(
            folder,
            "create",
            name,
            *[word for role in roles for word in ("--role", role)],
            *(["--model", "other"] if name == "one-model" else []),
        )
        for name, roles in ROLES.items()
    }


@pytest.fixture(scope="module")
def gateway(folder: Path, made: dict[str, Any]) -> Iterator[Gateway]:
    """A gateway with these keys and two versions of a model."""
    assert made
    for version in (1, 2):
        models.put(folder / "models", "m", version, models.affine())
    settings = {"release": "manual", "version_policy": "all", "workers": 2}
    with running(folder / "models", folder / "state", **settings) as started:
        yield started


def bearer(made: dict[str, Any], name: str) -> dict[str, str]:
    """Return the header that shows a key."""
    return {"Authorization": f"Bearer {made[name]['key']}"}


def infer(gateway: Gateway, **headers: str) -> int:
    """Return the status of an inference."""
    return gateway.infer("m", ROW, **headers).status


def promote(gateway: Gateway, version: int, **headers: str) -> Reply:
    """Promote a version, as somebody else if that could be."""
    members = {"version": version, "reason": "a test", "actor": "somebody"}
    headers |= {"X-Tidegate-Actor": "somebody"}
    return call(f"{gateway.control}/v1/models/m/release/promote", members, **headers)


def test_who_may_operate_promotes_and_the_audit_names_the_owner_of_the_key(
    gateway: Gateway, made: dict[str, Any]
) -> None:
    """Whatever the call says of who makes it."""
    assert promote(gateway, 1).status == 401
    assert promote(gateway, 1, **bearer(made, "shop")).status == 403
    answer = promote(gateway, 1, **bearer(made, "ann"))
    assert answer.status == 200, answer.body
    history = f"{gateway.control}/v1/models/m/release/history"
    entries = call(history, None, **bearer(made, "prometheus")).json["entries"]
    assert entries[0]["actor"] == "ann"

    assert infer(gateway) == 401
    assert infer(gateway, **bearer(made, "one-model")) == 403
    assert infer(gateway, **bearer(made, "ann")) == 403
    assert infer(gateway, **bearer(made, "shop")) == 200


def test_labels_of_other_models_are_not_taken(gateway: Gateway, made: dict[str, Any]) -> None:
    """A key for some models has to say of which each label is."""
    label = {"prediction_id": "order:1", "label": 1}
    url = f"{gateway.control}/v1/feedback"

    assert call(url, {"items": [label]}, **bearer(made, "one-model")).status == 403
    foreign = {"items": [{**label, "model": "m"}]}
    assert call(url, foreign, **bearer(made, "one-model")).status == 403
    own = {"items": [{**label, "model": "other"}]}
    assert call(url, own, **bearer(made, "one-model")).status == 200
    assert call(url, {"items": [label]}, **bearer(made, "shop")).status == 200
    assert call(f"{gateway.control}/metrics", None, **bearer(made, "prometheus")).status == 200


def test_keys_change_without_a_restart(
    gateway: Gateway, made: dict[str, Any], folder: Path
) -> None:
    """A new key is good and a revoked one is not, on every worker."""
    new = key(folder, "create", "shop", "--role", "predict")
    shown = {"Authorization": f"Bearer {new['key']}"}
    eventually(lambda: all(infer(gateway, **shown) == 200 for _ in range(8)))
    assert infer(gateway, **bearer(made, "shop")) == 200
    key(folder, "revoke", new["id"])
    # Whoever goes on to show it is soon told 429.
    eventually(lambda: all(infer(gateway, **shown) in (401, 429) for _ in range(8)))
    assert infer(gateway, **bearer(made, "shop")) == 200


def test_no_secret_is_in_an_answer_a_log_or_a_file(
    gateway: Gateway, made: dict[str, Any], folder: Path
) -> None:
    """Each route is asked with each key and with a wrong one, in the header and elsewhere."""
    secrets = {one["key"].split("_", 2)[2] for one in made.values()}
    wrong = "tg_wrong000_" + "w" * 43
    secrets.add("w" * 43)
    answers: list[bytes] = []
    for row in tables(page("docs/access.md"), "Route"):
        method, path = in_code(row["Route"])[0].split(" ")
        plain = re.sub(r"\{\w+\}", "m", re.sub(r"\[.*?\]", "", path))
        for base in (gateway.data, gateway.control):
            for shown in (wrong, made["shop"]["key"], made["ann"]["key"]):
                headers = {
                    "Authorization": f"Bearer {shown}",
                    "Cookie": f"tidegate_session={shown}",
                }
                reply = call(base + plain, b"{" if method == "POST" else None, **headers)
                answers += [reply.body, json.dumps(reply.headers).encode()]
    form = f"key={wrong}&next=/".encode()
    answers.append(call(f"{gateway.control}/login", form).body)

    files = [path for path in (folder / "state").rglob("*") if path.is_file()]
    texts = [*answers, gateway.log_path.read_bytes(), *(path.read_bytes() for path in files)]
    assert not [text[:200] for text in texts for one in secrets if one.encode() in text]
    assert "wrong000" in {line["key_id"] for line in gateway.logged("caller_refused")}
