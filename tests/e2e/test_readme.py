"""The commands that README.md shows do what it says they do."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Gateway, running

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(?:console|sh|bash|shell)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A command, and the JSON that the text shows as its output, if it shows any."""

    command: str
    output: str


def examples(text: str) -> list[Example]:
    """Find the commands of fenced blocks that ask a gateway, with the output that follows each."""
    found = []
    for block in FENCE.findall(text):
        for part in re.split(r"^(?=\$ |curl )", block, flags=re.MULTILINE):
            command, output = _cut(part.removeprefix("$ "))
            if command.startswith(("curl ", ".venv/bin/tidegate release ")):
                found.append(Example(command, output.strip()))
    return found


def _cut(part: str) -> tuple[str, str]:
    """Divide a command, with its continued lines and open quotes, from what follows it."""
    lines = part.splitlines()
    for count in range(1, len(lines) + 1):
        command = "\n".join(lines[:count])
        is_open = command.endswith("\\") or command.count("'") % 2 == 1
        if not is_open:
            return command, "\n".join(lines[count:])
    return part, ""


def test_commands_and_outputs_are_told_apart() -> None:
    """The reader of examples knows prompts, continued lines, open quotes and outputs."""
    text = """
```console
$ make serve
$ curl -s localhost:8000/v2 \\
    -d '{"a":
         1}'
{"name": "x"}
```
```json
curl not this
```
```sh
curl one
curl two
```
"""

    assert examples(text) == [
        Example("curl -s localhost:8000/v2 \\\n    -d '{\"a\":\n         1}'", '{"name": "x"}'),
        Example("curl one", ""),
        Example("curl two", ""),
    ]


SHOWN = examples((ROOT / "README.md").read_text())


def test_the_readme_shows_a_prediction() -> None:
    """There is something to try, with its answer."""
    assert any("/infer" in example.command and example.output for example in SHOWN)


@pytest.fixture(scope="module")
def example_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that serves the example models."""
    with running(ROOT / "models", tmp_path_factory.mktemp("readme") / "state") as gateway:
        yield gateway


@pytest.mark.parametrize(
    "example", SHOWN, ids=[f"command-{number}" for number in range(1, len(SHOWN) + 1)]
)
def test_the_readme_shows_what_happens(example: Example, example_gateway: Gateway) -> None:
    """A command of the README succeeds as written, and answers with what is shown below it."""
    assert shutil.which("curl"), "the README's commands need curl"
    addresses = {"8000": example_gateway.data, "8001": example_gateway.control}
    command = re.sub(
        r"(?:http://)?(?:localhost|127\.0\.0\.1):(800[01])",
        lambda match: addresses[match[1]],
        example.command,
    )
    if command.startswith("curl "):
        assert command != example.command, "the address is not one that a gateway has by default"

    if not example.output:  # What is shown may be an error; what is not shown may not.
        command = command.replace("curl ", "curl --fail-with-body ", 1)

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TIDEGATE_URL": example_gateway.control},
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    if example.output.startswith(("{", "[")):
        assert _rounded(json.loads(done.stdout)) == _rounded(json.loads(example.output))
    elif example.output:
        assert done.stdout.strip() == example.output


def _rounded(value: Any) -> Any:
    """Round numbers, because kernels of other processors round in other places."""
    match value:
        case float():
            return float(f"{value:.5g}")
        case list():
            return [_rounded(item) for item in value]
        case dict():
            return {key: _rounded(item) for key, item in value.items()}
    return value
