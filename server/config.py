"""Where the settings come from: one frozen value, and the origin of each part of it.

Decides the order of sources: a flag wins over a `TIDEGATE_…` variable, a variable over a key of
`tidegate.toml`, a key over the default. Reports every wrong setting at once, each with its origin.
What a setting may be is in `settings.py`. Nothing else reads the environment or a file of settings.
"""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from server.errors import ConfigError
from server.settings import SECRETS, Settings

ENV_PREFIX = "TIDEGATE_"
KUBERNETES_DRAIN_DELAY_SECONDS = 5.0


def load_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None
) -> tuple[Settings, dict[str, str]]:
    """Merge flags, environment and file into Settings; also return where each value came from.

    `flags` holds only what was given. `file` of None means ./tidegate.toml if there is one.

    Raises:
        ConfigError: lists every problem with its flag, variable, or file and line.

    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.model_fields, "default")
    problems: list[str] = []
    for source in (_from_file(file, problems), _from_environment(environment), _from_flags(flags)):
        for key, (value, origin) in source.items():
            if key not in Settings.model_fields:
                problems.append(f"{origin}: unknown setting{_did_you_mean(key)}")
                continue
            values[key], origins[key] = value, origin
    if "KUBERNETES_SERVICE_HOST" in environment and "drain_delay_seconds" not in values:
        # Endpoints are removed while SIGTERM is on its way: new connections still come for a while.
        values["drain_delay_seconds"] = KUBERNETES_DRAIN_DELAY_SECONDS
        origins["drain_delay_seconds"] = "default in Kubernetes"
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=False):
            key = str(detail["loc"][0]) if detail["loc"] else ""
            problems.append(f"{origins.get(key, key)}: {_explain(detail)}")
        raise ConfigError(problems) from None
    if problems:
        raise ConfigError(problems)
    return settings, origins


def _explain(detail: Any) -> str:
    text = str(detail["msg"]).removeprefix("Value error, ")
    text = text[:1].lower() + text[1:]
    if detail["loc"] and detail["loc"][0] in SECRETS:
        return text
    return f"{text}, got {str(detail['input'])[:80]!r}"


_Source = dict[str, tuple[Any, str]]


def _from_flags(flags: Mapping[str, Any]) -> _Source:
    return {
        key: (value, "REPOSITORY" if key == "repository" else f"--{key.replace('_', '-')}")
        for key, value in flags.items()
    }


# Names with the prefix that are not settings: they are for commands that call a gateway.
NOT_SETTINGS = frozenset(
    {"TIDEGATE_CONFIG", "TIDEGATE_URL", "TIDEGATE_KEY", "TIDEGATE_CERTIFICATE"}
)


def _from_environment(environment: Mapping[str, str]) -> _Source:
    return {
        name.removeprefix(ENV_PREFIX).lower(): (value, name)
        for name, value in environment.items()
        if name.startswith(ENV_PREFIX) and name not in NOT_SETTINGS
    }


def _from_file(file: Path | None, problems: list[str]) -> _Source:
    path = file or Path("tidegate.toml")
    if file is None and not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path}: cannot be read: {error.__class__.__name__}")
        return {}
    except (ValueError, RecursionError) as error:  # Not TOML, or beyond what Python reads of it.
        problems.append(f"{path}: {error}")
        return {}
    return {key: (value, f"{path}:{line_of(text, key)}") for key, value in document.items()}


def line_of(text: str, key: str) -> int:
    """Return the number of the line of a TOML text that sets top-level `key`, 1 if none does."""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip().replace('"', "").replace("'", "")
        name = stripped.split("=")[0].strip(" []")
        if name == key or name.startswith(f"{key}."):
            return number
    return 1


def _did_you_mean(key: str) -> str:
    close = difflib.get_close_matches(key, list(Settings.model_fields), n=1)
    return f"; did you mean {close[0]}?" if close else ""
