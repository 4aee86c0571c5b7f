"""The OpenAPI document, made of the table of operations and the table of errors.

Decides the form of the document. The same path may be on both ports: `x-tidegate-roles` says on
which, and what its callers need there. A failure lists the codes that it may have; `internal`, a
fault of ours, stands with none, because no request should get it.
"""

from functools import cache
from typing import Any

import server
from server.access.roles import Role
from server.errors import TidegateError
from server.openapi.operations import ACCESS, ANYWHERE, OPERATIONS, Operation
from server.openapi.schemas import NAME_PATTERN, SCHEMAS, VERSION_PATTERN, Schema
from server.protocol.errors import STATUS

_VERSION: Schema = {"type": "string", "pattern": VERSION_PATTERN}
_FLAG: Schema = {"enum": ["0", "1"]}
_TEXT: Schema = {"type": "string"}

QUERY: dict[str, Schema] = {
    "version": _VERSION,
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
    "before": {"type": "integer", "minimum": 1},
    "verify": _FLAG,
    "dry_run": _FLAG,
    "reason": _TEXT,
    "actor": _TEXT,
}
HEADERS: dict[str, Schema] = {
    "If-Match": {"type": "string", "pattern": '^"[0-9]{1,18}"$'},
    "Idempotency-Key": {"type": "string", "minLength": 1, "maxLength": 128},
    "X-Tidegate-Actor": _TEXT,
    "X-Request-Timeout-Ms": {"type": "integer", "minimum": 1},
    "X-Request-Priority": {"enum": ["high", "normal", "low"]},
    "X-Model-Version": _VERSION,
    "X-Routing-Key": {"type": "string", "minLength": 1, "maxLength": 256},
    "X-Prediction-Id": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
    "X-Request-Id": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    "Inference-Header-Content-Length": {"type": "integer", "minimum": 0},
}
PATH: dict[str, Schema] = {
    "model": {"type": "string", "pattern": NAME_PATTERN},
    "version": _VERSION,
    "verb": _TEXT,
}
BINARY = "application/octet-stream"
_JSON = "application/json"


@cache
def document(port: str = "") -> dict[str, Any]:
    """Return the document of both ports, or of one alone."""
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        if not port or port in one.roles:
            paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    statuses: dict[type[TidegateError], int] = {TidegateError: 500}
    statuses |= {kind: int(status) for kind, status in STATUS.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tidegate",
            "version": server.__version__,
            "description": "Predictions on the data port; all else on the control port.",
        },
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "x-tidegate-codes": {
            kind.code: {"status": status, "meaning": (kind.__doc__ or "").splitlines()[0]}
            for kind, status in statuses.items()
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": _identity(one),
        "summary": one.summary,
        "x-tidegate-roles": {port: role.value for port, role in one.roles.items()},
        "parameters": _parameters(one),
        "responses": _responses(one),
    }
    if Role.OPEN not in one.roles.values():
        told["security"] = [{"key": []}, {}]  # Keys are needed only where some are set up.
    if one.takes:
        content = {_JSON: {"schema": _ref(one.takes)}}
        if one.takes == "InferRequest":
            content[BINARY] = {"schema": {"type": "string", "format": "binary"}}
        told["requestBody"] = {"required": not one.is_bare, "content": content}
    return told


def _identity(one: Operation) -> str:
    words = one.path.replace("{", "").replace("}", "").replace(":", "/").split("/")
    return "_".join([one.method.lower(), *(word for word in words if word)]) + (
        "_" if one.path.endswith("/") else ""
    )


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _parameters(one: Operation) -> list[dict[str, Any]]:
    in_path = [name for name in PATH if "{" + name + "}" in one.path]
    told = [
        {"name": name, "in": "path", "required": True, "schema": PATH[name]} for name in in_path
    ]
    for name in one.parameters:
        is_query = name in QUERY
        schema = QUERY[name] if is_query else HEADERS[name]
        told.append({"name": name, "in": "query" if is_query else "header", "schema": schema})
    return told


def _responses(one: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    if one.answer:
        content_type, _, _ = one.answer.partition(";") if "/" in one.answer else (_JSON, "", "")
        is_text = content_type != _JSON
        content: dict[str, Any] = {content_type: {"schema": _TEXT if is_text else _ref(one.answer)}}
        if one.takes == "InferRequest":
            content[BINARY] = {"schema": {"type": "string", "format": "binary"}}
        responses["200"] = {"description": one.summary, "content": content}
    codes: dict[int, list[str]] = {}
    is_open = set(one.roles.values()) == {Role.OPEN}
    for kind in (*ANYWHERE, *(() if is_open else ACCESS), *one.errors):
        codes.setdefault(int(STATUS[kind]), []).append(kind.code)
    for status, names in sorted(codes.items()):
        schema: Schema = {"allOf": [_ref("Error"), {"properties": {"code": {"enum": names}}}]}
        if status == 503 and one.may_say_no:
            schema = {"anyOf": [schema, _ref(one.answer)]}
        responses[str(status)] = {
            "description": ", ".join(names),
            "content": {_JSON: {"schema": schema}},
        }
    return responses
