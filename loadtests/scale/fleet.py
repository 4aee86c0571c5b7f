"""The command `fleet`: what a machine of 64 cores and a fleet of 100 replicas would do.

Nothing is started but some sockets: costs are constants that `python -m loadtests scale` and
`models` measured, and the rest is the simulation of `machine.py` and multiplication. The answer is
where the first bottleneck is, and how far away.
"""

from dataclasses import asdict
from typing import Any

import numpy as np

from loadtests.scale import kernel, machine
from loadtests.scale.machine import Costs, Load

MEASURED = Costs(
    request=35e-6,
    flush=250e-6,
    row=3e-6,
    message=150e-6,
    status=10e-6,
    row_bytes=160,
    message_bytes=600,
    pending_bytes=4 << 20,
)
WORKERS = 63
"""Of a machine of 64 cores: one is control's."""
SPLIT = 8
"""Gateways of 8 cores each that the same machine may run instead."""
RATES = (50_000, 100_000, 200_000, 400_000, 800_000, 1_600_000)
CONNECTIONS = (64, 256, 1_000, 10_000, 100_000)
KERNEL_CONNECTIONS = (256, 1_000, 4_000)
SEED = 7

SERIES_OF_MODEL = 700
SCRAPE_BYTES_OF_MODEL = 60_000
SCRAPE_SECONDS_OF_MODEL = 3e-3
STORED_BYTES_OF_MODEL = 8_000
"""Of counts, for each write to the store."""
SCRAPE_EVERY_SECONDS = 15.0
STORED_EVERY_SECONDS = 10.0


def figures() -> dict[str, Any]:
    """Return all that can be said."""
    rng = np.random.default_rng(SEED)
    return {
        "costs": asdict(MEASURED),
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
        "machine": [_outcome(rate, 1, WORKERS, 1, rng) for rate in RATES],
        "many models": [_outcome(rate, 1, WORKERS, 200, rng) for rate in RATES],
        "split": [_outcome(rate, SPLIT, WORKERS // SPLIT, 1, rng) for rate in RATES],
        "fleet": [fleet(replicas, models) for replicas in (10, 100) for models in (10, 200)],
    }


def _outcome(
    rate: float, gateways: int, workers: int, models: int, rng: np.random.Generator
) -> dict[str, float]:
    """Return what becomes of a rate on one of some gateways that share it, times their number."""
    load = Load(workers, 10_000 // gateways, rate / gateways, models)
    found = asdict(machine.simulated(load, MEASURED, rng))
    found["answered_per_second"] *= gateways
    return {"rate": rate, **found}


def fleet(replicas: int, models: int) -> dict[str, float]:
    """Return what others have to carry for replicas that all serve the same models."""
    each = replicas * models
    return {
        "replicas": replicas,
        "models": models,
        "series": each * SERIES_OF_MODEL,
        "samples_per_second": each * SERIES_OF_MODEL / SCRAPE_EVERY_SECONDS,
        "scraped_bytes_per_second": each * SCRAPE_BYTES_OF_MODEL / SCRAPE_EVERY_SECONDS,
        "scrape_seconds_of_control": models * SCRAPE_SECONDS_OF_MODEL,
        "stored_bytes_per_second_of_replica": models * STORED_BYTES_OF_MODEL / STORED_EVERY_SECONDS,
    }


def table(found: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        f"| connections to {WORKERS} workers | busiest worker, median | 95 of 100 | this kernel |",
        "|---|---|---|---|",
    ]
    for count, most in found["balance"].items():
        asked = found["kernel"].get(count)
        drawn = f"{most['median']:.2f} times its part | {most['95 of 100']:.2f}"
        lines.append(f"| {count:,} | {drawn} | {f'{asked:.2f}' if asked else ''} |")
    for name, words in (
        ("machine", f"one gateway of {WORKERS} workers, one model"),
        ("many models", f"one gateway of {WORKERS} workers, 200 models"),
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
