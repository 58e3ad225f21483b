"""Jobs: what waits, what became of it, and cancelling or trying again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, TypeAlias

import msgspec
from litestar import Response, get, post
from litestar.params import QueryParameter
from litestar.types import ControllerRouterHandler

from rempart.errors import UsageError
from rempart.jobs import Job, JobState, Schedule, cancel_job, get_job, list_jobs, list_schedules, retry_job
from rempart.people import Key, Permission
from rempart.web.described import problems
from rempart.web.guards import PERMISSION
from rempart.web.problems import Code, Problem
from rempart.web.services import Services, services_of
from rempart.web.v1.pages import DEFAULT, Cursor, Limit, Number, cursor_after, number_in
from rempart.web.v1.writes import AnyRequest, IdempotencyKey, once

JobKind: TypeAlias = Annotated[str | None, QueryParameter(pattern="^[a-z][a-z0-9_]{0,63}$", max_length=64)]


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some jobs, the newest first, and the cursor of the next page."""

    items: list[Job]
    next: str | None


class Schedules(msgspec.Struct, frozen=True, kw_only=True):
    """What is done again and again."""

    items: list[Schedule]


@get("/jobs", opt={PERMISSION: Permission.SEE_JOBS}, tags=["jobs"], sync_to_thread=True, responses=problems())
def show_jobs(
    request: AnyRequest,
    job_state: Annotated[JobState | None, QueryParameter(name="state")] = None,
    kind: JobKind = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT,
) -> JobPage:
    """List the jobs, the newest first; never what they are about."""
    store = services_of(request.scope).store
    states = () if job_state is None else (job_state,)
    found = list_jobs(store, states=states, kind=kind, before=number_in(cursor), limit=limit + 1)
    rows = found[:limit]
    return JobPage(items=rows, next=cursor_after(rows[-1].id) if len(found) > limit else None)


@get(
    "/jobs/{number:int}",
    opt={PERMISSION: Permission.SEE_JOBS},
    tags=["jobs"],
    sync_to_thread=True,
    responses=problems(Code.NOT_FOUND),
)
def show_job(request: AnyRequest, number: Number) -> Job:
    """Show one job."""
    return _job(services_of(request.scope), number)


@post(
    "/jobs/{number:int}/cancel",
    opt={PERMISSION: Permission.CHANGE_JOBS},
    status_code=200,
    tags=["jobs"],
    sync_to_thread=True,
    responses=problems(Code.NOT_FOUND, write=True),
)
def stop_job(request: AnyRequest, number: Number, idempotency_key: IdempotencyKey = None) -> Response[Job]:
    """Cancel a job that waits or runs, or put a dead letter away."""
    return once(request, idempotency_key, None, _change(cancel_job, number), answer=Job)


@post(
    "/jobs/{number:int}/retry",
    opt={PERMISSION: Permission.CHANGE_JOBS},
    status_code=200,
    tags=["jobs"],
    sync_to_thread=True,
    responses=problems(Code.NOT_FOUND, write=True),
)
def try_job_again(request: AnyRequest, number: Number, idempotency_key: IdempotencyKey = None) -> Response[Job]:
    """Try a dead letter again."""
    return once(request, idempotency_key, None, _change(retry_job, number), answer=Job)


@get("/schedules", opt={PERMISSION: Permission.SEE_JOBS}, tags=["jobs"], sync_to_thread=True, responses=problems())
def show_schedules(request: AnyRequest) -> Schedules:
    """List what is done again and again, by name."""
    return Schedules(items=list_schedules(services_of(request.scope).store))


def _change(change: Callable[..., Job], number: int) -> Callable[[Services, Key], Job]:
    def act(services: Services, key: Key) -> Job:
        _job(services, number)
        try:
            change(services.store, number, actor=key.actor, clock=services.clock)
        except UsageError as error:
            raise Problem(Code.CONFLICT, str(error)) from None
        return _job(services, number)

    return act


def _job(services: Services, number: int) -> Job:
    job = get_job(services.store, number)
    if job is None:
        raise Problem(Code.NOT_FOUND, "There is no such job, or not any more.")
    return job


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (show_jobs, show_job, stop_job, try_job_again, show_schedules)
