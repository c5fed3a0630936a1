"""Metrics for Prometheus. No label holds the name of a file or another text that a client chose."""

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

# Upper bounds of the histograms' buckets.
SECONDS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60)
BATCH_BUCKETS = (1, 2, 4, 8, 12, 16, 24, 32, 64)


class Metrics:
    """Counters, gauges and histograms of one server, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # `*_created` series are not used
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = self._counter("requests", "requests answered", "route", "method", "status")
        self.request_seconds = self._histogram(
            "request_seconds", "time from a request to the end of its response", SECONDS_BUCKETS, "route"
        )
        self.slices = self._counter("slices", "slices predicted", "model", "verdict")
        self.rejects = self._counter("rejects", "files that could not be read", "reason")
        self.refusals = self._counter("refusals", "requests answered with an error", "code")
        self.batch_slices = self._histogram(
            "batch_slices", "slices in one run of the graph", BATCH_BUCKETS, "model"
        )
        self.batch_seconds = self._histogram(
            "batch_seconds", "time of one run of the graph", SECONDS_BUCKETS, "model"
        )
        self.reloads = self._counter("reloads", "models loaded again", "outcome")
        self.queue_slices = self._gauge("queue_slices", "slices admitted and not yet answered")
        self.jobs = self._gauge("jobs", "jobs", "state")
        self.jobs_bytes = self._gauge("jobs_bytes", "size of the folders of all jobs on disk")

    def render(self) -> bytes:
        """Write all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"gliascope_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"gliascope_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"gliascope_{name}", text, labels, buckets=buckets, registry=self.registry)
