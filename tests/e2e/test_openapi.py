"""Requests that a tool makes of our own description, sent to a real gateway."""

import subprocess
import sys
from pathlib import Path

import orjson

from server.openapi.document import document
from server.openapi.operations import CONTROL, DATA
from tests.conftest import StartGateway
from tests.support import models
from tests.support.gateway import call

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
CONFIG = """\
[parameters]
"path.model" = ["affine", "versions", "affine", "nobody"]
"path.version" = ["1", "1", "3"]

[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", "503", "504"]
"""
"""Most requests go to models that are there. What refuses for want of room or time is no fault."""


def test_what_is_answered_is_what_is_described(
    start: StartGateway, repository: Path, tmp_path: Path
) -> None:
    """Good and bad requests get a status, a type and a form that the document has, and no 500.

    The document itself is given by the control port.
    """
    for name in ("affine", "versions"):
        models.put(repository, name, 1, models.affine())
    with start() as gateway:
        answer = call(gateway.control + "/openapi.json")
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json == orjson.loads(orjson.dumps(document()))
        check(tmp_path, DATA, gateway.data)
        check(tmp_path, CONTROL, gateway.control)
        assert call(gateway.data + "/v2/health/live").status == 200


def check(folder: Path, port: str, url: str) -> None:
    """Have schemathesis make requests of the document of a port, and judge the answers."""
    (folder / "openapi.json").write_bytes(orjson.dumps(document(port)))
    (folder / "schemathesis.toml").write_text(CONFIG)
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml",
        "run", "openapi.json", "--url", url, "--checks", ",".join(CHECKS),
        "--phases", "fuzzing", "--max-examples", "5", "--seed", "1", "--workers", "1",
        "--generation-database", "none", "--warnings", "off", "--no-color",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
