"""A worker's `/metrics` page as numbers; several workers' pages add up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

PREFIX = "journeys_"
Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Samples:
    """Sample values by name (without `journeys_`) and labels."""

    values: Mapping[str, Mapping[Labels, float]]

    def minus(self, earlier: Samples) -> Samples:
        """What came since, for counters and histograms."""
        before = earlier.values
        return Samples(
            {
                name: {labels: value - before.get(name, {}).get(labels, 0.0) for labels, value in found.items()}
                for name, found in self.values.items()
            }
        )

    def total(self, name: str, **labels: str) -> float:
        """The sum over all samples of a name that have these labels; 0 if there is none."""
        wanted = labels.items()
        return sum(value for found, value in self.values.get(name, {}).items() if wanted <= found)

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """Sums by the values of one label."""
        sums: dict[str, float] = defaultdict(float)
        for found, value in self.values.get(name, {}).items():
            sums[dict(found).get(label, "")] += value
        return dict(sums)

    def quantile_seconds(self, name: str, quantile: float) -> float | None:
        """A histogram's quantile, interpolated inside its bucket; None without observations.

        What lies beyond the last bound counts as the last bound.
        """
        buckets = sorted((float(bound), count) for bound, count in self.by_label(f"{name}_bucket", "le").items())
        return interpolate(buckets, quantile)


def interpolate(buckets: list[tuple[float, float]], quantile: float) -> float | None:
    """The quantile of cumulative buckets `(upper bound, count up to it)` in rising order."""
    if not buckets or buckets[-1][1] <= 0:
        return None
    rank = quantile * buckets[-1][1]
    lower_bound, lower_count = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank and count > lower_count:
            if bound == float("inf"):
                return lower_bound
            return lower_bound + (bound - lower_bound) * (rank - lower_count) / (count - lower_count)
        lower_bound, lower_count = (bound if bound != float("inf") else lower_bound), count
    return lower_bound


def parse_metrics(pages: Iterable[str]) -> Samples:
    """The samples of all pages together. Raises ValueError on text that is no metrics page."""
    values: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
    for page in pages:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                values[sample.name.removeprefix(PREFIX)][frozenset(sample.labels.items())] += sample.value
    return Samples(values)
