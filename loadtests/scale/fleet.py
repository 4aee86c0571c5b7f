"""The command `fleet`: what a machine of 64 cores and a fleet of 100 replicas would do.

What control and workers pay for rows and messages is measured here first (`parts.py`); what a
request costs a worker is told, because it takes a gateway under load to know. The rest is the
simulation of `machine.py` and multiplication. The answer is where the first bottleneck is, and how
far away.
"""

from dataclasses import asdict
from typing import Any

import numpy as np

from loadtests.scale import kernel, machine, parts
from loadtests.scale.machine import Costs, Load
from server.controlplane.monitor_metrics import features_of_each

WORKERS = 63
"""Of a machine of 64 cores: one is control's."""
SPLIT = 8
"""Gateways of 8 cores each, 7 of them workers', that the same machine may run instead."""
MODELS = 200
RATES = (50_000, 100_000, 200_000, 400_000, 800_000, 1_200_000, 1_600_000)
CONNECTIONS = (64, 256, 1_000, 10_000, 100_000)
KERNEL_CONNECTIONS = (64, 256, 1_000)
SEED = 7

COLUMNS = 34
"""Of a model of 30 features with two classes, as monitoring sees it."""
SCRAPED_BYTES = 16_000
SCRAPED_BYTES_OF_MODEL = 12_000
SCRAPED_BYTES_OF_FEATURE = 3_600
SCRAPE_SECONDS_OF_BYTE = 80e-9
"""Control's: 128 ms for 1.6 MB, on an idle machine."""
BYTES_OF_SERIES = 95
SCRAPE_EVERY_SECONDS = 15.0


def figures(request_us: float) -> dict[str, Any]:
    """Return all that can be said, where a request costs a worker so much."""
    rng, costs = np.random.default_rng(SEED), measured(request_us)
    return {
        "costs": asdict(costs),
        "balance": {
            count: dict(
                zip(("median", "95 of 100"), machine.busiest(WORKERS, count, rng), strict=True)
            )
            for count in CONNECTIONS
        },
        "kernel": {
            count: max(kernel.shares(WORKERS, count)) * WORKERS / count
            for count in KERNEL_CONNECTIONS
        },
        "machine": [_outcome(rate, 1, WORKERS, 1, costs) for rate in RATES],
        "many models": [_outcome(rate, 1, WORKERS, MODELS, costs) for rate in RATES],
        "split": [_outcome(rate, SPLIT, WORKERS // SPLIT, 1, costs) for rate in RATES],
        "fleet": [fleet(replicas, models) for replicas in (1, 10, 100) for models in (1, 10, 200)],
    }


def measured(request_us: float) -> Costs:
    """Measure what is paid for rows and messages."""
    found = parts.figures()
    return Costs(
        request=request_us / 1e6,
        flush=found[parts.FLUSH] / 1e6,
        row=found[parts.ROW] / 1e6,
        message=found[parts.MESSAGE] / 1e6,
        status=found[parts.STATUS] / parts.MODELS / 1e6,
        counting=found[parts.COUNTING] / 1e6,
        row_bytes=round(found[parts.BYTES] / parts.BATCHES),
        message_bytes=parts.HEAD_BYTES,
    )


def _outcome(
    rate: float, gateways: int, workers: int, models: int, costs: Costs
) -> dict[str, float]:
    """Return what becomes of a rate on one of some gateways that share it, times their number."""
    load = Load(workers, 10_000 // gateways, rate / gateways, models)
    found = asdict(machine.simulated(load, costs, np.random.default_rng(SEED)))
    found["answered_per_second"] *= gateways
    return {"rate": rate, **found}


def fleet(replicas: int, models: int) -> dict[str, float]:
    """Return what Prometheus has to carry for replicas that all serve the same models."""
    features = min(COLUMNS, features_of_each(models))
    of_model = SCRAPED_BYTES_OF_MODEL + features * SCRAPED_BYTES_OF_FEATURE
    scraped = SCRAPED_BYTES + models * of_model
    series = replicas * scraped / BYTES_OF_SERIES
    return {
        "replicas": replicas,
        "models": models,
        "features_with_series": features,
        "kB_a_scrape": scraped / 1e3,
        "control_ms_a_scrape": scraped * SCRAPE_SECONDS_OF_BYTE * 1e3,
        "series": series,
        "samples_a_second": series / SCRAPE_EVERY_SECONDS,
        "MB_a_second": replicas * scraped / 1e6 / SCRAPE_EVERY_SECONDS,
    }


def table(found: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    costs = ", ".join(
        f"{name.replace('_', ' ')} {cost}" if cost >= 1 else f"{name} {cost * 1e6:.2f} µs"
        for name, cost in found["costs"].items()
    )
    lines = [
        f"costs: {costs}",
        "",
        f"| connections to {WORKERS} workers | busiest worker, median | 95 of 100 | this kernel |",
        "|---|---|---|---|",
    ]
    for count, most in found["balance"].items():
        asked = found["kernel"].get(count)
        drawn = f"{most['median']:.2f} times its part | {most['95 of 100']:.2f}"
        lines.append(f"| {count:,} | {drawn} | {f'{asked:.2f}' if asked else ''} |")
    for name, words in (
        ("machine", f"one gateway of {WORKERS} workers, one model"),
        ("many models", f"one gateway of {WORKERS} workers, {MODELS} models"),
        ("split", f"{SPLIT} gateways of {WORKERS // SPLIT} workers, one model"),
    ):
        lines += _loads(words, found[name])
    lines += ["", f"| {' | '.join(name.replace('_', ' ') for name in found['fleet'][0])} |"]
    lines.append("|---" * len(found["fleet"][0]) + "|")
    for one in found["fleet"]:
        cells = [f"{value:,.0f}" if value >= 1 else f"{value:.2g}" for value in one.values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _loads(words: str, outcomes: list[dict[str, float]]) -> list[str]:
    head = (
        f"| {words}: asked a second | answered | refused | busiest worker | idlest | control | "
        "rows seen | control hears after |"
    )
    return ["", head, "|---" * 8 + "|", *map(_line, outcomes)]


def _line(one: dict[str, float]) -> str:
    shares = " | ".join(
        f"{one[name]:.0%}" for name in ("refused", "busiest", "idlest", "control", "seen")
    )
    return (
        f"| {one['rate']:,.0f} | {one['answered_per_second']:,.0f} | {shares} | "
        f"{one['behind_seconds']:.2f} s |"
    )
