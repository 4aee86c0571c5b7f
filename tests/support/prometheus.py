"""Prometheus' own programs: promtool as the judge of rules, and a server on a free port."""

import contextlib
import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.documents import ROOT

RULES = ROOT / "grafana" / "prometheus"
RULE_FILES = (
    "tidegate-rules.yml",
    "tidegate-slo-rules.yml",
    "tidegate-release-rules.yml",
    "tidegate-drift-rules.yml",
)

Labels = tuple[tuple[str, str], ...]
Series = Mapping[tuple[str, Labels], Sequence[float]]
"""Values, at equal distances from minute 0 on, by name and labels."""


def run(*command: str | Path) -> str:
    """Run a program that has to succeed; return what it says."""
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=100, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@dataclass(frozen=True)
class Expected:
    """That an expression, which gives one sample without labels, has a value at a minute."""

    expression: str
    value: float
    minute: int


def check(
    path: Path,
    series: Series,
    expected: Sequence[Expected],
    *,
    step_minutes: int = 1,
    evaluation_minutes: int = 1,
) -> None:
    """Have promtool evaluate our rules over `series`, and fail with its words if one differs.

    Values are `step_minutes` apart; rules are evaluated every so many minutes, from 0 on.
    """
    test = {
        "rule_files": [str(RULES / "tidegate-drift-rules.yml")],
        "evaluation_interval": f"{evaluation_minutes}m",
        "tests": [
            {
                "interval": f"{step_minutes}m",
                "input_series": [
                    {
                        "series": name + _written(labels),
                        "values": " ".join(map(repr, map(float, values))),
                    }
                    for (name, labels), values in series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": one.expression,
                        "eval_time": f"{one.minute}m",
                        "exp_samples": [{"labels": "{}", "value": one.value}],
                    }
                    for one in expected
                ],
            }
        ],
    }
    path.write_text(json.dumps(test))  # JSON is YAML.
    run("promtool", "test", "rules", path)


def quick_rules(folder: Path) -> list[str]:
    """Write copies of our rules that look at seconds for minutes; return their paths.

    The windows of 10 minutes and an hour become 10 and 60 seconds, whatever was a minute a second.
    """
    paths = []
    for name in RULE_FILES:
        text = (RULES / name).read_text()
        path = folder / name
        path.write_text(re.sub(r"\b(\d+)m\b", r"\1s", re.sub(r"\b1h\b", "60s", text)))
        paths.append(str(path))
    return paths


def _written(labels: Labels) -> str:
    return "{" + ",".join(f"{name}={json.dumps(value)}" for name, value in labels) + "}"


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str
    log_path: Path

    def get(self, path: str, **parameters: str) -> Any:
        """Ask the API; return the data of its answer."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=60) as answer:
            return json.loads(answer.read())["data"]

    def query(self, expression: str, time: float | None = None) -> dict[Labels, float]:
        """Return the samples of an instant query by their labels, without the metric's name."""
        at = {} if time is None else {"time": repr(time)}
        found = self.get("query", query=expression, **at)["result"]
        return {
            tuple(sorted((k, v) for k, v in one["metric"].items() if k != "__name__")): float(
                one["value"][1]
            )
            for one in found
        }


@contextlib.contextmanager
def running(folder: Path, configuration: Mapping[str, Any]) -> Iterator[Prometheus]:
    """Run a server with a configuration, and all its files in `folder`, until the block ends."""
    file, log_path = folder / "prometheus.yml", folder / "prometheus.log"
    file.write_text(json.dumps(configuration))
    command = [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        "--web.listen-address=127.0.0.1:0",
        "--log.format=json",
    ]
    with log_path.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            server = Prometheus(listening_url(process, log_path), log_path)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def listening_url(process: subprocess.Popen[bytes], log_path: Path) -> str:
    """Wait until Prometheus or Alertmanager answers; return its address, which its log tells."""
    deadline = time.monotonic() + 60.0
    while True:
        found = re.search(r'"address":"([^"]+)".*"msg":"Listening on"', log_path.read_text())
        if found is not None:
            url = f"http://{found[1]}"
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer,
            ):
                if answer.status == 200:
                    return url
        assert process.poll() is None, log_path.read_text()
        assert time.monotonic() < deadline, log_path.read_text()
        time.sleep(0.05)
