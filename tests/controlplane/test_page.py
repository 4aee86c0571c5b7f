"""The page of metrics is, byte for byte, what Prometheus' library writes."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from server.controlplane.page import Series, render

ACCEPTS = (
    "",
    "text/plain",
    "text/plain;version=1.0.0;escaping=allow-utf-8",
    "application/openmetrics-text; version=1.0.0",
    "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
)
odd_text = st.one_of(
    st.text(max_size=12), st.sampled_from(['"', "\\", "\n", 'a"b\\c\nd', "é…", ""])
)
numbers = st.one_of(
    st.floats(allow_nan=False),
    st.integers(0, 2**53),
    st.sampled_from([0.0, -0.0, 1e6, 1e-7, 123456789.0, float("inf"), float("nan")]),
)


class _Whole:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def _by_library(families: list[Metric], accept: str) -> tuple[bytes, str]:
    registry = CollectorRegistry()
    registry.register(_Whole(families))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


def _families(text: str, value: float) -> list[Metric]:
    counter = CounterMetricFamily("tidegate_a", f"Help {text}", labels=("zeta", "alpha"))
    counter.add_metric((text, "x"), value)
    counter.add_metric(("y", text), 2)
    gauge = GaugeMetricFamily("tidegate_b_bytes", "Alone", value=value)
    empty = GaugeMetricFamily("tidegate_c", "Nothing yet", labels=("model",))
    histogram = HistogramMetricFamily("tidegate_d_seconds", "Buckets", labels=("model",))
    histogram.add_metric((text,), [("0.1", 1), ("+Inf", 2)], 0.3)
    info = InfoMetricFamily("tidegate_e", "What it is", value={"version": text})
    series = [
        Series("tidegate_f", "Many", "counter", ("model", "feature")),
        Series("tidegate_g", "Many more", "gauge", ("zeta", "model", "alpha")),
    ]
    for one in (value, 7, 1_000_000, 999_999):
        series[0].add_metric(("m", text), one)
        series[1].add_metric((text, "y", "x"), one)
    return [counter, gauge, empty, histogram, info, *series]


@pytest.mark.parametrize("accept", ACCEPTS)
@given(odd_text, numbers)
def test_a_page_is_the_librarys(accept: str, text: str, value: float) -> None:
    """Whatever labels and values there are, in every format that a scraper may ask for."""
    families = _families(text, value)

    assert render(families, accept) == _by_library(families, accept)


@pytest.mark.parametrize("accept", ACCEPTS)
def test_nothing_is_a_page_too(accept: str) -> None:
    """Without families there is what the format demands of an empty page."""
    assert render([], accept) == _by_library([], accept)
