"""Control that is killed as often as it comes back, beside a model that is asked all the time.

Before each kill, somebody holds and resumes the release of the model; what was acknowledged has to
be there when the next control is. The supervisor starts it again after 0, 1, 2, 4 … 30 seconds.
"""

import contextlib
import http.client
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from loadtests import processes, targets
from loadtests.control import Control, expect
from loadtests.hostile.beside import GoodClients, Ledger, spread
from loadtests.hostile.models import affine, put

WORKERS = 2
QUIET_SECONDS = 10.0
BACK_SECONDS = 60.0


def measure(kills: int) -> dict[str, Any]:
    """Ask a good model for a while, then kill control so many times."""
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        scratch = Path(folder)
        put(scratch / "models", "good", affine())
        control, ledger = Control(targets.free_port()), Ledger()
        flags = ("--control-port", str(control.port))
        back, lost = list[float](), 0
        with targets.tidegate(scratch, scratch / "models", WORKERS, "tidegate", *flags) as target:
            control.first_live("good")
            with GoodClients(target.port, ledger):
                began = time.perf_counter()
                time.sleep(QUIET_SECONDS)
                killing = time.perf_counter()
                for _ in range(kills):
                    acknowledged = _change(control)
                    killed = time.perf_counter()
                    os.kill(_pid(target.pid), signal.SIGKILL)
                    lost += _wait_for(control) != acknowledged
                    back.append(time.perf_counter() - killed)
                ended = time.perf_counter()
            history = control.get("/v1/models/good/release/history?verify=1")[1]
    quiet, meanwhile = ledger.part(began, killing), ledger.part(killing, ended)
    return {
        "kills": kills,
        "seconds until control is back": spread(back),
        "acknowledged changes that were lost": lost,
        "the audit is sound": history["is_sound"],
        "good, before": quiet,
        "good, meanwhile": meanwhile,
        "p99 ratio": round(meanwhile["p99 ms"] / quiet["p99 ms"], 2),
    }


def _change(control: Control) -> int:
    """Change a release twice; return the generation that was acknowledged."""
    who = {"reason": "measured", "actor": "loadtests"}
    expect(control.post("/v1/models/good/release/hold", who))
    resumed = control.post("/v1/models/good/release/resume", who)
    expect(resumed)
    return int(resumed[1]["generation"])


def _pid(gateway: int) -> int:
    (pid,) = [one for one in processes.tree(gateway) if processes.role(one) == "control"]
    return pid


def _wait_for(control: Control) -> int:
    """Return which generation a new control knows of, when it has read the store and is ready."""
    deadline = time.monotonic() + BACK_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if control.get("/v2/health/ready")[0] == 200:
                answer = control.get("/v1/models/good/release")[1]
                if answer["last_change"] is not None:
                    return int(answer["generation"])
        time.sleep(0.02)
    raise SystemExit("control does not come back")
