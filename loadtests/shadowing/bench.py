"""A running gateway with a model, its candidates, and the calls that begin and end a shadow."""

import contextlib
import re
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import uvloop

from loadtests import targets
from loadtests.control import Control
from loadtests.overload.offering import ClosedLoop, post
from loadtests.shadowing import models
from loadtests.shadowing.steady_load import CONNECTIONS, SteadyLoad

START_SECONDS = 60.0
MODEL = "steady"
PATH = f"/v2/models/{MODEL}/infer"
EXPECTED = b'"data":[1.0]'
WORKERS = 2
PEAK_SECONDS = 3.0


@dataclass(frozen=True)
class Bench:
    """A gateway."""

    pid: int
    port: int
    control: Control
    body: bytes

    def peak(self) -> float:
        """Return how many requests it answers in a second, asked by as many connections."""
        offer = ClosedLoop(post(PATH, self.body), PEAK_SECONDS, CONNECTIONS)
        ledger = uvloop.run(offer.run(self.port))
        if set(ledger.outcomes) != {"ok"}:
            raise SystemExit(f"failed under peak load: {ledger.counts()}")
        return len(ledger.outcomes) / PEAK_SECONDS

    def load(self, rate: float) -> SteadyLoad:
        """Return a client that asks at a rate."""
        return SteadyLoad(f"http://127.0.0.1:{self.port}{PATH}", self.body, EXPECTED, rate)

    def start(self, version: str) -> None:
        """Begin a shadow of all batches, and return when it has been compared."""
        before = self.counts("pairs", version)
        self._shadow({"version": version, "sample_bp": 10_000})
        deadline = time.monotonic() + START_SECONDS
        while self.counts("pairs", version) == before:
            if time.monotonic() > deadline:
                raise SystemExit(f"shadow {version} is not run")
            time.sleep(0.2)

    def stop(self, version: str) -> None:
        """End a shadow."""
        self._shadow({"version": version, "stop": True})

    def _shadow(self, members: dict[str, Any]) -> None:
        members |= {"actor": "measured", "reason": "measured"}
        status, answer = self.control.post(f"/v1/models/{MODEL}/release/shadow", members)
        if status != 200:
            raise SystemExit(f"shadow: {answer}")

    def counts(self, family: str, version: str) -> Counter[str]:
        """Return counts of a shadow by their label, without those that are 0."""
        found: Counter[str] = Counter()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.control.port}/metrics") as answer:
            text = answer.read().decode()
        for line in re.findall(rf"^tidegate_shadow_{family}_total{{(.*)$", text, re.MULTILINE):
            labels, value = line.split("} ")
            named = dict(re.findall(r'(\w+)="(.*?)"', labels))
            if named.pop("version") == version and float(value):
                words = " ".join(word for key, word in named.items() if key != "model")
                found[words] = int(float(value))
        return found


@contextlib.contextmanager
def running() -> Iterator[Bench]:
    """Run a gateway until the block ends."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        for version, content in models.versions().items():
            folder = scratch / "models" / MODEL / version
            folder.mkdir(parents=True)
            (folder / "model.onnx").write_bytes(content)
        settings = 'release = "manual"\nversion_policy = "specific:1"\n'
        (scratch / "models" / MODEL / "model.toml").write_text(settings)
        port = targets.free_port()
        flags = ("--control-port", str(port))
        target = stack.enter_context(
            targets.tidegate(scratch, scratch / "models", WORKERS, "tidegate", *flags)
        )
        row = np.full((1, models.SIZE), 64.0, np.float32)
        tensor = {"name": "x", "datatype": "FP32", "shape": list(row.shape)}
        body = orjson.dumps({"inputs": [tensor | {"data": row[0].tolist()}]})
        control = Control(port)
        control.first_live(MODEL)
        yield Bench(target.pid, target.port, control, body)
