"""Monitoring of a real gateway: rows come over HTTP, alerts are read over HTTP, processes die."""

import base64
import hmac
import json
import os
import signal
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.store.sqlite_file import FILE_NAME
from tests.support import fake_http, models
from tests.support.gateway import Gateway, call, eventually, running
from tests.support.monitoring import put_with_profile

QUICK = {"monitor_window_seconds": 0.3, "monitor_flush_seconds": 0.5}

RNG = np.random.default_rng(17)


@pytest.fixture
def gateway(repository: Path, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that watches `m` by its profile, and judges a few times a second."""
    put_with_profile(repository)
    with running(repository, tmp_path / "state", **QUICK) as found:
        eventually(lambda: _version(found))
        yield found


def _version(gateway: Gateway, model: str = "m") -> dict[str, Any]:
    (version,) = call(gateway.control + f"/v1/models/{model}/drift").json["versions"]
    found: dict[str, Any] = version
    return found


def _send(gateway: Gateway, rows: int = 100, shift: float = 0.0, model: str = "m") -> None:
    x = RNG.standard_normal((rows, 3))
    x[:, 1] += shift
    assert gateway.infer(model, x.round(6).tolist()).status == 200


def _firing(gateway: Gateway) -> set[tuple[str, str]]:
    return {
        (alert["rule"], column["name"])
        for column in _version(gateway)["columns"]
        for alert in column["alerts"]
        if alert["state"] == "firing"
    }


def _send_until_firing(gateway: Gateway, shift: float) -> set[tuple[str, str]]:
    def firing() -> set[tuple[str, str]]:
        _send(gateway, shift=shift)
        return _firing(gateway)

    found: set[tuple[str, str]] = eventually(firing)
    return found


def test_shifted_rows_raise_an_alert_and_clean_ones_do_not(gateway: Gateway) -> None:
    """Clean rows are counted and raise nothing; shifted ones are told by name and direction."""
    for _ in range(20):
        _send(gateway)
    eventually(lambda: _version(gateway)["rows"] == 2000 and _version(gateway)["evaluated_seconds"])
    assert _firing(gateway) == set()

    firing = _send_until_firing(gateway, shift=1.0)

    assert firing <= {("drift", "x[1]"), ("drift", "y[1]")}
    first = _version(gateway)["columns"][0]
    assert first["name"] in ("x[1]", "y[1]")
    assert first["verdict"]["words"].startswith("location up")
    labels = f'feature="{first["name"]}",model="m",rule="drift",state="firing",version="1"'
    assert gateway.metric(f"tidegate_monitor_alert{{{labels}}}") == 1.0
    assert gateway.metric('tidegate_monitor_alarms_total{model="m",rule="drift",version="1"}') >= 1


def test_rows_of_refused_and_failed_requests_are_not_counted(gateway: Gateway) -> None:
    """Wrong shapes, unknown versions and answers that cannot be given leave the counts alone."""
    _send(gateway, rows=10)
    refused = [
        gateway.infer("m", [[1.0, 2.0]]),
        gateway.infer("m", [[1.0, 2.0, 3.0]], version="9"),
        call(gateway.data + "/v2/models/m/infer", b"{"),
        gateway.infer("m", [[3e38, 0.0, 0.0]]),
    ]
    _send(gateway, rows=5)

    assert [reply.status for reply in refused] == [400, 404, 400, 500]
    eventually(lambda: _version(gateway)["rows"] == 15)
    eventually(lambda: _version(gateway)["windows"][-1]["rows"] == 15)


def test_a_kill_loses_no_more_than_one_flush(gateway: Gateway) -> None:
    """Control dies by SIGKILL: windows and the firing alert are there again, and go on."""
    _send_until_firing(gateway, shift=1.0)
    sent = _version(gateway)["windows"][-1]["rows"]
    eventually(lambda: _flushed(gateway) >= sent)
    control = gateway.children()["control"]

    os.kill(control, signal.SIGKILL)
    eventually(lambda: gateway.children().get("control", control) != control)
    eventually(lambda: _version(gateway)["windows"][-1]["rows"] >= sent)

    assert ("drift", "x[1]") in _firing(gateway)
    assert _version(gateway)["rows"] == 0
    _send(gateway, shift=1.0)
    eventually(lambda: _version(gateway)["windows"][-1]["rows"] >= sent + 100)


def _flushed(gateway: Gateway) -> int:
    """Return how many rows the store has; only one process writes it, and many may read."""
    path = gateway.state_dir / FILE_NAME
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        cells = connection.execute("select counts from cell").fetchall()
    finally:
        connection.close()
    return sum(int(np.frombuffer(zlib.decompress(counts), "<i8")[-1]) for (counts,) in cells)


def test_a_restart_in_order_loses_nothing(repository: Path, tmp_path: Path) -> None:
    """A gateway that is stopped and started goes on with all counts."""
    put_with_profile(repository)
    for expected in (70, 140):
        with running(repository, tmp_path / "state", monitor_flush_seconds=3600) as gateway:
            eventually(lambda: _version(gateway))
            _send(gateway, rows=70)
            rows = eventually(
                lambda: (
                    [_version(gateway)["windows"][-1]["rows"] == expected]  # noqa: B023
                    and _version(gateway)["rows"] == 70
                )
            )
            assert rows
            assert gateway.stop() == 0


def test_a_model_without_a_profile_learns_and_then_watches(
    repository: Path, tmp_path: Path
) -> None:
    """The report says how far the learning is, and names the reference for what it is."""
    models.put(repository, "plain", 1, models.affine())
    settings = {**QUICK, "monitor_self_reference_rows": 600}
    with running(repository, tmp_path / "state", **settings) as gateway:
        eventually(lambda: _version(gateway, "plain"))
        assert _version(gateway, "plain")["state"] == "learning"
        for _ in range(6):
            _send(gateway, model="plain")
        version = eventually(
            lambda: _version(gateway, "plain")["state"] == "watching" and _version(gateway, "plain")
        )
        assert version["reference"]["is_self_reference"]
        assert version["reference"]["rows"] == 600
        json.dumps(version, allow_nan=False)


def test_drift_is_posted_to_the_webhook_once(repository: Path, tmp_path: Path) -> None:
    """Shifted rows lead to one signed event, however many features move and stay moved."""
    put_with_profile(repository)
    secret = "a secret of any length"
    with fake_http.answering({"POST /retrain": (204, b"")}) as receiver:
        webhook = {"webhook_url": f"{receiver.url}/retrain", "webhook_secret": secret}
        with running(repository, tmp_path / "state", **QUICK, **webhook) as gateway:
            eventually(lambda: _version(gateway))
            _send_until_firing(gateway, shift=1.0)
            eventually(lambda: receiver.asked)
            for _ in range(20):
                _send(gateway, shift=1.0)
            eventually(lambda: len(_firing(gateway)) > 1)
            sample = 'tidegate_webhook_tries_total{outcome="ok"}'
            eventually(lambda: gateway.metric(sample) == 1)
        posts = [
            (body, headers)
            for (_, body), headers in zip(receiver.asked, receiver.headers, strict=True)
        ]

    ((body, headers),) = [post for post in posts if json.loads(post[0])["subject"] == "drift"]
    document = json.loads(body)
    assert document["type"] == "io.tidegate.alert.firing"
    assert document["data"]["model"] == "m"
    assert {alert["feature"] for alert in document["data"]["alerts"]} <= {"x[1]", "y[1]"}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode()
    mac = hmac.new(secret.encode(), signed + body, "sha256").digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
