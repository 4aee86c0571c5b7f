"""`tidegate demo`: a gateway with example models, traffic, drift, a candidate and a roll back.

Decides where everything is kept, a folder that is removed in the end, and what a spectator is told.
"""

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import typer

from server.cli.client import fail
from server.cli.plain import standard_output

_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
_WITHOUT_END = float("inf")
_SETTINGS = {
    "monitor_window_seconds": "2",
    "monitor_bin_metrics": "on",
    "log_format": "json",
    "webhook_url": "",
}


def demo(
    port: int = typer.Option(8000, min=1, max=65535, help="Data port."),
    control_port: int = typer.Option(
        8001, min=1, max=65535, help="Control port, with the console."
    ),
    seconds: float = typer.Option(
        _WITHOUT_END, min=1, help="End after so long instead of at Ctrl-C.", show_default=False
    ),
) -> None:
    """Show what Tidegate does, in three minutes, without writing anything.

    Serves the example models on this machine and plays traffic from real rows. A candidate is
    tried beside the live version, a feature drifts and an alert fires, somebody promotes the
    candidate and rolls it back. Open the console and look.

    Example: tidegate demo --port 9000 --control-port 9001
    """
    models = _example_models()
    with tempfile.TemporaryDirectory(prefix="tidegate-demo-") as scratch:
        folder = Path(scratch)
        _lay_out(models, folder / "models")
        with _serving(folder, port, control_port) as process:
            _play(process, folder / "models", (port, control_port), seconds)


def _example_models() -> Path:
    """Return where the example models are: in the program, or beside it in a clone."""
    import server

    program = Path(server.__file__).parent
    places = [program / "demo" / "files" / "models", program.parent / "models"]
    found = [path for path in places if (path / "breast-cancer" / "model.toml").is_file()]
    if not found:
        fail("the example models are not there", "run the demo from a clone, or install the wheel")
    return found[0]


def _lay_out(models: Path, repository: Path) -> None:
    """Copy the example models."""
    from server.demo.story import MODEL

    repository.mkdir()
    for folder in models.iterdir():
        if (folder / "1").is_dir():
            shutil.copytree(folder, repository / folder.name)
    settings = repository / MODEL / "model.toml"
    text = settings.read_text(encoding="utf-8").replace("latest:2", "latest:3")
    settings.write_text(f'release = "manual"\n{text}', encoding="utf-8")


def _bring_candidate(repository: Path) -> None:
    """Put the candidate beside the other versions."""
    from server.demo.rows import FILE
    from server.demo.story import CANDIDATE, MODEL

    candidate = repository / MODEL / CANDIDATE
    candidate.mkdir()
    # It was trained on the same rows, so it is held to the same reference.
    shutil.copy(repository / MODEL / "2" / "profile.json", candidate / "profile.json")
    shutil.copy(FILE.parent / "candidate.onnx", candidate / "model.onnx")


@contextlib.contextmanager
def _serving(folder: Path, port: int, control_port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a gateway until the block ends; it is told to stop in order."""
    flags = {
        "host": "127.0.0.1",
        "control_host": "127.0.0.1",
        "port": str(port),
        "control_port": str(control_port),
        "state_dir": str(folder / "state"),
        **_SETTINGS,
    }
    command = [sys.executable, "-m", "server", "serve", str(folder / "models")]
    for name, value in flags.items():
        command += [f"--{name.replace('_', '-')}", value]
    log_path = folder / "log"
    with log_path.open("wb") as log:
        # Ctrl-C reaches the whole group: the gateway is told by us, when nothing is sent any more.
        process = subprocess.Popen(command, stderr=log, stdout=log, start_new_session=True)  # noqa: S603
    try:
        _wait_until_ready(process, port, log_path)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log_path: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    url = f"http://127.0.0.1:{port}/v2/health/ready"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines()
            fail("the gateway did not start:\n" + "\n".join(lines[-5:]), "")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    fail(f"the gateway was not ready after {_START_SECONDS:.0f} seconds", "")


def _play(
    process: subprocess.Popen[bytes], repository: Path, ports: tuple[int, int], seconds: float
) -> None:
    from server.demo.player import Player
    from server.demo.rows import streams
    from server.demo.story import Scene

    console = standard_output()
    data, control = (f"http://127.0.0.1:{port}" for port in ports)
    console.print(f"console      [bold]{control}/[/]")
    console.print(f"predictions  {data}")
    console.print("Ctrl-C ends it; nothing of it is kept.\n")

    def told(scene: Scene, problem: str) -> None:
        if scene.brings_candidate:
            _bring_candidate(repository)
        minutes, rest = divmod(int(scene.at_seconds), 60)
        console.print(f"[bold]{minutes}:{rest:02d}[/]  {scene.title}")
        console.print(f"      look at {scene.look.format(control=control)}", style="dim")
        if problem:
            console.print(f"      it did not work: {problem}", style="red", markup=False)

    player = Player(data, control, streams(), told)
    try:
        player.play(seconds)
    except KeyboardInterrupt:
        console.print()
    finally:
        player.close()
    console.print(f"{player.requests:,} requests, {player.failures:,} of them failed")
    if process.poll() is not None:
        fail("the gateway ended by itself", "run 'tidegate serve' to see why")
