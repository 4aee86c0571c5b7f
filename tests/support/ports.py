"""The applications of both ports with all their routes, and with nobody behind them."""

from typing import Any, cast

from starlette.applications import Starlette

from server.access.gate import Gate
from server.controlplane import app as control
from server.controlplane.console_app import ConsoleApp
from server.controlplane.feedback_app import FeedbackApp
from server.controlplane.login_app import LoginApp
from server.controlplane.release_app import ReleaseApp
from server.dataplane import app as data

_NOBODY = cast("Any", None)


def data_app(gate: Gate | None = None) -> Starlette:
    """Build the data port's application. Whoever is let in meets an error."""
    return data.build_app(_NOBODY, _NOBODY, gate)


def control_app(gate: Gate | None = None) -> Starlette:
    """Build the control port's application. Whoever is let in meets an error."""
    others = [
        *FeedbackApp(_NOBODY, _NOBODY, _NOBODY, _NOBODY).routes(),
        *ReleaseApp(_NOBODY).routes(),
        *ConsoleApp(_NOBODY, _NOBODY).routes(),
        *LoginApp(gate or _NOBODY, is_secure=False).routes(),
    ]
    handlers = control.ControlApp(_NOBODY, _NOBODY, _NOBODY, _NOBODY)
    return control.build_app(handlers, others, gate)
