"""Nothing that a command has started outlives it, and the tree has all of it."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from loadtests.processes import tree
from tests.support.gateway import eventually

ROOT = Path(__file__).parents[3]
ORPHAN = """
import subprocess, sys, time
code = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True)"
subprocess.run([sys.executable, "-c", code])
print("left", flush=True)
time.sleep({seconds})
sys.exit(3)
"""


@contextlib.contextmanager
def reaped(seconds: float) -> Iterator["subprocess.Popen[str]"]:
    """Run a command whose grandchild is left to the system, for some seconds."""
    command = [sys.executable, "-m", "loadtests.peers.reaper"]
    command += [sys.executable, "-c", ORPHAN.format(seconds=seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "left\n"
        yield process


def names(pid: int) -> list[str]:
    """Return the names of a tree's processes."""
    return [Path(f"/proc/{one}/comm").read_text().strip() for one in tree(pid)]


def test_an_orphan_is_in_the_tree_and_ends_with_it() -> None:
    """It is told to end, and so is what nobody else would end."""
    with reaped(600) as process:
        eventually(lambda: "sleep" in names(process.pid))
        running = list(tree(process.pid))
        process.send_signal(signal.SIGTERM)

    assert process.returncode == 128 + signal.SIGTERM
    assert len(running) == 3
    assert not any(Path(f"/proc/{pid}").exists() for pid in running)


def test_it_ends_as_its_command_does() -> None:
    """With the same code, and without what the command has left."""
    with reaped(0.2) as process:
        running = list(tree(process.pid))

    assert process.returncode == 3
    assert not any(Path(f"/proc/{pid}").exists() for pid in running)
