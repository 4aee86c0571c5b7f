"""The `parameters` of a V2 request, wherever they stand: which are honoured, ignored or refused.

Parameters that nobody here knows are let through, as in Triton. Those that would change the answer
and that we do not honour are refused: ignoring them would answer another question.
"""

from typing import Any

from server.errors import InvalidRequest

_UNSUPPORTED = {
    "classification": "the classification extension is not supported; sort the scores instead",
    "shared_memory_region": "shared memory is not supported; send the tensor's bytes",
    "sequence_id": "stateful sequences are not supported",
    "sequence_start": "stateful sequences are not supported",
    "sequence_end": "stateful sequences are not supported",
}


def check_parameters(parameters: object, where: str) -> None:
    """Refuse parameters that cannot be honoured; `where` says whose they are.

    Raises:
        InvalidRequest: they are no object, or one is reserved, unsupported or no plain value.

    """
    if type(parameters) is not dict:
        raise InvalidRequest(f"{where}: parameters must be an object")
    for name, value in parameters.items():
        if name in _UNSUPPORTED:
            raise InvalidRequest(f"{where}: {_UNSUPPORTED[name]}")
        if name.startswith("triton_"):
            raise InvalidRequest(f"{where}: parameter '{name[:64]}' is reserved")
        if type(value) not in (str, int, float, bool):
            raise InvalidRequest(
                f"{where}: parameter '{name[:64]}' must be a string, a number or a boolean"
            )


def flag(parameters: dict[str, Any], name: str, where: str) -> bool:
    """Return a parameter that is true or false; false when it is not given."""
    value = parameters.get(name, False)
    if type(value) is not bool:
        raise InvalidRequest(f"{where}: parameter '{name}' must be true or false")
    return value


def timeout_seconds(value: object) -> float | None:
    """Read the protocol's `timeout` in microseconds; 0 means none."""
    if value is None:
        return None
    if type(value) is not int or value < 0:
        raise InvalidRequest("parameter 'timeout' must be a whole number of microseconds")
    return value / 1e6 or None
