"""The routes of feedback on the control port: labels in, performance out.

Decides the form of a feedback call and of its answer. Does not know what becomes of a label.

Concurrency: event loop only.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from server.access.principals import Principal
from server.access.roles import Role
from server.controlplane.feedback import Feedback
from server.controlplane.feedback_work import Answer
from server.controlplane.known import KnownModel
from server.controlplane.realised_view import RealisedView
from server.errors import BadJson, Forbidden, InvalidRequest
from server.http_app import RoleRoute, json_response, principal_of, read_body, route

MAX_FEEDBACK_BYTES = 4 << 20
MAX_ITEMS = 10_000


class FeedbackApp:
    """The handlers of feedback."""

    def __init__(
        self,
        feedback: Feedback,
        view: RealisedView,
        find: Callable[[str], KnownModel],
        estimated: Callable[[str], Mapping[str, object]],
    ) -> None:
        """Take labels for `feedback`; `view` tells performance, `find` raises for unknown models.

        `estimated` tells the performance of a model's versions as it is estimated without labels.
        """
        self._feedback = feedback
        self._view = view
        self._find = find
        self._estimated = estimated

    async def push(self, request: Request) -> Response:
        """Take labels, and say of each what became of it when that is in the store."""
        items = _items(await read_body(request, MAX_FEEDBACK_BYTES))
        _check_models(items, principal_of(request))
        answers = await self._feedback.submit(items)
        counts = Counter(answer.result.value for answer in answers)
        return json_response({"results": [_plain(answer) for answer in answers], "counts": counts})

    async def performance(self, request: Request) -> Response:
        """Return what labels say of a model, beside what is estimated without them."""
        return json_response(await self.report(self._find(request.path_params["model"])))

    async def report(self, model: KnownModel) -> dict[str, Any]:
        """Return the same as a value."""
        estimated = self._estimated(model.name)
        return await self._view.report(model.name, model.route.live, estimated)

    def routes(self) -> list[RoleRoute]:
        """Return the routes."""
        return [
            route("/v1/feedback", self.push, Role.PREDICT, methods=["POST"]),
            route("/v1/models/{model}/performance", self.performance, Role.READ_METRICS),
        ]


def _items(body: bytes) -> list[Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadJson("the body must be JSON") from None
    others = sorted(value.keys() - {"items"}) if isinstance(value, dict) else []
    if others:
        raise InvalidRequest(f"'{others[0][:64]}' is no member of a feedback call; items")
    items = value.get("items") if isinstance(value, dict) else value
    if not isinstance(items, list):
        raise InvalidRequest("the body must be a list of labels, or an object with one as 'items'")
    if len(items) > MAX_ITEMS:
        raise InvalidRequest(f"a call may have {MAX_ITEMS} labels, got {len(items)}")
    return items


def _check_models(items: list[Any], principal: Principal | None) -> None:
    """See that who may ask some models only sends labels of these, and says so."""
    if principal is None or principal.models is None:
        return
    for item in items:
        model = item.get("model") if isinstance(item, dict) else None
        if not isinstance(model, str) or not principal.may_ask(model):
            raise Forbidden(
                f"'{principal.name}' may send labels of some models only: each label has to name "
                f"one of them as 'model', got '{str(model)[:64]}'"
            )


def _plain(answer: Answer) -> dict[str, str]:
    told = {"result": answer.result.value}
    return told | {"reason": answer.reason} if answer.reason else told
