"""What the schemathesis command is told of this service: what its description leaves open, and what is right."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import schemathesis

from rempart.web.problems import HMA_PREFIX, MEDIA_TYPE, Code

OWN_KEY = os.environ["REMPART_TEST_KEY_NUMBER"]
UNAVAILABLE = {Code.UNAVAILABLE, Code.OVERLOADED, Code.NOTHING_TO_COMPARE}

_RATIO = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_PDQ = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_MD5 = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_NOTE = {"type": ["string", "null"]}
_NAME = {"type": ["string", "null"], "pattern": "^[A-Z_]{1,20}$"}
_BANK = {"name": _NAME, "enabled_ratio": _RATIO, "enabled": {"type": ["boolean", "null"]}}
# HMA's clients know what to send by HMA's own documents, which say it in words; null is as good as nothing.
BODIES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("post", "/hma/c/banks"): _BANK,
    ("put", "/hma/c/bank/{name}"): _BANK,
    ("post", "/hma/c/bank/{name}/signal"): {"pdq": _PDQ, "video_md5": _MD5, "note": _NOTE},
    ("put", "/hma/c/bank/{name}/content/{number}"): {"disable_until_ts": {"type": "integer"}, "note": _NOTE},
    ("put", "/hma/c/signal_type/{name}"): {"enabled_ratio": _RATIO},
    ("post", "/hma/m/compare"): {"pdq": {"type": "array", "items": _PDQ, "minItems": 2, "maxItems": 2}},
}


@schemathesis.hook
def before_load_schema(context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:  # noqa: ARG001 -- as hooks are called
    """Say what HMA's routes take, so that more than empty bodies reaches them."""
    for (method, path), properties in BODIES.items():
        schema = {"type": "object", "properties": properties}
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        raw_schema["paths"][path][method]["requestBody"] = body


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: Mapping[str, Any]) -> None:  # noqa: ARG001 -- as above
    """Never revoke the key that all requests come with: whatever follows would only be refused."""
    numbers = case.path_parameters or {}
    if case.path.startswith("/v1/keys/") and case.method == "DELETE" and str(numbers.get("number")) == OWN_KEY:
        case.path_parameters = {**numbers, "number": int(OWN_KEY) + 1}


@schemathesis.check
def what_goes_wrong_is_told_as_documented(
    context: schemathesis.CheckContext,  # noqa: ARG001 -- as checks are called
    response: schemathesis.Response,
    case: schemathesis.Case,
) -> None:
    """Each error is a problem with a code of the closed list, and none is a defect."""
    if response.status_code < 400:
        return
    hma = case.path.startswith(HMA_PREFIX)
    kind = response.headers["content-type"][0]
    assert kind == ("application/json" if hma else MEDIA_TYPE), f"an error as {kind}"
    if case.method == "HEAD":
        return
    problem = json.loads(response.content)
    code = Code(problem["code"])
    assert code is not Code.INTERNAL
    assert problem["status"] == response.status_code
    assert response.status_code < 500 or code in UNAVAILABLE
    assert not hma or isinstance(problem["message"], str)
