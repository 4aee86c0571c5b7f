"""Calls to the control port, for scenarios that change what is served."""

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Control:
    """The control port of a gateway."""

    port: int

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Post a JSON object; return the status and the answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode()
        )
        return _answer(request)

    def get(self, path: str) -> tuple[int, Any]:
        """Ask; return the status and the answer."""
        return _answer(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}"))

    def promote(self, model: str, version: str) -> tuple[int, Any]:
        """Make a version live."""
        body = {"version": version, "reason": "measured"}
        return self.post(f"/v1/models/{model}/release/promote", body)

    def rollback(self, model: str) -> tuple[int, Any]:
        """Bring the previous version back."""
        return self.post(f"/v1/models/{model}/release/rollback", {})

    def first_live(self, model: str) -> str:
        """Wait until every worker has all versions, and a model's release has begun.

        Return its live version.
        """
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            is_ready = self.get("/v2/health/ready")[0] == 200
            status, answer = self.get(f"/v1/models/{model}/release")
            if is_ready and status == 200 and answer["generation"]:
                return str(answer["live"])
            time.sleep(0.02)
        raise SystemExit(f"the release of model {model} did not begin")

    def metrics(self) -> dict[str, float]:
        """Return every sample of /metrics by its name and labels."""
        url = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def load(self, model: str, config: dict[str, Any]) -> tuple[int, Any]:
        """Load a model with Triton's configuration."""
        body = {"parameters": {"config": json.dumps(config)}}
        return self.post(f"/v2/repository/models/{model}/load", body)


def expect(change: tuple[int, Any]) -> None:
    """End the measurement if a change was refused."""
    status, answer = change
    if status != 200:
        raise SystemExit(f"a change was refused: {status} {answer}")


def _answer(request: urllib.request.Request) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
