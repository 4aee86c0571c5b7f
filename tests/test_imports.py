"""What a process does not load: each package costs processor time at each start, and memory."""

import subprocess
import sys

import pytest

RUNS_NO_MODEL = {"onnxruntime"}
SERVES_NOTHING = RUNS_NO_MODEL | {"anyio", "click", "numpy", "starlette", "uvicorn"}
WHEN_NEEDED = {"alembic", "jinja2", "pyarrow", "sqlalchemy", "websockets"}
"""A store that is as it should be, capture that is on, a page that somebody asks for."""


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("server.supervisor", SERVES_NOTHING | WHEN_NEEDED | {"prometheus_client", "typer"}),
        ("server.cli", SERVES_NOTHING | WHEN_NEEDED | {"prometheus_client"}),
        ("server.controlplane.process", RUNS_NO_MODEL | WHEN_NEEDED | {"typer"}),
        ("server.dataplane.process", WHEN_NEEDED | {"prometheus_client", "typer"}),
        ("server.shadow.process", WHEN_NEEDED | {"prometheus_client", "starlette", "typer"}),
        ("server.repository.verifier", WHEN_NEEDED | {"asyncio", "pydantic", "starlette"}),
    ],
)
def test_a_process_loads_what_it_needs(module: str, unwanted: set[str]) -> None:
    """The supervisor loads no server, control no ONNX Runtime, and nobody a store too early."""
    program = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"

    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert not set(answer.stdout.split()) & unwanted
