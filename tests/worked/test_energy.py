"""Watt-hours for a thousand requests, worked by hand."""

import numpy as np

from toetssteen.metrics.energy import EnergyPerThousand
from toetssteen.records import Block, Item, Marked, Reading, Score, Status


def block(number: int, *, requests: int, package: float, dram: float) -> Block:
    readings = (
        Reading("package-0", package, "measured", "cpu_package", "powercap/1"),
        Reading("dram of package-0", dram, "measured", "dram", "powercap/1"),
    )
    return Block(f"energy/requests#{number}", "energy/requests", requests, 20.0, readings)


def test_ten_requests_in_three_blocks() -> None:
    """4, 4 and 2 requests cost 140 + 20, 150 + 26 and 72 + 12 J (package and memory).

    Energy for 1,000 requests is the unit of Luccioni, Jernite and Strubell (2024), FAccT,
    "Power Hungry Processing". A joule is a watt-second: 1 Wh = 3,600 J.

        joules           160, 176, 84; together 420
        a request        420 / 10 = 42 J
        a thousand       42,000 J / 3,600 = 11.666667 Wh

    The interval is t over blocks, each weighing what it asked (K/(K-1) and K-1 df; Cameron and
    Miller 2015, Journal of Human Resources 50:317-372):

        block totals around the mean   160 - 4*42 = -8;  176 - 4*42 = 8;  84 - 2*42 = 0
        variance         3/2 * (64 + 64 + 0) / 10^2 = 1.92 J^2
        standard error   1.385641 J
        t(.975, 2 df)    4.302653; half 5.961931 J, a thousand times / 3,600 = 1.656092 Wh

        11.666667 -+ 1.656092 = [10.01057, 13.32276]
    """
    blocks = (
        block(0, requests=4, package=140.0, dram=20.0),
        block(1, requests=4, package=150.0, dram=26.0),
        block(2, requests=2, package=72.0, dram=12.0),
    )
    scores = tuple(Score.of(Item(str(i), {}), 1.0) for i in range(10))
    estimate = EnergyPerThousand()(Marked(scores, blocks), rng=np.random.default_rng(1))
    assert (estimate.status, estimate.unit) == (Status.MEASURED, "Wh/1000 requests")
    assert (estimate.n, estimate.clusters) == (10, 3)
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    assert round(estimate.value, 6) == 11.666667
    assert (round(estimate.low, 5), round(estimate.high, 5)) == (10.01057, 13.32276)
    assert estimate.basis == "measured"
    assert estimate.method == "powercap/1; t over 3 blocks"
    assert estimate.flags == ()  # 60 seconds in all
