"""The image's steps work where no container engine is, and the neighbours fit together."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import models, prometheus
from tests.support.documents import ROOT
from tests.support.gateway import eventually

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
PLACE = "/opt/tidegate"


def instructions(stage: str) -> list[tuple[str, str]]:
    """Return the instructions of a stage, each with its arguments on one line."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    stages = re.split(r"^FROM ", joined, flags=re.MULTILINE)[1:]
    (found,) = [text for text in stages if (" AS build" in text.split("\n")[0]) == bool(stage)]
    pairs = (line.partition(" ") for line in found.split("\n")[1:] if line.strip())
    return [(name, arguments.strip()) for name, _, arguments in pairs]


def test_the_dockerfile_is_in_order() -> None:
    """Says its linter."""
    linter = Path(sys.executable).with_name("hadolint")

    done = subprocess.run(
        [linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_what_runs_is_nobody_and_looks_after_itself() -> None:
    """No root, no shell needed, and the program's own health check."""
    found = dict(instructions(""))

    assert found["USER"] == "10001"
    assert found["HEALTHCHECK"].endswith('CMD ["tidegate", "health"]')
    assert (found["ENTRYPOINT"], found["CMD"]) == ('["tidegate"]', '["serve"]')


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first stage leaves, made by its own steps from the files that it copies."""
    folder = tmp_path_factory.mktemp("image")
    source, place = folder / "src", folder / "opt"
    source.mkdir()
    for name, arguments in instructions("build"):
        if name == "COPY":
            *copied, _ = arguments.split()
            for one in copied:
                if (ROOT / one).is_dir():
                    unwanted = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(ROOT / one, source / one, ignore=unwanted)
                else:
                    shutil.copy(ROOT / one, source)
        elif name == "RUN":
            # What another run has fetched need not be fetched again.
            command = arguments.replace(PLACE, str(place)).replace("--no-cache-dir", "")
            command = re.sub(r"^python ", f"{sys.executable} ", command)
            # Byte code is left out: it takes as long as all the rest, and shows nothing.
            done = subprocess.run(
                ["sh", "-euc", command],
                cwd=source,
                env=os.environ | {"PIP_NO_COMPILE": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
    return place


@contextmanager
def served(installed: Path, folder: Path) -> Iterator[dict[str, str]]:
    """Serve as the image would, with nothing but its own variables."""
    (folder / "models").mkdir()
    models.put(folder / "models", "m", 1, models.affine())
    state = folder / "state"
    state.mkdir()
    values = dict(
        pair.partition("=")[::2] for pair in dict(instructions(""))["ENV"].split() if "=" in pair
    )
    values |= {
        "PATH": f"{installed / 'bin'}:{os.environ['PATH']}",
        "TIDEGATE_REPOSITORY": str(folder / "models"),
        "TIDEGATE_STATE_DIR": str(state),
        "TIDEGATE_HOST": "127.0.0.1",
        "TIDEGATE_CONTROL_HOST": "127.0.0.1",
        "TIDEGATE_PORT": str(free_port()),
        "TIDEGATE_CONTROL_PORT": "0",
        "TIDEGATE_WORKERS": "1",
    }
    process = subprocess.Popen(
        [installed / "bin" / "tidegate", "serve"],
        cwd=state,
        env=values,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield values
    finally:
        process.terminate()
        assert process.wait(60) == 0


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.mark.timeout(600)
def test_the_steps_of_the_image_give_a_gateway_that_serves(installed: Path, tmp_path: Path) -> None:
    """From the files that are copied, in an environment of its own; its health check says so."""
    assert not list((installed / "bin").glob("pip*"))
    assert list(installed.glob("lib/*/site-packages/server/demo/files/models/digits/1/model.onnx"))
    with served(installed, tmp_path) as environment:

        def is_healthy() -> bool:
            program = str(installed / "bin" / "tidegate")
            done = subprocess.run(
                [program, "health"], env=environment, capture_output=True, check=False
            )
            return done.returncode == 0

        eventually(is_healthy, 90.0)


def test_nothing_that_the_builder_needs_is_kept_from_it() -> None:
    """All that is copied is let in, and little else."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        one
        for name, arguments in instructions("build")
        if name == "COPY"
        for one in arguments.split()[:-1]
    }

    assert "*" in lines
    assert copied == let_in


def test_the_neighbours_are_there() -> None:
    """Images have versions, files and folders exist, ports are those of this machine only."""
    for service in COMPOSE["services"].values():
        if "image" in service:
            assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).exists(), source


def test_prometheus_beside_the_gateway_reads_its_configuration() -> None:
    """With the same rules as the one for a machine of its own."""
    said = prometheus.run("promtool", "check", "config", prometheus.RULES / "compose.yml")
    alone, beside = (
        yaml.safe_load((prometheus.RULES / name).read_text(encoding="utf-8"))
        for name in ("prometheus.yml", "compose.yml")
    )

    assert f"{len(prometheus.RULE_FILES)} rule files found" in said
    assert beside["rule_files"] == alone["rule_files"]
    assert {f"{service}" for service in COMPOSE["services"]} >= {"tidegate", "alertmanager"}


def test_grafana_finds_the_dashboards_where_they_are_put() -> None:
    """The provider's folder is the one that is mounted, and so is the page it begins with."""
    text = (ROOT / "grafana" / "provisioning" / "dashboards" / "tidegate.yaml").read_text()
    (provider,) = yaml.safe_load(text)["providers"]
    grafana = COMPOSE["services"]["grafana"]
    first = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])

    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    assert str(first.parent) == provider["options"]["path"]
    assert (ROOT / "grafana" / "dashboards" / first.name).is_file()
