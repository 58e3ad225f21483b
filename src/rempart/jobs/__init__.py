"""Jobs: what is to be done outside a request, kept in the transaction it follows from and done at least once."""

from __future__ import annotations

from rempart.jobs.handlers import Handler, LeaseLostError, Work
from rempart.jobs.outbox import MOST_ATTEMPTS, enqueue, enqueue_all
from rempart.jobs.records import Job, cancel_job, get_job, list_jobs, retry_job
from rempart.jobs.registry import Registry, registry
from rempart.jobs.schedules import Schedule, list_schedules, set_schedule, tick_schedules
from rempart.jobs.upkeep import mend_moments, sweep_jobs
from rempart.jobs.worker import Outcome, Worker
from rempart.store.service_tables import JobState

__all__ = [
    "MOST_ATTEMPTS",
    "Handler",
    "Job",
    "JobState",
    "LeaseLostError",
    "Outcome",
    "Registry",
    "Schedule",
    "Work",
    "Worker",
    "cancel_job",
    "enqueue",
    "enqueue_all",
    "get_job",
    "list_jobs",
    "list_schedules",
    "mend_moments",
    "registry",
    "retry_job",
    "set_schedule",
    "sweep_jobs",
    "tick_schedules",
]
