"""What others carry for a fleet is a product, and the table says all that was found."""

from dataclasses import asdict

from loadtests.scale.fleet import COLUMNS, CONNECTIONS, fleet, table
from loadtests.scale.machine import Load, busiest, simulated
from tests.loadtests.scale.test_machine import COSTS, rng


def test_ten_replicas_have_ten_times_the_series() -> None:
    """Each is scraped by itself, and costs its control the same."""
    one, ten = fleet(1, 10), fleet(10, 10)

    assert ten["series"] == 10 * one["series"]
    assert ten["control_ms_a_scrape"] == one["control_ms_a_scrape"]
    assert one["features_with_series"] == COLUMNS


def test_many_models_have_fewer_features_each() -> None:
    """So that a page grows less than its models."""
    assert fleet(1, 200)["series"] < 10 * fleet(1, 20)["series"]


def test_the_table_has_every_load_and_every_fleet() -> None:
    """Costs come first: all the rest follows from them."""
    outcome = {"rate": 1000.0, **asdict(simulated(Load(4, 100, 1000, seconds=2.0), COSTS, rng()))}
    most = dict(zip(("median", "95 of 100"), busiest(4, 100, rng(), 20), strict=True))
    text = table(
        {
            "costs": asdict(COSTS),
            "balance": dict.fromkeys(CONNECTIONS, most),
            "kernel": {64: 1.5},
            "machine": [outcome],
            "many models": [outcome],
            "split": [outcome],
            "fleet": [fleet(100, 200)],
        }
    )

    assert "request 100.00 µs" in text
    assert text.count("| 1,000 |") == 4
    assert "| 100 | 200 | 10 |" in text
