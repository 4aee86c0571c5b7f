"""The JSON that goes in and out, as JSON Schema; what has a page of its own is told coarsely here.

Decides no answer: the schemas describe what the handlers read and write, and tests hold real
answers to them. Members that are not named may be there: answers gain members in time.
"""

from typing import Any

from server.tensors import DATATYPES

Schema = dict[str, Any]

NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
VERSION_PATTERN = "^[1-9][0-9]{0,18}$"
_TEXT: Schema = {"type": "string"}
_SIZES: Schema = {"type": "array", "items": {"type": "integer"}}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: str = "", **properties: Schema) -> Schema:
    schema: Schema = {"type": "object", "properties": properties}
    return schema | {"required": required.split()} if required else schema


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_SIGNATURE = _object(
    "name datatype shape",
    name=_TEXT,
    datatype={"enum": list(DATATYPES)},
    shape=_SIZES,
)

SCHEMAS: dict[str, Schema] = {
    "Health": _object(live={"type": "boolean"}, ready={"type": "boolean"}, reason=_TEXT),
    "Server": _object(
        "name version extensions", name=_TEXT, version=_TEXT, extensions=_list(_TEXT)
    ),
    "Models": _object("models", models=_list(_TEXT)),
    "Model": _object(
        "name versions platform inputs outputs",
        name=_TEXT,
        versions=_list(_TEXT),
        platform=_TEXT,
        inputs=_list(_SIGNATURE),
        outputs=_list(_SIGNATURE),
    ),
    "ModelReady": _object("name ready", name=_TEXT, ready={"type": "boolean"}),
    "ModelConfig": _object("name", name=_TEXT),
    "Statistics": _object("model_stats", model_stats=_list({"type": "object"})),
    "Tensor": _object(
        "name datatype shape",
        name=_TEXT,
        datatype={"enum": list(DATATYPES)},
        shape={"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 8},
        data={"type": "array", "description": "Numbers, strings or booleans, flat or nested."},
        parameters=_object(binary_data_size={"type": "integer", "minimum": 0}),
    ),
    "InferRequest": _object(
        "inputs",
        id=_TEXT,
        inputs=_list(_ref("Tensor")),
        outputs=_list(
            _object("name", name=_TEXT, parameters=_object(binary_data={"type": "boolean"}))
        ),
        parameters=_object(
            timeout={"type": "integer", "minimum": 0, "description": "Microseconds."},
            binary_data_output={"type": "boolean"},
        ),
    ),
    "InferResponse": _object(
        "model_name model_version outputs",
        id=_TEXT,
        model_name=_TEXT,
        model_version=_TEXT,
        outputs=_list(_ref("Tensor")),
    ),
    "V1Request": {
        "type": "object",
        "properties": {
            "instances": {"type": "array", "description": "One item a row."},
            "inputs": {"description": "One column a tensor, or the only tensor."},
            "signature_name": _TEXT,
        },
    },
    "V1Response": _object(predictions={"type": "array"}, outputs={}),
    "V1Model": _object(
        "name ready model_version_status",
        name=_TEXT,
        ready={"type": "boolean"},
        model_version_status=_list(_object("version state", version=_TEXT, state=_TEXT)),
    ),
    "IndexRequest": _object(ready={"type": "boolean"}),
    "Index": _list(_object("name state", name=_TEXT, version=_TEXT, state=_TEXT, reason=_TEXT)),
    "LoadRequest": _object(parameters={"type": "object"}),
    "Loaded": _object("model", model=_TEXT, versions=_list({"type": "object"})),
    "Drift": {"type": "object", "description": "See monitoring.md."},
    "Performance": {"type": "object", "description": "See feedback.md."},
    "FeedbackRequest": _object("items", items=_list({"type": "object"})),
    "FeedbackResponse": _object(
        "results counts", results=_list(_object("result", result=_TEXT)), counts={"type": "object"}
    ),
    "Release": _object("generation", generation={"type": "integer"}),
    "History": _object("entries", entries=_list({"type": "object"})),
    "Mismatches": {"type": "object", "description": "See shadow.md."},
    "ReleaseCall": _object(
        version=_TEXT, reason=_TEXT, actor=_TEXT, stop={"type": "boolean"}, next={"type": "boolean"}
    ),
    "ReleaseChange": _object("action generation", action=_TEXT, generation={"type": "integer"}),
    "OpenApi": _object("openapi info paths", openapi=_TEXT),
    "Error": _object(
        "error code request_id",
        error={"type": "string", "description": "A fixed text; names what is wrong."},
        code=_TEXT,
        request_id=_TEXT,
        fix={"type": "string", "description": "What would help."},
        missing=_list(_TEXT),
    ),
}
