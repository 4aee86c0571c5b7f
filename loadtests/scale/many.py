"""The scenario `models`: many models loaded, with traffic on all, on few, on none.

Three gateways run at once and are asked in turns: one with a single model, one with many copies of
it, and one with a single model whose batches have one row. Requests to many models seldom meet in a
batch, and a batch costs the same with one row as with some: the third shows what that alone takes.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loadtests import bench_models, footprint
from loadtests.scale import gateways
from loadtests.scale.gateways import Gateway, Measured
from loadtests.scale.sweeps import figures

CONNECTIONS = (1, 64)
WARM_SECONDS = 2
SETTLE_SECONDS = 75.0
"""Until what was asked before is judged and in the store: a sub-window of few rows has a minute."""
ONE, ALONE, MANY = "one model", "one model, batches of one row", "many models"


def measure(count: int, rounds: int, seconds: int, idle_seconds: int) -> dict[str, Any]:
    """Measure `count` models beside one; return the figures."""
    workload = gateways.tabular_workload()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        running, names = {}, {}
        for number, (what, copies, flags) in enumerate(
            ((ONE, 1, ()), (ALONE, 1, ("--max-rows", "1")), (MANY, count, ()))
        ):
            repository = scratch / f"models-{number}"
            names[what] = gateways.write_copies(repository, bench_models.tabular(), copies)
            running[what] = stack.enter_context(
                gateways.gateway(scratch, repository, 1, f"gateway-{number}", *flags)
            )
            gateways.check(running[what], workload, repository, names[what])
        loaded = {what: one.memory() for what, one in running.items()}
        for what, one in running.items():
            gateways.learn(one, workload, names[what])
        runs = _in_turns(running, names, rounds, seconds)
        for number, what in enumerate(running):
            gateways.check(running[what], workload, scratch / f"models-{number}", names[what])
        idle = _idle(running, idle_seconds)
        asked = {what: one.memory() for what, one in running.items()}
        scrapes = {what: footprint.scrape(one.control.port, 5) for what, one in running.items()}
    return {
        "models": count,
        "cost": {
            f"{what}, {connections} connections": figures(connections, each)
            for (connections, what), each in runs.items()
        },
        "ratios": {str(connections): _ratios(runs, connections) for connections in CONNECTIONS},
        "idle_cores": idle,
        "idle_us_a_second_of_a_model": {
            part: round((idle[MANY][part] - idle[ONE][part]) / (count - 1) * 1e6, 1)
            for part in ("worker", "control")
        },
        "kib_of_a_model": {
            part: {
                "loaded": _kib(loaded, part, count),
                "asked, with its counts": _kib(asked, part, count),
            }
            for part in ("worker", "control")
        },
        "scrape": {
            what: {"ms": round(scraped[0] * 1e3, 1), "bytes": scraped[1]}
            for what, scraped in scrapes.items()
        },
    }


def _in_turns(
    running: dict[str, Gateway], names: dict[str, list[str]], rounds: int, seconds: int
) -> dict[tuple[int, str], list[Measured]]:
    """Ask every gateway in turn, round after round; the first round is to warm up only."""
    workload = gateways.tabular_workload()
    runs: dict[tuple[int, str], list[Measured]] = {}
    for turn in range(rounds + 1):
        for connections in CONNECTIONS:
            for what, one in running.items():
                lasting = seconds if turn else WARM_SECONDS
                run = gateways.measured(one, workload, connections, lasting, names[what])
                if turn:
                    runs.setdefault((connections, what), []).append(run)
    return runs


def _ratios(runs: dict[tuple[int, str], list[Measured]], connections: int) -> dict[str, float]:
    """Return what a request to one of many models costs, beside the other two."""
    cost = {
        what: figures(connections, runs[connections, what])["cpu_us"] for what in (ONE, ALONE, MANY)
    }
    return {f"to {what}": round(cost[MANY] / cost[what], 2) for what in (ONE, ALONE)}


def _idle(running: dict[str, Gateway], seconds: int) -> dict[str, dict[str, float]]:
    """Return the cores that processes take while nobody asks anything."""
    time.sleep(SETTLE_SECONDS)
    before = {what: one.spent() for what, one in running.items()}
    time.sleep(seconds)
    return {
        what: {
            part: round((now - before[what][part]) / seconds, 4)
            for part, now in one.spent().items()
        }
        for what, one in running.items()
    }


def _kib(memory: dict[str, dict[str, int]], part: str, count: int) -> int:
    return round((memory[MANY][part] - memory[ONE][part]) / (count - 1) / 1024)


_COLUMNS = ("requests_per_second", "p50_us", "p99_us", "cpu_us", "worker_us", "control_us")


def table(found: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        f"{MANY}: {found['models']}",
        "",
        "| traffic | req/s | p50 µs | p99 µs | CPU µs/req | of it worker | control | lost |",
        "|---" * 8 + "|",
    ]
    for what, one in found["cost"].items():
        cells = " | ".join(f"{one[column]:,}" for column in _COLUMNS)
        lines.append(f"| {what} | {cells} | {one['messages_lost']:,} |")
    lines += ["", "| what | figure |", "|---|---|"]
    return "\n".join(lines + [f"| {what} | {figure} |" for what, figure in _rows(found)])


def _rows(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for connections, ratios in found["ratios"].items():
        for to, ratio in ratios.items():
            yield f"CPU of a request to many models {to}, {connections} connections", f"{ratio}"
    for what, cores in found["idle_cores"].items():
        yield (
            f"cores that {what} takes at rest, worker and control",
            f"{cores['worker']:.4f}, {cores['control']:.4f}",
        )
    for part, spent in found["idle_us_a_second_of_a_model"].items():
        yield f"µs a second of a model at rest, {part}", f"{spent}"
    for part, sizes in found["kib_of_a_model"].items():
        for when, kib in sizes.items():
            yield f"KiB of a model, {part}, {when}", f"{kib:,}"
    for what, scrape in found["scrape"].items():
        yield f"/metrics of {what}", f"{scrape['ms']} ms, {scrape['bytes']:,} bytes"
