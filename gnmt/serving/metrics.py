"""Metrics for Prometheus. Labels hold neither addresses nor keys nor text."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

import gnmt

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
STEP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
BATCH_SENTENCES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The metrics of one application; each application has its own registry."""

    def __init__(self):
        self._registry = CollectorRegistry()
        options = {"registry": self._registry}
        self.requests = Counter("gnmt_requests", "requests answered", ["route", "code"], **options)
        self.request_seconds = Histogram(
            "gnmt_request_seconds", "time to the end of the response", ["route"], buckets=SECONDS, **options
        )
        self.cancelled = Counter("gnmt_cancelled_sentences", "cancelled sentences", **options)
        self.sentences = Counter("gnmt_sentences", "sentences translated", **options)
        self.tokens = Counter("gnmt_tokens", "tokens translated", ["side"], **options)
        self.queue_tokens = Gauge("gnmt_queue_tokens", "source tokens that wait", **options)
        self.running = Gauge("gnmt_running_sentences", "sentences in running searches", **options)
        self.searches = Gauge("gnmt_running_searches", "running searches, one for each set of options", **options)
        self.batch_sentences = Histogram(
            "gnmt_batch_sentences", "sentences of a search at each of its steps", buckets=BATCH_SENTENCES, **options
        )
        self.step_seconds = Histogram(
            "gnmt_step_seconds", "time of one step of one search", buckets=STEP_SECONDS, **options
        )
        self.model_info = Gauge(
            "gnmt_model_info", "1 for each model", ["source", "target", "precision", "version"], **options
        )

    def add_model(self, source: str, target: str, precision: str) -> None:
        """Adds a served model to the metrics.

        Args:
            source: source language.
            target: target language.
            precision: precision of decoding.
        """
        self.model_info.labels(source, target, precision, gnmt.__version__).set(1)

    def text(self) -> bytes:
        """Returns all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
