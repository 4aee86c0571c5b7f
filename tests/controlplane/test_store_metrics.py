"""Metrics of the store and the webhook: each number by its documented name."""

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from server.controlplane import store_metrics
from server.controlplane.page import render
from server.store.database import Health


def samples(families: Iterable[Metric]) -> dict[str, float]:
    """Return what a scrape shows of families, by name and labels."""
    page, _ = render(families, "")
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_every_number_of_the_health_is_exported() -> None:
    """Under names with units; whether it can be written as 1 or 0."""
    health = Health(
        is_writable=False,
        last_error="the store cannot be used: database or disk is full",
        last_write_seconds=1.5e9,
        failures=3,
        set_aside=1,
        size_bytes=4096,
        pending=2,
    )

    assert samples(store_metrics.collect(health)) == {
        "tidegate_store_writable": 0,
        "tidegate_store_last_write_timestamp_seconds": 1.5e9,
        "tidegate_store_bytes": 4096,
        "tidegate_store_pending_transactions": 2,
        "tidegate_store_failures_total": 3,
        "tidegate_store_files_set_aside_total": 1,
    }
    assert samples(store_metrics.collect(Health()))["tidegate_store_writable"] == 1


def test_tries_are_exported_by_outcome() -> None:
    """Also those that have not happened, so that a first failure is seen as an increase."""
    assert samples(store_metrics.webhook({"ok": 2, "failed": 0, "given_up": 1}, 4)) == {
        "tidegate_webhook_tries_total ok": 2,
        "tidegate_webhook_tries_total failed": 0,
        "tidegate_webhook_tries_total given_up": 1,
        "tidegate_webhook_waiting_events": 4,
    }
