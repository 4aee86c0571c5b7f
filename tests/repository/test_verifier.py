"""The checking process: an answer a line, nothing else; a crash costs one version."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from server.controlplane.verifying import Verifier
from server.errors import ModelInvalid
from server.repository.verdict import Verdict, VerificationOrder
from tests.support import models
from tests.support.gateway import child_pids, eventually, is_running


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A checking process with its input and output in our hands."""
    with subprocess.Popen(
        [sys.executable, "-m", "server.repository.verifier", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        yield process
        process.kill()


def order(folder: Path, content: bytes | None = None, **golden: Any) -> dict[str, Any]:
    """Write a model and return the order to check it, as control would send it."""
    folder.mkdir(exist_ok=True)
    if content is not None:
        (folder / "model.onnx").write_bytes(content)
    if golden:
        arrays: dict[str, Any] = {
            name.replace("_", "/", 1): array for name, array in golden.items()
        }
        np.savez(folder / "golden.npz", **arrays)
    return {
        "model_file": str(folder / "model.onnx"),
        "golden_file": str(folder / "golden.npz") if golden else None,
        "samples_file": str(folder / "samples.npz"),
        "threads": 1,
        "max_rows": 16,
        "may_batch": True,
    }


def crash_order(folder: Path) -> dict[str, Any]:
    """Return the order to check a model whose golden row makes the processor trap."""
    row = np.array([[-2]], np.int32)
    return order(folder, models.crashing(), inputs_x=row, outputs_y=row)


def as_order(plain: dict[str, Any]) -> VerificationOrder:
    paths: dict[str, Any] = {
        name: Path(value) if value and name.endswith("_file") else value
        for name, value in plain.items()
    }
    return VerificationOrder(**paths)


def ask(process: subprocess.Popen[bytes], plain: dict[str, Any]) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(orjson.dumps(plain) + b"\n")
    process.stdin.flush()
    return orjson.loads(process.stdout.readline())


def test_orders_are_answered_one_by_one_until_the_input_ends(
    tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    """Good and bad versions are answered in turn by one process, which ends with its input."""
    good = ask(process, order(tmp_path / "good", models.affine()))
    bad = ask(process, order(tmp_path / "bad", b"not a model"))
    again = ask(process, order(tmp_path / "good"))

    assert Verdict.from_json(good["verdict"]).is_batched
    assert bad["error"].startswith("ONNX Runtime cannot load it")
    assert bad["fix"]
    assert "verdict" in again
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert rest == errors == b""


def test_it_gives_way_to_predictions(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    """The process runs at a lower priority than those that answer."""
    ask(process, order(tmp_path, models.affine()))

    assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(
        os.getpriority(os.PRIO_PROCESS, 0) + 10, 19
    )


def test_it_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """When its parent is killed, the process is gone, however busy it is."""
    os.mkfifo(tmp_path / "model.onnx")
    starter = (
        "import os, subprocess, sys\n"
        "command = [sys.executable, '-m', 'server.repository.verifier', str(os.getpid())]\n"
        "child = subprocess.Popen(command, stdin=0)\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", starter], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.stdin.write(orjson.dumps(order(tmp_path)) + b"\n")
        parent.stdin.flush()
        with (tmp_path / "model.onnx").open("wb"):  # Opens when the child has it open.
            parent.kill()
            eventually(lambda: not is_running(child))


def test_a_malformed_order_ends_it_without_an_answer(process: subprocess.Popen[bytes]) -> None:
    """Only control writes orders: what is none is a fault of ours, and leaves a trace."""
    output, errors = process.communicate(b"{}\n", timeout=60)

    assert process.returncode == 1
    assert output == b""
    assert b"KeyError" in errors


def test_a_model_that_crashes_loses_only_itself(tmp_path: Path) -> None:
    """The version is refused with how the process died; the next one gets a new process."""
    good = as_order(order(tmp_path / "good", models.affine()))
    crash = as_order(crash_order(tmp_path / "crash"))

    async def scenario() -> None:
        verifier = Verifier(60.0)
        for _ in range(2):
            assert (await verifier.verify(good)).is_batched
            with pytest.raises(ModelInvalid) as caught:
                await verifier.verify(crash)
            assert str(caught.value) == (
                "opening or running it crashed the checking process (SIGFPE)"
            )
            assert caught.value.fix

    asyncio.run(scenario())


def test_a_model_that_hangs_is_given_up_in_time(tmp_path: Path) -> None:
    """The process is killed when the time is over, and the next version is checked."""
    (tmp_path / "hang").mkdir()
    os.mkfifo(tmp_path / "hang" / "model.onnx")

    async def scenario() -> str:
        verifier = Verifier(0.2)
        with pytest.raises(ModelInvalid) as caught:
            await verifier.verify(as_order(order(tmp_path / "hang")))
        return str(caught.value)

    before = child_pids(os.getpid())
    assert asyncio.run(scenario()) == "checking it took longer than 0.2 seconds"
    assert child_pids(os.getpid()) == before


def test_a_process_killed_from_outside_is_replaced(tmp_path: Path) -> None:
    """Out of memory looks like this: the version is refused, and control goes on."""
    (tmp_path / "big").mkdir()
    os.mkfifo(tmp_path / "big" / "model.onnx")

    async def scenario() -> str:
        before = set(child_pids(os.getpid()))
        verifier = Verifier(60.0)
        checking = asyncio.create_task(verifier.verify(as_order(order(tmp_path / "big"))))
        # Opening the pipe for writing waits until the process has it open for reading.
        pipe = await asyncio.to_thread(os.open, tmp_path / "big" / "model.onnx", os.O_WRONLY)
        [pid] = set(child_pids(os.getpid())) - before
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ModelInvalid) as caught:
            await checking
        os.close(pipe)
        return str(caught.value)

    assert asyncio.run(scenario()) == (
        "opening or running it crashed the checking process (SIGKILL)"
    )
