"""For who runs the service: is it alive, can it look things up, and how much does it do."""

from __future__ import annotations

from typing import Final

from anyio import to_thread
from litestar import MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.openapi import ResponseSpec
from litestar.types import ControllerRouterHandler
from prometheus_client import CONTENT_TYPE_LATEST

from rempart.people import Permission
from rempart.web import metrics
from rempart.web.guards import PERMISSION
from rempart.web.problems import MEDIA_TYPE, Code, Problem, ProblemBody
from rempart.web.services import Services, services_of

AnyRequest = Request[object, object, State]


@get("/healthz", opt={PERMISSION: Permission.OPEN}, media_type=MediaType.TEXT, sync_to_thread=False)
def healthz() -> str:
    """Say that the process is alive; it asks nothing and nobody."""
    return "alive\n"


@get(
    "/readyz",
    opt={PERMISSION: Permission.OPEN},
    media_type=MediaType.TEXT,
    sync_to_thread=False,
    responses={503: ResponseSpec(ProblemBody, description="They do not.", media_type=MEDIA_TYPE)},
)
def readyz(request: AnyRequest) -> str:
    """Say whether look-ups work: 200, or 503 with the reason as the problem's code."""
    lack = not_ready(services_of(request.scope))
    if lack is not None:
        raise Problem(lack)
    return "ready\n"


def not_ready(services: Services) -> Code | None:
    """Why look-ups do not work now; None if they do."""
    live = services.live
    if not live.ready:
        return Code.UNAVAILABLE
    if live.lists_as_of is None:
        return Code.NOTHING_TO_COMPARE
    return None


@get("/metrics", opt={PERMISSION: Permission.SEE_METRICS}, include_in_schema=False)
async def show_metrics(request: AnyRequest) -> Response[bytes]:
    """The numbers of all workers for Prometheus."""
    services = services_of(request.scope)
    metrics.READY.set(not_ready(services) is None)
    if services.live.lists_as_of is not None:
        metrics.AGE.set((services.clock() - services.live.lists_as_of).total_seconds())
    body = await to_thread.run_sync(metrics.exposition)
    return Response(body, media_type=CONTENT_TYPE_LATEST.partition("; charset=")[0])  # the framework adds that again


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (healthz, readyz, show_metrics)
