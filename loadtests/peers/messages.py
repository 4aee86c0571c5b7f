"""Requests as peers take them, and the number in their answers. Pure.

All but BentoML speak the Open Inference Protocol, by themselves or by the program that is given to
them; the request is then the gateway's own, at the peer's path.
"""

from collections.abc import Mapping

import numpy as np
import orjson

from loadtests.bench_models import Workload, first_float
from loadtests.peers.base import Request, Unsupported

JSON_ONLY = "it takes JSON only"


def v2_request(workload: Workload, path: str, takes_binary: bool) -> Request:
    """Return the gateway's request, at a path in which {model} is the model's name.

    Raises:
        Unsupported: the workload is binary tensors, and the peer takes JSON only.

    """
    if workload.is_binary and not takes_binary:
        raise Unsupported(JSON_ONLY)
    body, headers = workload.body()
    return Request(path.format(model=workload.model), body, headers)


def rows_request(workload: Workload, path: str) -> Request:
    """Return a request with one array, in lists as deep as its shape.

    Raises:
        Unsupported: the workload is binary tensors, or has more than one input.

    """
    if workload.is_binary:
        raise Unsupported(JSON_ONLY)
    body, headers = workload.body()
    tensors = orjson.loads(body)["inputs"]
    if len(tensors) > 1:
        raise Unsupported(f"a batch is of one array, not of {len(tensors)}")
    (tensor,) = tensors
    rows = np.array(tensor["data"], np.object_).reshape(tensor["shape"])
    return Request(path, orjson.dumps({"rows": rows.tolist()}), headers)


def first_of_v2(body: bytes, headers: Mapping[str, str]) -> float:
    """Return the first number of an answer's last output."""
    lengths = {name.lower(): value for name, value in headers.items()}
    return first_float(body, lengths.get("inference-header-content-length"))


def first_of_rows(body: bytes, _: Mapping[str, str]) -> float:
    """Return the first number of lists in lists."""
    found = orjson.loads(body)
    while isinstance(found, list):
        found = found[0]
    return float(found)
