"""Metrics of the store: each number of its health, by its documented name."""

from prometheus_client.parser import text_string_to_metric_families

from server.controlplane import exposition, store_metrics
from server.store.database import Health


def samples(health: Health) -> dict[str, float]:
    """Return what a scrape shows of a store's health."""
    page, _ = exposition.render(store_metrics.collect(health), "")
    families = text_string_to_metric_families(page.decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


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

    assert samples(health) == {
        "tidegate_store_writable": 0,
        "tidegate_store_last_write_timestamp_seconds": 1.5e9,
        "tidegate_store_bytes": 4096,
        "tidegate_store_pending_transactions": 2,
        "tidegate_store_failures_total": 3,
        "tidegate_store_files_set_aside_total": 1,
    }
    assert samples(Health())["tidegate_store_writable"] == 1
