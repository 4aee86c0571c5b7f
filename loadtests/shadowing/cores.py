"""Who used the cores, and who waited for one: from /proc, by kind of process.

Decides which threads belong together. A thread that waits is one that wanted to run and was not
let: for predictions that is what a shadow may cost, beside the caches.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from loadtests.processes import tree

KINDS = {
    b"server.dataplane.process": "workers",
    b"server.controlplane.process": "control",
    b"server.shadow.start": "shadow",
}
CLIENT = "client"


@dataclass(frozen=True)
class Cores:
    """Seconds by kind of process since each began."""

    ran: dict[str, float]
    waited: dict[str, float]

    def since(self, before: "Cores") -> "Cores":
        """Return what has been added; of what has ended meanwhile that cannot be said."""
        return Cores(_added(self.ran, before.ran), _added(self.waited, before.waited))


def now(gateway: int, client_thread: int) -> Cores:
    """Return the times of a gateway's processes, and of one thread of ours."""
    ran: dict[str, float] = {}
    waited: dict[str, float] = {}
    for pid in tree(gateway):
        kind = _kind(pid)
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                _add(task, kind, ran, waited)
    _add(Path(f"/proc/{os.getpid()}/task/{client_thread}"), CLIENT, ran, waited)
    return Cores(ran, waited)


def _kind(pid: int) -> str:
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return next((kind for module, kind in KINDS.items() if module in command), "supervisor")
    return "supervisor"


def _add(task: Path, kind: str, ran: dict[str, float], waited: dict[str, float]) -> None:
    with contextlib.suppress(OSError):
        ran_ns, waited_ns, _ = (task / "schedstat").read_text().split()
        ran[kind] = ran.get(kind, 0.0) + int(ran_ns) / 1e9
        waited[kind] = waited.get(kind, 0.0) + int(waited_ns) / 1e9


def _added(after: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    return {kind: max(0.0, seconds - before.get(kind, 0.0)) for kind, seconds in after.items()}
