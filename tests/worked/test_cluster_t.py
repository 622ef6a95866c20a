"""The mean of items in clusters, worked by hand."""

from toetssteen.statistics.means import cluster_t


def test_four_templates_of_two_items() -> None:
    """Differences [[.1, .1], [0, .1], [.2, 0], [0, 0]], one list a template.

    Clusters of equal size: the plain t interval over the cluster means (Cameron and Miller
    2015, Journal of Human Resources 50:317-372, section VI.D, for the K - 1 degrees of freedom).

        cluster means     .1      .05     .1      0         mean = .25 / 4 = .0625
        deviations        .0375  -.0125   .0375  -.0625
        squares           .00140625 + .00015625 + .00140625 + .00390625 = .006875
        variance          .006875 / 3 = .00229167
        standard error    sqrt(.00229167 / 4) = .023936
        t(.975, 3 df)     3.182446
        half              3.182446 * .0239357 = .076174

        .0625 - .076174 = -.013674; .0625 + .076174 = .138674
    """
    interval = cluster_t([0.1, 0.1, 0.0, 0.1, 0.2, 0.0, 0.0, 0.0], "aabbccdd")
    assert round(interval.value, 4) == 0.0625
    assert round((interval.high - interval.value) / 3.182446, 6) == 0.023936
    assert round(interval.low, 6) == -0.013674
    assert round(interval.high, 6) == 0.138674
    assert interval.method == "cluster-t (4 clusters)"


def test_clusters_of_three_one_and_two_items() -> None:
    """[[1, 1, 0], [0], [1, 0]]: the items weigh the same, the clusters do not.

    The linearised variance, K/(K - 1) * sum of (cluster total of the deviations)^2 / n^2
    (Cameron and Miller 2015, section II, for a regression on a constant alone):

        mean              3 / 6 = .5
        deviations        .5 + .5 - .5 = .5;   -.5;   .5 - .5 = 0
        squares of totals .25 + .25 + 0 = .5
        variance          3/2 * .5 / 36 = .0208333
        standard error    .144338
        t(.975, 2 df)     4.302653
        half              .621034

        .5 - .621034 = -.121034; .5 + .621034 = 1.121034
    """
    interval = cluster_t([1.0, 1.0, 0.0, 0.0, 1.0, 0.0], "aaabcc")
    assert interval.value == 0.5
    assert round(interval.low, 6) == -0.121034
    assert round(interval.high, 6) == 1.121034
