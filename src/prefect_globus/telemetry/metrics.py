"""Metrics, in the registry in which Prefect's client has its own: they are on, and served, when those are.

No label has more than a few dozen values: ids, paths and names of people are in the report of a transfer instead.
"""

from __future__ import annotations

from functools import cache, partial

from prefect.settings import PREFECT_CLIENT_METRICS_ENABLED
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # seconds
_SLOW = (1, 5, 15, 30, 60, 300, 900, 3_600, 4 * 3_600, 12 * 3_600, 24 * 3_600)


class Metrics:
    """All of them. The docs are made from their descriptions."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        """Register them in ``registry``."""
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry, multiprocess_mode="livesum")
        histogram = partial(Histogram, registry=registry)
        self.transfers = gauge("prefect_globus_transfers_driven", "Transfers that are driven.")
        self.transfers_ended = counter(
            "prefect_globus_transfers_ended", "Transfers that came to rest, by their status.", ["status"]
        )
        self.items = counter(
            "prefect_globus_items", "Items that were accounted for, by what became of them.", ["outcome"]
        )
        self.files = counter("prefect_globus_files_transferred", "Files that ended Globus tasks have moved.")
        self.bytes = counter("prefect_globus_bytes_transferred", "Bytes that ended Globus tasks have moved.")
        self.tasks_submitted = counter("prefect_globus_tasks_submitted", "Globus tasks that were accepted.")
        self.tasks_ended = counter(
            "prefect_globus_tasks_ended", "Globus tasks that have ended, by how they went.", ["status"]
        )
        self.tasks = gauge("prefect_globus_tasks_in_flight", "Globus tasks that are watched.")
        self.queued = histogram(
            "prefect_globus_task_queue_seconds",
            "How long a task was in Globus' queue, where that was seen.",
            buckets=_SLOW,
        )
        self.took = histogram(
            "prefect_globus_task_seconds", "From the acceptance of a Globus task to its end.", buckets=_SLOW
        )
        self.retried_tasks = counter(
            "prefect_globus_task_retries", "Globus tasks that try again what an earlier one left."
        )
        self.place = histogram(
            "prefect_globus_place_wait_seconds",
            "How long a batch waited for a place among the login's tasks.",
            buckets=_SLOW,
        )
        self.requests = counter(
            "prefect_globus_api_requests",
            "Requests to Globus Transfer, by the status of the answer, or the kind of error when none came.",
            ["method", "route", "status"],
        )
        self.answered = histogram(
            "prefect_globus_api_request_seconds", "How long an answer took.", ["method", "route"], buckets=_QUICK
        )
        self.paced = counter(
            "prefect_globus_rate_limit_wait_seconds", "How long requests waited so that Globus' rate limit is kept."
        )
        self.retried_calls = counter(
            "prefect_globus_call_retries",
            "Calls of Globus or the checkpoint store that are made again, by the error.",
            ["error"],
        )


def metrics() -> Metrics | None:
    """The metrics of this process, if PREFECT_CLIENT_METRICS_ENABLED says so."""
    return _registered() if PREFECT_CLIENT_METRICS_ENABLED.value() else None


@cache
def _registered() -> Metrics:
    return Metrics()
