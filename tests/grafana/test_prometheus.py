"""A real Prometheus scrapes: a gateway, and three replicas whose counts it adds up."""

import http.server
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.statistics.combine import RATES_SHARE, cauchy
from server.statistics.smooth_test import COMPONENTS, Shift, shift, shift_of_sums
from tests.support import prometheus
from tests.support.fleets import OPENMETRICS, Fleet, varied_profile, varied_rows
from tests.support.gateway import Gateway, eventually, running
from tests.support.monitoring import put_with_profile
from tests.support.prometheus import Prometheus

RNG = np.random.default_rng(23)


def configuration(folder: Path, targets: list[str], path: str = "/metrics") -> dict[str, Any]:
    """Return a configuration that scrapes targets each second and has the quick rules."""
    return {
        "global": {
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "evaluation_interval": "1s",
        },
        "rule_files": prometheus.quick_rules(folder),
        "scrape_configs": [
            {
                "job_name": "tidegate",
                "metrics_path": path,
                "static_configs": [{"targets": targets}],
            }
        ],
    }


def assert_all_is_well(server: Prometheus) -> None:
    """Every target is up without an error, and every rule is evaluated without one.

    A scrape may be late on a machine that has a lot to do; one that never works is a fault.
    """

    def are_up() -> bool:
        targets = server.get("targets")["activeTargets"]
        return {(one["health"], one["lastError"]) for one in targets} == {("up", "")}

    eventually(are_up)
    for group in server.get("rules")["groups"]:
        for rule in group["rules"]:
            assert (rule["health"], rule.get("lastError", "")) == ("ok", ""), rule


def send(gateway: Gateway, shifted: float) -> None:
    """Send a hundred rows, whose second column is shifted."""
    x = RNG.standard_normal((100, 3))
    x[:, 1] += shifted
    assert gateway.infer("m", x.round(6).tolist()).status == 200


def firing(server: Prometheus) -> set[tuple[str, str]]:
    """Return names and features of the alerts on features that fire."""
    found = server.query('ALERTS{alertstate="firing", feature!=""}')
    return {(of["alertname"], of["feature"]) for of in map(dict, found)}


def test_a_shifted_stream_raises_the_alert(repository: Path, tmp_path: Path) -> None:
    """Clean rows of a real gateway raise nothing; shifted ones both kinds of alert, by name."""
    put_with_profile(repository)
    with running(repository, tmp_path / "state", monitor_window_seconds=0.3) as gateway:
        target = gateway.control.removeprefix("http://")
        with prometheus.running(tmp_path, configuration(tmp_path, [target])) as server:
            rows = 'tidegate_feature:rows:increase{feature="x[1]", window="10s"}'

            def is_judged() -> bool:
                send(gateway, 0.0)
                return sum(server.query(rows).values()) >= 1000

            eventually(is_judged, 60.0)
            assert firing(server) == set()
            assert_all_is_well(server)

            def is_raised() -> bool:
                send(gateway, 1.5)
                wanted = {("TidegateFeatureDrift", "x[1]"), ("TidegateMonitorAlert", "x[1]")}
                return wanted <= firing(server)

            eventually(is_raised, 60.0)
            assert {feature for _, feature in firing(server)} <= {"x[1]", "y[1]"}
            assert_all_is_well(server)


class Replicas(http.server.ThreadingHTTPServer):
    """What the replicas of a fleet answer to a scrape, at /0, /1 and so on."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.pages: list[str] = []

    @property
    def target(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.server_address[1]}"


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Replicas)
        page = self.server.pages[int(self.path.removeprefix("/"))].encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{OPENMETRICS}; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def replicas_of(fleet: Fleet) -> Iterator[Replicas]:
    """Serve the pages of a fleet as it is."""
    with Replicas() as server:
        server.pages = [fleet.page(number) for number in range(len(fleet.observers))]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def closed_form_p(moved: Shift) -> float:
    """Return the adjusted p of the questions that scores can answer."""
    answers = [moved.first_p(1), moved.first_p(2), moved.p]
    return cauchy(answers, [2.0, 2.0, 1.0]) / (1.0 - RATES_SHARE)


def test_three_replicas_are_judged_by_their_sum(tmp_path: Path) -> None:
    """Means are those of all rows, and p is theirs.

    `increase` extrapolates to the edges of a window, so of each replica a few per cent more rows
    are told than came: the replicas' means are weighed by what is told.
    """
    fleet = Fleet(varied_profile(), 3, with_bins=False)
    with replicas_of(fleet) as replicas:
        config = configuration(tmp_path, [])
        config["scrape_configs"] = [
            {
                "job_name": f"replica {number}",
                "metrics_path": f"/{number}",
                "static_configs": [{"targets": [replicas.target]}],
                "relabel_configs": [
                    {"target_label": "job", "replacement": "tidegate"},
                    {"target_label": "instance", "replacement": f"replica-{number}"},
                ],
            }
            for number in range(3)
        ]
        with prometheus.running(tmp_path, config) as server:
            known = "count(count_over_time(tidegate_monitor_alpha[1h]) >= 2)"
            eventually(lambda: server.query(known).get(()) == 3.0, 30.0)
            fleet.take(*(varied_rows(RNG, size, 0.3) for size in (500, 700, 900)))
            replicas.pages = [fleet.page(number) for number in range(3)]
            at = eventually(lambda: time_of_judgement(server), 30.0)
            assert_all_is_well(server)
            judged = 0
            for place in fleet.judge.screen.number_places:
                judged += assert_agreement(server, fleet, place, at)
            assert judged == 7


def time_of_judgement(server: Prometheus) -> float | None:
    """Return the time of the last evaluation that was carried through, if it saw the rows."""
    at = max(server.query("timestamp(tidegate_feature:rule:reach)").values(), default=0.0)
    rows = server.query('tidegate_feature:present_rows:increase{window="10s"}', at).values()
    return at if at and min(rows) > 1900.0 else None


def assert_agreement(server: Prometheus, fleet: Fleet, place: int, at: float) -> bool:
    """Compare one feature with the gateway's own functions; say whether it could be judged."""
    basis, name = fleet.judge.bases[place], fleet.judge.layout.columns[place].name
    assert basis is not None
    bins = [fleet.judge.layout.number(one.totals, place).bins for one in fleet.observers]
    alone = [shift(basis, live) for live in bins]
    if not alone[0].df:
        return False
    of = f'feature="{name}", window="10s"'
    scraped = f'increase(tidegate_monitor_present_rows_total{{feature="{name}"}}[10s])'
    by_replica = {dict(labels)["instance"]: n for labels, n in server.query(scraped, at).items()}
    rows = np.array([by_replica[f"replica-{number}"] for number in range(3)])
    came = np.array([one.rows for one in alone])
    assert np.all((came - 0.5 < rows) & (rows < 2.0 * came))

    means = rows @ np.array([one.means for one in alone]) / rows.sum()
    recorded = server.query(f"tidegate_feature:score:mean{{{of}}}", at)
    told = {dict(labels)["component"]: value for labels, value in recorded.items()}
    assert [told[component] for component in COMPONENTS[: len(means)]] == pytest.approx(
        means.tolist(), rel=1e-6, abs=1e-8
    )
    whole = round(rows.sum())
    there = min(1.0, closed_form_p(shift_of_sums(basis, means * whole, whole)))
    (p,) = server.query(f'tidegate_feature:rule:p{{{of}, rule="drift"}}', at).values()
    assert math.log(p) == pytest.approx(math.log(there), rel=1e-2)
    return True
