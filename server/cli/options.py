"""Flags of the settings, made from the settings themselves, so that no two lists can differ.

Decides how a field of `Settings` looks as a flag.
"""

import ast
import inspect
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from server import settings
from server.config import ENV_PREFIX
from server.settings import ModelSettings, Settings

_PANELS = {"model": "Serving (all models; model.toml sets them for one)", "server": "Server"}


def _meanings() -> dict[str, str]:
    """Return what stands below each setting in its class.

    Pydantic could keep it with the field, but would read the file in each process and at each
    start, and only the help needs it.
    """
    classes = [
        node
        for node in ast.parse(inspect.getsource(settings)).body
        if isinstance(node, ast.ClassDef) and node.name in ("ModelSettings", "Settings")
    ]
    return {
        setting.target.id: inspect.cleandoc(text.value.value)
        for one in classes
        for setting, text in pairwise(one.body)
        if isinstance(setting, ast.AnnAssign)
        and isinstance(setting.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


MEANINGS = _meanings()
"""What each setting is for."""


def flag(name: str) -> str:
    """Return the flag of a setting."""
    return "--" + name.replace("_", "-")


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, which takes `**flags`, one option for each setting but the repository."""
    own = [
        parameter
        for parameter in inspect.signature(command).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_option(name),
            annotation=str | None,
        )
        for name in Settings.model_fields
        if name != "repository"
    ]
    command.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    command.__annotations__ = {
        parameter.name: parameter.annotation for parameter in [*own, *options]
    }
    return command


def _option(name: str) -> Any:
    field = Settings.model_fields[name]
    return typer.Option(
        None,
        flag(name),
        help=setting_help(name),
        metavar=_metavar(field.annotation),
        rich_help_panel=_PANELS["model" if name in ModelSettings.model_fields else "server"],
        show_default=False,
    )


def setting_help(name: str) -> str:
    """Return what a setting is for, its variable and its default."""
    return f"{MEANINGS[name]} [{ENV_PREFIX}{name.upper()}; default {_default(name)}]"


def _default(name: str) -> str:
    value = Settings.model_fields[name].default
    return str(value) or "none"


def _metavar(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    if annotation is Path:
        return "PATH"
    return {int: "N", float: "NUMBER"}.get(annotation, "TEXT")
