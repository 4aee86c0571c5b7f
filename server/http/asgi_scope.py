"""The ASGI scope of a request, for what the Starlette application answers. Pure.

Decides which targets are URLs that have a path. Names in the path are percent-decoded here, once.
"""

import urllib.parse
from typing import Any

import httptools

from server.errors import BadHttp
from server.protocol.http_answer import Headers


def asgi_scope(method: bytes, url: bytes, http_version: str, headers: Headers) -> dict[str, Any]:
    """Return the scope of a request, without what only its connection knows.

    Raises:
        BadHttp: the target is not a URL, or a tunnel is asked for.

    """
    # What follows CONNECT may be a body to us and no part of the request to others.
    if method == b"CONNECT":
        raise BadHttp("CONNECT is not possible here")
    try:
        parsed = httptools.parse_url(url)
        raw_path = parsed.path or b"/"
        # An encoded slash belongs to a name; decoded, it would pass for a border between names.
        names = raw_path.decode("ascii").replace("%2F", "%252F").replace("%2f", "%252f")
        path = urllib.parse.unquote(names, errors="strict")
    except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
        raise BadHttp("the request target is not a valid URL") from None
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": http_version,
        "scheme": "http",
        "root_path": "",
        "method": method.decode("ascii"),
        "path": path,
        "raw_path": raw_path,
        "query_string": parsed.query or b"",
        "headers": headers,
    }
