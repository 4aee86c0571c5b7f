"""A copy is whole or absent, whatever interrupts it: a kill at any step, a full disk, a writer."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from server.repository.layout import VersionFolder, scan
from server.repository.staging import Store
from tests.support.models import put

# For each step in turn, forks a child that stages version 1 of model m and does something at that
# step: the interpreter announces what touches a file (open, mkdir, rename, …) to an audit hook.
DRIVER = """
import os, signal, sys
from pathlib import Path
from server.repository.layout import scan
from server.repository.staging import StillChanging, Store

action, repository, states = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
source = repository / "m" / "1" / "b.bin"
original = source.read_bytes()

def child(at):
    source.write_bytes(original)
    state, steps = states / str(at), 0
    folder = scan(repository).models["m"].versions["1"]
    store = Store(state)
    store.prepare()

    def watch(event, arguments):
        nonlocal steps
        if event not in ("open", "os.mkdir", "os.chmod", "os.rename", "os.remove", "os.rmdir"):
            return
        if not str(arguments[0]).startswith((str(state), str(repository))):
            return
        steps += 1
        if steps == at and action == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if steps == at and action.isdecimal():
            source.write_bytes(b"n" * int(action))

    sys.addaudithook(watch)
    outcome = "staged"
    try:
        store.stage(folder)
    except StillChanging:
        outcome = "put off"
    print(at, outcome if steps >= at else "no such step", flush=True)
    return steps >= at

for at in range(1, 1000):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if child(at) else 1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == 1:
        break
    if code:
        print(at, "exit code", code, flush=True)
"""

FILES = {"model.onnx": b"m" * 3_000_000, "b.bin": b"b" * 100, "d/c.bin": b"c"}


@pytest.fixture
def folder(repository: Path) -> VersionFolder:
    """A version of three files, one of them in a folder and one of several chunks."""
    path = put(repository, "m", 1, FILES["model.onnx"])
    (path / "d").mkdir()
    for name in ("b.bin", "d/c.bin"):
        (path / name).write_bytes(FILES[name])
    return version_of(repository)


def version_of(repository: Path) -> VersionFolder:
    return scan(repository).models["m"].versions["1"]


def stage_at_each_step(action: str, repository: Path, states: Path) -> list[str]:
    """Stage once for each step; return how each went. Each has a state directory of its own."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, action, str(repository), str(states)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    outcomes = [line.partition(" ")[2] for line in done.stdout.splitlines()]
    assert outcomes.pop() == "no such step"
    return outcomes


def test_a_kill_at_any_step_leaves_nothing_or_a_whole_copy(
    tmp_path: Path, repository: Path, folder: VersionFolder
) -> None:
    """After a SIGKILL at each step in turn, the store is cleared and the version is staged."""
    reference = Store(tmp_path / "reference")
    reference.prepare()
    expected = reference.stage(folder).digest
    outcomes = stage_at_each_step("die", repository, tmp_path)
    leftovers = 0
    for at, outcome in enumerate(outcomes, 1):
        assert outcome == f"exit code {-signal.SIGKILL}"
        root = tmp_path / str(at) / "store"
        leftovers += any(path.name.startswith("tmp-") for path in root.iterdir())

        store = Store(tmp_path / str(at))
        store.prepare()
        assert [path.name for path in root.iterdir()] in ([], [expected])
        staged = store.stage(version_of(repository))
        assert staged.digest == expected
        for name, content in FILES.items():
            assert (staged.path / name).read_bytes() == content
    assert leftovers >= len(FILES), "it was killed in the middle of the copy, too"


@pytest.mark.parametrize(
    ("size", "expected"), [(100, {"put off", "bbbb", "nnnn"}), (70, {"put off", "bbbb"})]
)
def test_a_file_written_while_it_is_copied_is_never_half_in_the_store(
    tmp_path: Path, repository: Path, folder: VersionFolder, size: int, expected: set[str]
) -> None:
    """Whenever a writer comes, the copy is all old, all new, or put off."""
    reference = Store(tmp_path / "reference")
    reference.prepare()
    digests = {b"bbbb": reference.stage(folder).digest}
    (folder.path / "b.bin").write_bytes(b"n" * size)
    digests[b"nnnn"] = reference.stage(version_of(repository)).digest
    (folder.path / "b.bin").write_bytes(FILES["b.bin"])
    seen = set()
    for at, outcome in enumerate(stage_at_each_step(str(size), repository, tmp_path), 1):
        kept = list((tmp_path / str(at) / "store").iterdir())
        if outcome == "put off":
            assert kept == []
            seen.add(outcome)
        else:
            [copy] = kept
            start = (copy / "b.bin").read_bytes()[:4]
            assert copy.name == digests[start]
            seen.add(start.decode())
    assert seen == expected


def test_a_full_disk_leaves_no_part_of_a_copy(tmp_path: Path, folder: VersionFolder) -> None:
    """When a file cannot be written whole, nothing stays, and it works once there is room."""
    store = Store(tmp_path)
    store.prepare()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            store.stage(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert list((tmp_path / "store").iterdir()) == []
    assert (store.stage(folder).path / "model.onnx").read_bytes() == FILES["model.onnx"]
