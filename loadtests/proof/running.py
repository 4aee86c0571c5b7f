"""Rounds: each target is asked once in each, so that what else the machine does meets all alike.

Decides the order of runs and what one run counts. Servers stay for all scenarios that they can
serve; those that are not asked should do nothing meanwhile. Who does is stopped until its turn.
"""

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np

from loadtests import bench_models, wrk
from loadtests.processes import pin
from loadtests.proof import checking, sending
from loadtests.proof.catalogue import Scenario
from loadtests.proof.checking import Checker
from loadtests.proof.contestants import Contestant, Missing, Stand, beside_parts, names, start
from loadtests.proof.results import BARE, OURS, Measured, Outcome, Run
from loadtests.wrk import Sent

WARM_SECONDS = 2
SETTLE_SECONDS = 3.0
"""A server may still work off what nobody waits for: after a run it has so long to come to rest."""
LOOK_SECONDS, RESTING_SECONDS = 0.2, 0.015
"""Processor time in so long a look that is rest: one tick of the kernel's clock."""
IDLE_SECONDS, RESTLESS_CORES = 1.0, 0.02
"""Whoever takes more of a core while nobody asks is held still while others are measured."""
SERVER_CORE, CLIENT_CORE = {0}, {1}
"""Where servers share one core with a bare loop; the load generator has the other."""


@dataclass(frozen=True)
class Plan:
    """What is measured in each scenario, and how often."""

    targets: Sequence[str]
    beside: Sequence[str]
    """Other servers, as NAME=PORT=COMMAND."""
    rounds: int
    seconds: int


@dataclass
class Ground:
    """Servers that run, and those that do not."""

    stand: Stand
    running: list[Contestant] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    restless: list[Contestant] = field(default_factory=list)
    """Those of the running that take processor time while nobody asks."""

    @contextlib.contextmanager
    def turn(self, one: Contestant) -> Iterator[None]:
        """Let a restless server run until the block ends."""
        if one not in self.restless:
            yield
            return
        one.signal(signal.SIGCONT)
        checking.check(one.asked)  # It has slept through its own timers: let it come to.
        try:
            yield
        finally:
            one.signal(signal.SIGSTOP)


def outcomes(
    scenarios: Sequence[Scenario], plan: Plan, tell: Callable[[str], None]
) -> Iterator[Outcome]:
    """Measure one scenario after the other; those with the same servers should be neighbours."""
    for _, some in groupby(scenarios, key=lambda one: one.servers):
        group = list(some)
        with contextlib.ExitStack() as stack:
            ground = _prepare(group[0], plan, stack, tell)
            for scenario in group:
                tell(scenario.name)
                yield _measure(scenario, plan, ground)


def _prepare(
    scenario: Scenario, plan: Plan, stack: contextlib.ExitStack, tell: Callable[[str], None]
) -> Ground:
    """Start the servers of a scenario, and see that each answers right."""
    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
    pool = bench_models.pool(scenario.workload)
    bench_models.write_repository(scratch / "models", (pool[0].model,))
    model = scratch / "models" / pool[0].model / "1" / "model.onnx"
    ground = Ground(Stand(scratch, pool, checking.expected(model, pool)))
    beside = {name: (port, words) for name, port, words in map(beside_parts, plan.beside)}
    for name in names(scenario, plan.targets, plan.beside):
        if name == BARE:
            continue
        tell(f"starting {name} for {scenario.workload}")
        try:
            contestant = start(name, ground.stand, scenario.workers, beside, stack)
        except Missing as error:
            ground.missing[name] = str(error)
            continue
        problem = checking.check(contestant.asked)
        if problem:
            ground.missing[name] = f"it answers wrong, so there is nothing to measure: {problem}"
            continue
        ground.running.append(contestant)
    hold_restless(ground, stack)
    if scenario.bare:
        for contestant in ground.running:
            pin(contestant.pid, SERVER_CORE)
        here = os.sched_getaffinity(0)
        os.sched_setaffinity(0, CLIENT_CORE)
        stack.callback(os.sched_setaffinity, 0, here)
    return ground


def hold_restless(ground: Ground, stack: contextlib.ExitStack) -> None:
    """Stop peers that do not rest; they go on when the stack is closed, before they are ended."""
    before = [one.cpu_seconds() for one in ground.running]
    time.sleep(IDLE_SECONDS)
    for one, spent in zip(ground.running, before, strict=True):
        if one.cpu_seconds() - spent > RESTLESS_CORES * IDLE_SECONDS:
            if one.name.startswith(OURS):
                continue
            ground.restless.append(one)
            stack.callback(one.signal, signal.SIGCONT)
            one.signal(signal.SIGSTOP)


def _measure(scenario: Scenario, plan: Plan, ground: Ground) -> Outcome:
    """Warm all targets, then measure them in turns."""
    warm = []
    for one in ground.running:
        with ground.turn(one):
            warm.append(_send(one, scenario, scenario.rate, WARM_SECONDS, ground))
    rate = scenario.rate
    if scenario.load_percent and warm:
        rate = warm[0].requests_per_second * scenario.load_percent / 100
    runs: dict[str, list[Run]] = {one.name: [] for one in ground.running}
    for number in range(plan.rounds):
        # Whoever is second finds a warmer machine: each is first as often as the other.
        for one in ground.running if number % 2 == 0 else ground.running[::-1]:
            with ground.turn(one):
                runs[one.name].append(_run(one, scenario, rate, plan.seconds, ground))
        if scenario.bare:
            runs.setdefault(BARE, []).append(_bare(ground.stand, plan.seconds))
    measured = [
        Measured(name, tuple(runs.get(name, ())), ground.missing.get(name, ""))
        for name in names(scenario, plan.targets, plan.beside)
    ]
    rows = len(ground.stand.pool[0].rows)
    return Outcome(
        scenario.name, scenario.workload, scenario.connections, rows, rate, tuple(measured)
    )


def _send(one: Contestant, scenario: Scenario, rate: float, seconds: int, ground: Ground) -> Sent:
    """Send at a rate; a rate of 0 is as much as is answered."""
    port = one.asked.port
    requests = [sending.whole(request, closes=scenario.closes) for request in one.asked.requests]
    if rate:
        return sending.due(port, requests, scenario.connections, rate, seconds)
    return wrk.closed(port, requests, scenario.connections, seconds, ground.stand.scratch)


def _run(one: Contestant, scenario: Scenario, rate: float, seconds: int, ground: Ground) -> Run:
    """Ask one target for some seconds, and check answers meanwhile."""
    others = [other for other in ground.running if other is not one]
    with Checker(one.asked) as checker:
        idle = sum(other.cpu_seconds() for other in others)
        spent, started = one.cpu_seconds(), time.perf_counter()
        sent = _send(one, scenario, rate, seconds, ground)
        spent = one.cpu_seconds() - spent
        elapsed = time.perf_counter() - started
        idle = sum(other.cpu_seconds() for other in others) - idle
        answered = checker.answered
    failed, wrong = checker.problems()
    _settle(one)
    return Run(
        requests=sent.requests,
        errors=sent.errors + len(failed),
        checked=checker.answered,
        wrong=len(wrong),
        requests_per_second=sent.requests_per_second,
        p50_seconds=sent.p50_seconds,
        p90_seconds=sent.p90_seconds,
        p99_seconds=sent.p99_seconds,
        p999_seconds=sent.p999_seconds,
        cpu_seconds_per_request=spent / max(1, sent.requests + answered),
        pss_bytes=one.pss_bytes(),
        others_cores=idle / elapsed,
        sent_late_p99_seconds=sent.late_p99_seconds,
        example=next(iter([*failed, *wrong]), ""),
    )


def _settle(one: Contestant) -> None:
    """Wait until a server has come to rest, so that the next one has the machine to itself."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        before = one.cpu_seconds()
        time.sleep(LOOK_SECONDS)
        if one.cpu_seconds() - before < RESTING_SECONDS:
            return


def _bare(stand: Stand, seconds: int) -> Run:
    """Run the model in a loop on the servers' core, arrays ready, and nothing else."""
    session = checking.session(stand.file)
    feeds = [dict(one.inputs) for one in stand.pool]
    took: list[float] = []
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, SERVER_CORE)
    spent = time.thread_time()
    started = last = time.perf_counter()
    while last - started < seconds:
        session.run(None, feeds[len(took) % len(feeds)])
        now = time.perf_counter()
        took.append(now - last)
        last = now
    spent = time.thread_time() - spent
    os.sched_setaffinity(0, here)
    p50, p90, p99, p999 = map(float, np.percentile(took, sending.PERCENTILES))
    return Run(
        requests=len(took),
        errors=0,
        checked=len(took),
        wrong=0,
        requests_per_second=len(took) / (last - started),
        p50_seconds=p50,
        p90_seconds=p90,
        p99_seconds=p99,
        p999_seconds=p999,
        cpu_seconds_per_request=spent / len(took),
        pss_bytes=0,
    )
