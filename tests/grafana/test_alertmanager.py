"""A real Alertmanager with the example's configuration: what is grouped, and what is held back."""

import http.server
import json
import queue
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.prometheus import RULES, listening_url


class Webhook(http.server.ThreadingHTTPServer):
    """A receiver; what it was told comes out of `told`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receive)
        self.told: queue.Queue[dict[str, Any]] = queue.Queue()


class _Receive(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Webhook)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.put(json.loads(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def receiving() -> Iterator[Webhook]:
    """Receive on a free port until the block ends."""
    with Webhook() as webhook:
        thread = threading.Thread(target=webhook.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield webhook
        finally:
            webhook.shutdown()
            thread.join()


@contextmanager
def alertmanager(folder: Path, receiver: str) -> Iterator[str]:
    """Run Alertmanager with the example, which tells `receiver` after one second."""
    example = (RULES / "alertmanager.yml").read_text(encoding="utf-8")
    assert "group_wait: 30s" in example
    assert "http://127.0.0.1:9099/alerts" in example
    file, log_path = folder / "alertmanager.yml", folder / "alertmanager.log"
    text = example.replace("group_wait: 30s", "group_wait: 1s")
    file.write_text(text.replace("http://127.0.0.1:9099/alerts", receiver))
    command = [
        "prometheus-alertmanager",
        f"--config.file={file}",
        f"--storage.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
        "--log.format=json",
    ]
    with log_path.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield listening_url(process, log_path)
        finally:
            process.kill()
            process.wait()


def alert(name: str, **labels: str) -> dict[str, Any]:
    """Return an alert as Prometheus sends it."""
    of = {"job": "tidegate", "model": "m", "version": "1", "severity": "warning"}
    return {"labels": {"alertname": name, **of, **labels}, "annotations": {"summary": name}}


def test_one_message_a_model_and_none_that_says_it_twice(tmp_path: Path) -> None:
    """Features share a message; a gateway's own finding is held back where the sum says so too."""
    with (
        receiving() as webhook,
        alertmanager(tmp_path, f"http://127.0.0.1:{webhook.server_address[1]}/") as url,
    ):
        alerts = [
            alert("TidegateFeatureDrift", feature="age", rule="drift", profile="abc"),
            alert("TidegateFeatureDrift", feature="bmi", rule="drift", profile="abc"),
            alert("TidegateMonitorAlert", feature="age", rule="drift"),
            alert("TidegateMonitorAlert", feature="sex", rule="drift"),
            alert("TidegateTrafficVolume"),
            alert("TidegateMonitorAlert", rule="volume"),
        ]
        request = urllib.request.Request(
            f"{url}/api/v2/alerts",
            json.dumps(alerts).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=60).close()
        told = [webhook.told.get(timeout=60) for _ in range(3)]

        found = {
            message["groupLabels"]["alertname"]: sorted(
                one["labels"].get("feature", "") for one in message["alerts"]
            )
            for message in told
        }
        assert found == {
            "TidegateFeatureDrift": ["age", "bmi"],
            "TidegateMonitorAlert": ["sex"],
            "TidegateTrafficVolume": [""],
        }
