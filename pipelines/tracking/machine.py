"""System metrics of a run, through its logger: they too survive a store that is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from pipelines.tracking.logger import RunLogger


@contextmanager
def system_metrics(logger: RunLogger) -> Iterator[None]:
    """Watch processor, memory, disk, network and GPUs until the block ends; a resumed run goes on where it ended."""
    monitor = _Monitor(logger)
    monitor.start()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        monitor.finish()  # type: ignore[no-untyped-call]


class _Monitor(SystemMetricsMonitor):
    """MLflow's own asks the server before each sample whether the run still runs, and ends when it does not answer."""

    def __init__(self, logger: RunLogger) -> None:
        super().__init__(logger.run_id, resume_logging=True, tracking_uri=logger.address)  # type: ignore[no-untyped-call]
        self._logger = logger

    def monitor(self) -> None:
        while not self._shutdown_event.is_set():
            for _ in range(self.samples_before_logging):
                self.collect_metrics()  # type: ignore[no-untyped-call]
                if self._shutdown_event.wait(self.sampling_interval):
                    return
            self.publish_metrics(self.aggregate_metrics())  # type: ignore[no-untyped-call]

    def publish_metrics(self, metrics: dict[str, float]) -> None:
        prefix = self._metrics_prefix + (f"{self.node_id}/" if self.node_id else "")
        self._logger.results({prefix + name: value for name, value in metrics.items()}, self._logging_step)
        self._logging_step += 1
        for monitor in self.monitors:
            monitor.clear_metrics()  # type: ignore[no-untyped-call]
