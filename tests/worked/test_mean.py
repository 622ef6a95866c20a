"""The mean with Student's t, worked by hand on Student's own numbers."""

import numpy as np

from toetssteen.metrics.averages import Gap, Mean
from toetssteen.records import Item, Marked, Score, Status

RNG = np.random.default_rng(1)

# Hours of sleep that ten patients gained; Student (1908), Biometrika 6:1-25, section IX.
DEXTRO = (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0)
LAEVO = (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)


def marked(*values: float) -> Marked:
    return Marked(tuple(Score.of(Item(str(i), {}), value) for i, value in enumerate(values)))


def test_ten_patients_and_one_medicine() -> None:
    """The mean of the first row.

    sum       7.5, mean .75
    squares   .49 + 2.56 + .04 + 1.44 + .01 + 11.56 + 13.69 + .64 + 0 + 4 = 34.43
    variance  (34.43 - 10 * .75^2) / 9 = (34.43 - 5.625) / 9 = 3.200556
    standard error  sqrt(3.200556 / 10) = .565735
    t(.975, 9 df) = 2.262157; half = 2.262157 * .565735 = 1.279781

    .75 - 1.279781 = -.529781; .75 + 1.279781 = 2.029781
    """
    estimate = Mean(unit="hours")(marked(*DEXTRO), rng=RNG)
    assert (estimate.status, estimate.n, estimate.unit) == (Status.MEASURED, 10, "hours")
    assert (estimate.method, estimate.clusters) == ("t", None)
    assert estimate.value == 0.75
    assert estimate.low is not None
    assert estimate.high is not None
    assert (round(estimate.low, 5), round(estimate.high, 5)) == (-0.52978, 2.02978)


def test_ten_patients_and_the_gap_between_two_medicines() -> None:
    """Differences 1.2 2.4 1.3 1.3 0 1.0 1.8 .8 4.6 1.4; Student prints the mean, 1.58.

    sum       15.8, mean 1.58
    squares   1.44 + 5.76 + 1.69 + 1.69 + 0 + 1 + 3.24 + .64 + 21.16 + 1.96 = 38.58
    variance  (38.58 - 10 * 1.58^2) / 9 = (38.58 - 24.964) / 9 = 1.512889
    standard error  sqrt(.1512889) = .388959
    half = 2.262157 * .388959 = .879886

    1.58 - .879886 = .700114; 1.58 + .879886 = 2.459886
    """
    differences = [after - before for before, after in zip(DEXTRO, LAEVO, strict=True)]
    estimate = Gap(unit="hours")(marked(*differences), rng=RNG)
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    assert round(estimate.value, 6) == 1.58
    assert (round(estimate.low, 6), round(estimate.high, 6)) == (0.700114, 2.459886)
