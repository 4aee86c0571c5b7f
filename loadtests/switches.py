"""Switch a model's version again and again under load, and look at every answer.

Two versions add another number each, so an answer's numbers tell which one made them; they must be
those of the version that the answer names, and nothing may fail. Versions are switched by the
repository's policy, or by promoting one and rolling back to the other.
"""

import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import orjson
from onnx import TensorProto, helper, numpy_helper

from loadtests import targets
from loadtests.clients import Clients
from loadtests.control import Control, expect
from server.store import audit, sqlite_file
from server.store.transactions import Transactions

OFFSETS = {"1": 1.0, "2": 2.0}
MANUAL = 'version_policy = "all"\nrelease = "manual"\n'
INPUT = [0.5, 1.5, 2.5]
BODY = orjson.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": INPUT}]})


def adder(offset: float) -> bytes:
    """Return a model that adds `offset`."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "offset"], ["y"])],
        "adder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.float32(offset).reshape(1), "offset")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def put_adders(repository: Path, settings: str = "") -> None:
    """Write both versions, and settings of the model."""
    for version, offset in OFFSETS.items():
        folder = repository / "adder" / version
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(adder(offset))
    if settings:
        (repository / "adder" / "model.toml").write_text(settings)


def checking(seen: Counter[str]) -> Callable[[bytes], str]:
    """Return what says whether an answer is right, and counts it by the version that it names."""

    def check(content: bytes) -> str:
        answer = orjson.loads(content)
        version = answer["model_version"]
        seen[version] += 1
        expected = [value + OFFSETS[version] for value in INPUT]
        got = answer["outputs"][0]["data"]
        return "" if got == expected else f"version {version} answered {got}"

    return check


def by_policy(switches: int) -> str:
    """Switch `switches` times by the version policy; return what was seen."""
    return _measure(switches, "")


def by_release(switches: int) -> str:
    """Promote and roll back, `switches` times in all; return what was seen."""
    return _measure(switches, MANUAL)


def _measure(switches: int, settings: str) -> str:
    seen: Counter[str] = Counter()
    switch = _by_release if settings else _by_policy
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        scratch = Path(folder)
        put_adders(scratch / "models", settings)
        control = Control(targets.free_port())
        with contextlib.ExitStack() as stack:
            flags = ("--control-port", str(control.port))
            target = stack.enter_context(
                targets.tidegate(scratch, scratch / "models", 2, "tidegate", *flags)
            )
            if settings and control.first_live("adder") != "1":
                expect(control.promote("adder", "1"))
            url = f"http://127.0.0.1:{target.port}"
            started = time.perf_counter()
            with Clients(url, "/v2/models/adder/infer", BODY, checking(seen)) as clients:
                for number in range(switches):
                    switch(control, number)
            seconds = time.perf_counter() - started
        chain = audit_of(scratch / "state-tidegate")
    ledger = clients.ledger
    each = f"{seconds / switches * 1000:.0f} ms each"
    return (
        f"{switches} switches in {seconds:.1f} s ({each}), "
        f"{ledger.answers:,} answers, by version {dict(sorted(seen.items()))}, "
        f"{len(ledger.failures)} failed {ledger.failures[:3]}; {chain}"
    )


def audit_of(state_dir: Path) -> str:
    """Say how long the audit of a gateway that has ended is, and whether it is sound."""
    store = Transactions(state_dir / sqlite_file.FILE_NAME, 5.0)
    entries = store.run(lambda c: len(audit.history(c, "adder", 1_000_000)), is_durable=False)
    problem = store.run(audit.verify, is_durable=False)
    store.close()
    return f"audit of {entries:,} entries {'is sound' if problem is None else problem.what}"


def _by_policy(control: Control, number: int) -> None:
    version = number % 2 + 1
    policy = {"version_policy": {"specific": {"versions": [version]}}}
    status, answer = control.load("adder", policy)
    live = [row["version"] for row in answer["versions"] if row["live"]] if status == 200 else []
    if live != [str(version)]:
        raise SystemExit(f"switching to version {version}: {status} {answer}")


def _by_release(control: Control, number: int) -> None:
    """Promote version 2, or roll back from it."""
    expect(control.rollback("adder") if number % 2 else control.promote("adder", "2"))
