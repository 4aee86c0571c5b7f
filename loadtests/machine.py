"""What figures were measured on: the machine, the versions of programs, the commit."""

import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("onnxruntime", "numpy", "orjson", "httptools", "uvloop", "uvicorn", "starlette")
"""Those that requests go through."""


def machine() -> dict[str, str]:
    """Return the machine's cores, processor, memory and kernel, and the Python that runs this."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": f"{os.cpu_count()} cores",
        "processor": _processor(),
        "memory": f"{memory / 2**30:.0f} GiB",
        "kernel": f"Linux {platform.release().split('-')[0]}",
        "python": f"Python {platform.python_version()}",
    }


def described() -> str:
    """Return the machine in a line."""
    return ", ".join(machine().values())


def versions() -> dict[str, str]:
    """Return the versions of the packages that requests go through, and of wrk."""
    found = {name: metadata.version(name) for name in PACKAGES}
    wrk = shutil.which("wrk")
    if wrk is not None:
        told = subprocess.run([wrk, "-v"], capture_output=True, text=True).stdout
        match = re.match(r"wrk (?:debian/)?(\S+)", told)
        found["wrk"] = match[1] if match else "unknown"
    return found


def commit() -> str:
    """Return the commit of this tree, with `+` if the program's files differ from it."""
    name = _git("rev-parse", "--short=12", "HEAD")
    return name + "+" * bool(_git("status", "--porcelain", "--", "server")) if name else "unknown"


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())
