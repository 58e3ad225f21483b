"""A request's JSON: read once and strictly, as the type that its handler asks for."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import InternalServerException, ValidationException
from multipart import parse_options_header

from rempart.web.problems import Code, Problem

_PLAIN: Final = b"application/json"
_UTF8: Final = "utf-8"
_JSON: Final = re.compile(r"application/([a-z0-9.-]+\+)?json")
_WHERE: Final = re.compile(r"(.*?)(?: - at `(?:key in )?\$(.*)`)?", re.DOTALL)


class ServiceRequest(Request[object, object, State]):
    """A request to the service.

    The framework would read JSON of any content type, into plain objects first, and then take ``0`` for false and
    ``"5"`` for five; and it would call it a defect of the server when a client goes away or nests without end.
    """

    async def json(self) -> Any:  # noqa: ANN401 -- of the type that the handler declares
        """The body as the type of the handler's ``data``; as plain objects when it declares none.

        Raises:
            Problem: it is no JSON, says that it is something else, is nested too deeply, or was broken off.
            ValidationException: it is JSON of another shape; it says what was expected where.
        """
        self._check_content_type()
        body = await self.body()
        data = self.route_handler.parsed_data_field
        try:
            return _decoder(Any if data is None else data.annotation).decode(body or b"null")
        except msgspec.ValidationError as error:
            raise ValidationException(extra=[_explained(str(error))]) from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Problem(Code.INVALID, "The body is no JSON.") from None
        except RecursionError:
            raise Problem(Code.INVALID, "The body is nested too deeply.") from None

    async def body(self) -> bytes:
        """All of the body.

        Raises:
            Problem: the client went away before it was there.
            RequestEntityTooLarge: it is larger than the limit.
        """
        try:
            return await super().body()
        except InternalServerException:
            raise Problem(Code.INVALID, "The body was broken off.") from None

    def _check_content_type(self) -> None:
        for name, value in self.scope["headers"]:
            if name == b"content-type" and value != _PLAIN:
                kind, options = parse_options_header(value.decode("latin-1"))
                if not _JSON.fullmatch(kind.lower()) or options.get("charset", _UTF8).lower() != _UTF8:
                    raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json, in UTF-8.")


@lru_cache(maxsize=256)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:  # noqa: ANN401 -- a type, or a union of some
    return msgspec.json.Decoder(kind)


def _explained(text: str) -> dict[str, str]:
    """What was expected and where, apart, as the framework tells it of other parts of a request."""
    found = _WHERE.fullmatch(text)
    message, path = found.groups() if found else (text, None)
    return {"message": message, "key": (path or "").removeprefix(".") or "data", "source": "body"}
