"""What is below the gateway fails: files, sockets, the disk, descriptors, control. Answers do not.

One gateway is put through all of it; each test leaves it as it was.
"""

import contextlib
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from server.store import sqlite_file
from tests.support import models
from tests.support.clients import ROW, Seen, asking
from tests.support.gateway import Gateway, Reply, call, eventually, is_running, running
from tests.support.raw import connected

RIGHT = [[3.0, 5.0, 7.0]]
MODEL = Path("a", "1", "model.onnx")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Two workers and one model, which is replaced by an operator only."""
    root = tmp_path_factory.mktemp("below")
    models.put(root / "models", "a", 1, models.affine())
    settings = {"release": "manual", "monitor_flush_seconds": 0.2}
    with running(root / "models", root / "state", workers=2, **settings) as one:
        yield one


def repository(gateway: Gateway) -> Path:
    """Return where the models of the gateway lie."""
    return gateway.state_dir.parent / "models"


def check_answers(gateway: Gateway) -> None:
    """See that every worker answers, and bit for bit as ever."""
    for _ in range(10):
        answer = gateway.infer("a", ROW)
        assert (answer.status, answer.json["model_version"]) == (200, "1")
        assert answer.json["outputs"][0]["data"] == RIGHT[0]


def release(gateway: Gateway, *path: str, **members: Any) -> Reply:
    """Call the release of the model, or ask for it."""
    url = "/".join((f"{gateway.control}/v1/models/a/release", *path))
    return call(url, members or None)


def live_reason(gateway: Gateway) -> str:
    """Return what the release says of its live version."""
    (one,) = (one for one in release(gateway).json["versions"] if one["state"] == "live")
    return str(one["reason"])


def replace_worker(gateway: Gateway) -> None:
    """Kill one worker; return when another one is in its place and serves what it should."""
    worker = gateway.workers()[0]
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: not is_running(worker))
    eventually(lambda: len(gateway.workers()) == 2 and worker not in gateway.workers())
    eventually(lambda: known_workers(gateway) == gateway.workers())
    eventually(lambda: gateway.index()["a", "1"]["state"] == "READY")


def known_workers(gateway: Gateway) -> list[int]:
    """Return the process ids of the workers that answer for the model, as control knows them."""
    workers = release(gateway).json["workers"]
    return sorted(one["pid"] for one in workers if one["generation"] is not None)


@contextlib.contextmanager
def limited(pid: int, kind: int, value: int) -> Iterator[None]:
    """Lower a limit of a process until the block ends."""
    soft, hard = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (value, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, kind, (soft, hard))


def has_content(file: Path, content: bytes) -> bool:
    """Whether a file can be read, and has a content."""
    try:
        return file.read_bytes() == content
    except OSError:
        return False


def make_folder(file: Path) -> None:
    """Put a folder in the place of a file."""
    file.unlink()
    file.mkdir()


SPOIL: dict[str, Callable[[Path], object]] = {
    "overwritten": lambda file: file.write_bytes(models.affine(offset=9)),
    "truncated": lambda file: os.truncate(file, 10),
    "unreadable": lambda file: file.chmod(0),
    "a folder": make_folder,
}


@pytest.mark.parametrize("spoil", SPOIL.values(), ids=SPOIL)
def test_served_files_may_become_anything(
    gateway: Gateway, spoil: Callable[[Path], object]
) -> None:
    """No answer changes, and the release says that its files are others; root may read anything."""
    file = repository(gateway) / MODEL
    good = file.read_bytes()
    with asking(gateway, "a") as seen:
        spoil(file)
        if not has_content(file, good):
            eventually(lambda: live_reason(gateway))
        check_answers(gateway)
        if file.is_dir():
            file.rmdir()
        else:
            file.chmod(0o644)
        file.write_bytes(good)
        eventually(lambda: not live_reason(gateway))
        check_answers(gateway)
    assert seen.is_flawless


def test_private_copies_that_are_removed_are_made_anew(gateway: Gateway) -> None:
    """A worker that starts in between loads the version as soon as its copy is there again."""
    store = gateway.state_dir / "store"
    for folder in store.iterdir():
        folder.chmod(0o755)
    shutil.rmtree(store)
    replace_worker(gateway)

    check_answers(gateway)
    assert any(store.iterdir())


def test_workers_find_control_again_when_its_socket_was_removed(gateway: Gateway) -> None:
    """It listens anew, and nothing else is needed."""
    path = gateway.state_dir / "control.sock"
    path.unlink()
    with asking(gateway, "a") as seen:
        eventually(path.is_socket)
        check_answers(gateway)
    assert seen.is_flawless
    replace_worker(gateway)


def test_a_full_disk_is_seen_and_overcome(gateway: Gateway) -> None:
    """A gauge says 0, what cannot be kept is refused, and all of it works with room again."""
    control = gateway.children()["control"]
    with asking(gateway, "a") as seen:
        # What fits into so few bytes can still be written: it is the next page that fails.
        with limited(control, resource.RLIMIT_FSIZE, 4096):
            refused = release(gateway, "hold", reason="a test", actor="ann")
            assert (refused.status, refused.json["code"]) == (503, "store_unavailable")
            assert release(gateway).json["held"] == ""
            assert gateway.metric("tidegate_store_writable") == 0
            models.put(repository(gateway), "b", 1, models.slow(steps=1))
            words = "it cannot be copied to the state directory: "
            eventually(lambda: gateway.index()["b", "1"]["reason"].startswith(words))
        eventually(lambda: gateway.metric("tidegate_store_writable") == 1)
        eventually(lambda: gateway.index()["b", "1"]["state"] == "READY")
        assert release(gateway, "hold", reason="a test", actor="ann").status == 200
        assert release(gateway, "resume", reason="a test", actor="ann").status == 200
    assert seen.is_flawless
    assert gateway.children()["control"] == control
    assert not list((gateway.state_dir / "store").glob("tmp-*"))
    shutil.rmtree(repository(gateway) / "b")


def test_control_without_descriptors_recovers(gateway: Gateway) -> None:
    """While it can open nothing, predictions go on; then it works as before, the same process."""
    control = gateway.children()["control"]
    with asking(gateway, "a") as seen:
        with limited(control, resource.RLIMIT_NOFILE, 3), contextlib.ExitStack() as waiting:
            for _ in range(20):
                waiting.enter_context(connected(gateway.control))
            models.put(repository(gateway), "c", 1, models.affine())
            check_answers(gateway)
        eventually(lambda: gateway.index()["c", "1"]["state"] == "READY")
        eventually(lambda: gateway.metric("tidegate_store_writable") == 1)
        check_answers(gateway)
    assert seen.is_flawless
    assert gateway.children()["control"] == control
    shutil.rmtree(repository(gateway) / "c")


def kill_control(gateway: Gateway) -> None:
    """Kill control; return when another one is in its place, has read the store, and counts."""
    sample = 'tidegate_requests_total{model="a",outcome="ok",version="1"}'
    control = gateway.children()["control"]
    os.kill(control, signal.SIGKILL)
    eventually(lambda: control not in gateway.children().values())
    eventually(lambda: (release(gateway).json["last_change"] or {})["action"] == "resume")
    eventually(lambda: gateway.metric("tidegate_workers_connected") == 2)
    counted = eventually(lambda: gateway.metric(sample))
    eventually(lambda: gateway.metric(sample) > counted)


def test_control_that_is_killed_again_and_again_loses_no_answer(gateway: Gateway) -> None:
    """What was acknowledged is there each time; what is counted goes on, and the audit is sound."""
    with asking(gateway, "a") as seen:
        for number in range(3):
            assert release(gateway, "hold", reason=f"kill {number}", actor="ann").status == 200
            acknowledged = release(gateway, "resume", actor="ann").json["generation"]
            kill_control(gateway)
            assert release(gateway).json["generation"] == acknowledged
    assert seen.is_flawless
    history = release(gateway, "history?verify=1").json
    assert history["is_sound"], history
    check_seen(gateway, seen)


def check_seen(gateway: Gateway, seen: Seen) -> None:
    """See that the store is whole after all that."""
    assert sum(seen.answers.values()) > 0
    look = sqlite_file.look(gateway.state_dir / sqlite_file.FILE_NAME)
    assert look is not None
    assert gateway.metric("tidegate_store_files_set_aside_total") == 0
