"""The demo fleet as an exporter: `python -m tsf.server.fleet` serves its present values on port 9200."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tsf.io.demo import METRICS, fleet_at
from tsf.params import DemoParams, read_params
from tsf.project import find_root

__all__ = ["FleetCollector", "main"]


class FleetCollector(Collector):
    """All metrics of the fleet at the moment of the scrape, which `clock` gives in Unix seconds."""

    def __init__(self, demo: DemoParams, clock: Callable[[], float] = time.time) -> None:
        self.demo, self.clock = demo, clock

    def describe(self) -> Iterator[Metric]:
        """Nothing is computed when it is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """A gauge per metric."""
        for name, rows, values in fleet_at(self.demo, int(self.clock())):
            family = GaugeMetricFamily(name, METRICS[name])
            for labels, value in zip(rows, values.tolist(), strict=True):
                family.add_sample(name, labels, value)
            yield family


def main() -> None:
    """Serve until stopped."""
    options = argparse.ArgumentParser(description="Serve the present values of the demo fleet to a Prometheus.")
    options.add_argument("--port", type=int, default=9_200)
    options.add_argument("--address", default="127.0.0.1", help="0.0.0.0 in a container")
    chosen = options.parse_args()
    registry = CollectorRegistry()
    registry.register(FleetCollector(read_params(find_root()).demo))
    _, thread = start_http_server(chosen.port, chosen.address, registry)
    thread.join()


if __name__ == "__main__":
    main()
