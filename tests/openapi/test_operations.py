"""The table of operations: every route of both ports, with its method and role, and no other."""

from collections.abc import Iterable
from typing import Any, cast

import pytest
from starlette.routing import BaseRoute

from server.access.roles import Role
from server.controlplane import app as control_app
from server.controlplane.feedback_app import FeedbackApp
from server.controlplane.release_app import ReleaseApp
from server.dataplane import app as data_app
from server.http_app import RoleRoute
from server.openapi.operations import CONTROL, DATA, OPERATIONS

NOTHING = cast("Any", None)
Routes = set[tuple[str, str, Role]]


def declared(routes: Iterable[BaseRoute]) -> Routes:
    """Return method, path and role of every route; HEAD goes with GET."""
    found = set()
    for route in routes:
        assert isinstance(route, RoleRoute)
        found |= {(method, route.path, route.role) for method in (route.methods or set())}
    return {one for one in found if one[0] != "HEAD"}


def data_routes() -> Routes:
    return declared(data_app.build_app(NOTHING, NOTHING).routes)


def control_routes() -> Routes:
    app = control_app.ControlApp(NOTHING, NOTHING, NOTHING, NOTHING)
    feedback = FeedbackApp(NOTHING, NOTHING, NOTHING, NOTHING).routes()
    return declared(control_app.build_app(app, [*ReleaseApp(NOTHING).routes(), *feedback]).routes)


@pytest.mark.parametrize(("port", "routes"), [(DATA, data_routes), (CONTROL, control_routes)])
def test_the_table_has_the_routes_of_both_ports(port: str, routes: Any) -> None:
    """What a port answers is in the table with its role, and what is in the table is answered."""
    told = {(one.method, one.path, one.roles[port]) for one in OPERATIONS if port in one.roles}

    assert told == routes()


def test_no_operation_is_told_twice() -> None:
    """A method of a path has one description."""
    pairs = [(one.method, one.path) for one in OPERATIONS]

    assert len(pairs) == len(set(pairs))
