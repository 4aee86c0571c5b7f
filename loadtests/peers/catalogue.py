"""The peers there are, and how each is started.

Each program's docstring names the pages of the peer's documentation that its settings come from.
"""

import contextlib
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtests import targets
from loadtests.bench_models import Workload
from loadtests.environments import DEFAULT_FOLDER, PeerMissing, python_of, reason
from loadtests.peers import messages
from loadtests.peers.base import Peer, Request
from loadtests.targets import NotStarted, Target

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
V2_PATH = "/v2/models/{model}/infer"
V2_PROBE = "/v2/health/ready"
V2_MODEL_PROBE = "/v2/models/{model}/ready"
PROGRAMS = "loadtests.peers.programs"


@dataclass(frozen=True)
class Job:
    """What a peer is to serve."""

    model: Path
    name: str
    port: int
    workers: int
    folder: Path
    """Where the peer may write."""


def nothing_more(_: Job) -> dict[str, str]:
    """Return no variables: the program needs those of `programs/model.py` only."""
    return {}


@dataclass(frozen=True)
class Program:
    """A peer that is a program in an environment of its own."""

    name: str
    command: tuple[str, ...]
    """What follows `python -m`."""
    probe: str
    """The path that answers when it is ready, in which {model} is the model's name."""
    path: str = V2_PATH
    takes_binary: bool = False
    takes_rows: bool = False
    """Whether it takes one array, and answers with one, instead of the protocol's tensors."""
    has_environment: bool = True
    """Whether it needs packages of its own, in `NAME.txt`, or runs beside the gateway's."""
    variables: Callable[[Job], Mapping[str, str]] = nothing_more

    @contextlib.contextmanager
    def start(
        self, scratch: Path, repository: Path, workload: Workload, workers: int
    ) -> Iterator[Target]:
        """Serve the workload's model until the block ends, as `base.Peer` says."""
        python = Path(sys.executable)
        if self.has_environment:
            python = python_of(HERE / f"{self.name}.txt", DEFAULT_FOLDER)
        model = repository / workload.model / "1" / "model.onnx"
        # What a peer writes beside its program stays in the folder that is thrown away.
        folder = scratch / self.name
        folder.mkdir(exist_ok=True)
        job = Job(model, workload.model, targets.free_port(), workers, folder)
        command = [
            sys.executable, "-m", "loadtests.peers.reaper", str(python), "-m", *self.command
        ]  # fmt: skip
        probe = self.probe.format(model=workload.model)
        with contextlib.ExitStack() as stack:
            try:
                target = stack.enter_context(
                    targets.started(
                        self.name, command, job.port, folder, probe, self._variables(job)
                    )
                )
            except NotStarted as error:
                log = (folder / f"{self.name}.log").read_text(errors="replace")
                raise PeerMissing(f"it does not start: {reason(log)[:200]}") from error
            yield target

    def _variables(self, job: Job) -> dict[str, str]:
        return {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            # Compiled once, however this process was told to treat its own: some are large.
            "PYTHONDONTWRITEBYTECODE": "",
            "OMP_NUM_THREADS": "1",
            "PEER_MODEL": str(job.model),
            "PEER_MODEL_NAME": job.name,
            "PEER_PORT": str(job.port),
            "PEER_SPARE_PORT": str(targets.free_port()),
            "PEER_WORKERS": str(job.workers),
            **self.variables(job),
        }

    def request(self, workload: Workload) -> Request:
        """Return a request with the workload's rows, as `base.Peer` says."""
        if self.takes_rows:
            return messages.rows_request(workload, self.path)
        return messages.v2_request(workload, self.path, self.takes_binary)

    def first_number(self, body: bytes, headers: Mapping[str, str]) -> float:
        """Return the first number of the last output, as `base.Peer` says."""
        read = messages.first_of_rows if self.takes_rows else messages.first_of_v2
        return read(body, headers)


def _plain(job: Job) -> dict[str, str]:
    return {
        "PLAIN_MODEL": str(job.model),
        "PLAIN_NAME": job.name,
        "UVICORN_PORT": str(job.port),
        "UVICORN_WORKERS": str(job.workers),
    }


def _mlserver(job: Job) -> dict[str, str]:
    return {
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_HTTP_PORT": str(job.port),
        "MLSERVER_GRPC_PORT": str(targets.free_port()),
        "MLSERVER_METRICS_PORT": str(targets.free_port()),
        "MLSERVER_DEBUG": "false",
        "MLSERVER_PARALLEL_WORKERS": str(job.workers),
        "MLSERVER_MODEL_NAME": job.name,
        "MLSERVER_MODEL_IMPLEMENTATION": f"{PROGRAMS}.mlserver_runtime.Onnx",
        "MLSERVER_MODEL_URI": str(job.model),
        "MLSERVER_MODEL_MAX_BATCH_SIZE": "64",
        "MLSERVER_MODEL_MAX_BATCH_TIME": "0.001",
    }


def _bentoml(job: Job) -> dict[str, str]:
    return {
        "BENTOML_HOST": "127.0.0.1",
        "BENTOML_PORT": str(job.port),
        "BENTOML_HOME": str(job.folder / "home"),
        "BENTOML_DO_NOT_TRACK": "1",
    }


def _ray(job: Job) -> dict[str, str]:
    return {
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_TMPDIR": str(job.folder),
        "RAY_raylet_start_wait_time_s": str(int(targets.START_SECONDS)),
    }


def _pytriton(_: Job) -> dict[str, str]:
    # Triton's process for Python takes the first libpython that it finds, which is the system's,
    # and the standard library of the interpreter that starts it: both have to be of one release.
    return {"LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR"))}


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Program(
            "plain",
            (
                *("uvicorn", "loadtests.plain:app", "--loop", "uvloop", "--http", "httptools"),
                *("--no-access-log", "--log-level", "warning"),
            ),
            V2_PROBE,
            takes_binary=True,
            has_environment=False,
            variables=_plain,
        ),
        Program("mlserver", ("mlserver.cli.main", "start", "."), V2_PROBE, variables=_mlserver),
        Program(
            "kserve",
            (
                f"{PROGRAMS}.kserve_server",
                *("--log_config_file", str(HERE / "programs" / "kserve_logging.json")),
            ),
            V2_PROBE,
            takes_binary=True,
        ),
        Program(
            "bentoml",
            ("bentoml", "serve", f"{PROGRAMS}.bentoml_service:Onnx"),
            "/readyz",
            path="/predict",
            takes_rows=True,
            variables=_bentoml,
        ),
        Program("litserve", (f"{PROGRAMS}.litserve_server",), "/health", path="/predict"),
        Program("ray", (f"{PROGRAMS}.ray_serve",), "/-/healthz", takes_binary=True, variables=_ray),
        Program(
            "pytriton",
            (f"{PROGRAMS}.pytriton_server",),
            V2_MODEL_PROBE,
            takes_binary=True,
            variables=_pytriton,
        ),
    )
}
"""By the name that a command line gives."""
