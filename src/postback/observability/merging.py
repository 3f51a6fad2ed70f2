"""The figures of several processes behind one port, as one text: Prometheus reaches only one of them, and any."""

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from postback.observability.metrics import OF_THE_DATABASE, PREFIX, render_metrics

PROCESS: Final = "process"
"""The label that says whose a figure is: the number of the process."""


def merge(figures: Mapping[int, bytes | None]) -> bytes:
    """One text of those of all processes, by their numbers; None for one that did not answer.

    Each figure gets the label `process`, but for those of the database as a whole, of which one text has them.
    """
    up = GaugeMetricFamily(PREFIX + "process_up", "1 for a process that told its figures, else 0.", labels=[PROCESS])
    families: dict[str, Metric] = {}
    for number, text in sorted(figures.items()):
        up.add_metric([str(number)], 0 if text is None else 1)
        for family in text_string_to_metric_families((text or b"").decode()):
            known = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            label = {} if family.name in OF_THE_DATABASE else {PROCESS: str(number)}
            known.samples += [sample._replace(labels={**label, **sample.labels}) for sample in family.samples]
    registry = CollectorRegistry()
    registry.register(_Merged([up, *families.values()]))
    return render_metrics(registry)


class _Merged(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
