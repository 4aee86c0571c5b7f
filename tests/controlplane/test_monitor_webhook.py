"""From drift to the outbox: one event when a rule begins to fire, kept with the alert itself."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from tests.support.control import Control, ToldWorker, running_control
from tests.support.monitoring import Traffic, put_with_profile

Scenario = Callable[[Control, Traffic], Coroutine[Any, Any, None]]


def play(repository: Path, scenario: Scenario) -> list[dict[str, Any]]:
    """Play a scenario with a webhook, flushing often; return the data of all events, in order."""
    found: list[dict[str, Any]] = []

    def read(connection: Connection) -> None:
        rows = connection.execute(text("SELECT body FROM outbox ORDER BY created_seconds"))
        found.extend(json.loads(body)["data"] for (body,) in rows)

    async def run() -> None:
        settings = {"monitor_flush_seconds": 1.0}
        async with running_control(repository, ToldWorker(0), **settings) as control:
            control.monitor.keeper.wake_notifier = lambda: None
            await control.monitor.tick()
            await scenario(control, Traffic(control))
            await control.monitor.close()
            await control.store.run(read)

    asyncio.run(run())
    return found


def test_drift_is_told_once_until_it_is_over(repository: Path) -> None:
    """Two episodes of drift in several features are two events, each with rule and evidence."""
    put_with_profile(repository)

    async def scenario(control: Control, traffic: Traffic) -> None:
        woken = []
        control.monitor.keeper.wake_notifier = lambda: woken.append(traffic.firing())
        await traffic.run(30, shift=[0.7, 0.0, 0.0])
        await traffic.run(30, shift=[0.7, 0.7, 0.0])
        assert len(woken) >= 1
        assert traffic.firing()
        await traffic.run(200)
        assert not traffic.firing()
        await traffic.run(30, shift=[0.0, 0.0, 0.7])

    events = [event for event in play(repository, scenario) if event["rule"] == "drift"]
    assert [event["model"] for event in events] == ["m", "m"]
    features = [{alert["feature"] for alert in event["alerts"]} for event in events]
    assert "x[0]" in features[0]
    assert "x[2]" in features[1]
    assert events[0]["alerts"][0]["version"] == "1"
    assert events[0]["alerts"][0]["evidence"]["reading"]["words"]


def test_without_a_webhook_nothing_is_put_into_the_outbox(repository: Path) -> None:
    """Alerts are raised as ever; no event waits for a webhook that may come some day."""
    put_with_profile(repository)

    async def scenario(control: Control, traffic: Traffic) -> None:
        control.monitor.keeper.wake_notifier = None
        await traffic.run(40, shift=[0.7, 0.0, 0.0])
        assert traffic.firing()

    assert play(repository, scenario) == []
