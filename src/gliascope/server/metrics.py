"""What `/metrics` tells, for Prometheus. No label ever holds a file's name or what a client wrote."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

SECONDS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60)
BATCH_BUCKETS = (1, 2, 4, 8, 12, 16, 24, 32, 64)


class Metrics:
    """Counts and times of one server."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # when each series began: nobody asks
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = self._counter("requests", "answered requests", "route", "method", "status")
        self.request_seconds = self._histogram(
            "request_seconds", "from request to answer", SECONDS_BUCKETS, "route"
        )
        self.slices = self._counter("slices", "answered slices", "model", "verdict")
        self.rejects = self._counter("rejects", "files that could not be read", "reason")
        self.refusals = self._counter("refusals", "requests turned down", "code")
        self.batch_slices = self._histogram(
            "batch_slices", "slices the graph was given at once", BATCH_BUCKETS, "model"
        )
        self.batch_seconds = self._histogram(
            "batch_seconds", "time of one run of the graph", SECONDS_BUCKETS, "model"
        )
        self.reloads = self._counter("reloads", "models loaded again", "outcome")
        self.queue_slices = self._gauge("queue_slices", "slices taken and not yet answered")
        self.jobs = self._gauge("jobs", "jobs", "state")
        self.jobs_bytes = self._gauge("jobs_bytes", "bytes that jobs take on disk")

    def render(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"gliascope_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"gliascope_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"gliascope_{name}", text, labels, buckets=buckets, registry=self.registry)
