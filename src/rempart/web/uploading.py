"""How the description of the interface says that a route takes files, which the framework does not read itself."""

from __future__ import annotations

from dataclasses import dataclass

from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema

_FILE = Schema(type=OpenAPIType.STRING, format="binary")  # type: ignore[arg-type]  # OpenAPI names more formats


@dataclass
class FileOperation(Operation):
    """An operation whose body is a file, or a form with files."""

    def __post_init__(self) -> None:
        """Describe the body."""
        form = Schema(type=OpenAPIType.OBJECT, additional_properties=_FILE)
        self.request_body = RequestBody(
            required=True,
            description="The file itself; or a form whose fields are files.",
            content={
                "application/octet-stream": OpenAPIMediaType(schema=_FILE),
                "image/jpeg": OpenAPIMediaType(schema=_FILE),
                "multipart/form-data": OpenAPIMediaType(schema=form),
            },
        )
