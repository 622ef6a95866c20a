"""Corrections for many questions at once: of thirty tests of noise, 3 in 4 times one alarms."""

from collections.abc import Callable, Sequence

PValues = Sequence[float | None]


def holm(p_values: PValues) -> list[float | None]:
    """Return adjusted p-values that keep the chance of any false alarm in the family.

    For a family that was declared before the run. Holm (1979), Scandinavian Journal of
    Statistics 6:65-70. In the order given; a hypothesis that could not be tested stays None and
    does not count.

    Raises:
        ValueError: a p-value outside [0, 1].
    """
    return _where_tested(p_values, _step_down)


def benjamini_hochberg(p_values: PValues) -> list[float | None]:
    """Return adjusted p-values that keep the expected share of false alarms among the findings.

    For exploring. Benjamini and Hochberg (1995), Journal of the Royal Statistical Society B
    57:289-300; for tests that are independent or positively dependent. In the order given; a
    hypothesis that could not be tested stays None and does not count.

    Raises:
        ValueError: a p-value outside [0, 1].
    """
    return _where_tested(p_values, _step_up)


def _step_down(tested: list[float]) -> list[float]:
    order = sorted(range(len(tested)), key=tested.__getitem__)
    adjusted, highest = [0.0] * len(tested), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(tested) - rank) * tested[index]))
        adjusted[index] = highest
    return adjusted


def _step_up(tested: list[float]) -> list[float]:
    order = sorted(range(len(tested)), key=tested.__getitem__, reverse=True)
    adjusted, lowest = [0.0] * len(tested), 1.0
    for above, index in enumerate(order):
        lowest = min(lowest, len(tested) / (len(tested) - above) * tested[index])
        adjusted[index] = lowest
    return adjusted


def _where_tested(
    p_values: PValues, adjust: Callable[[list[float]], list[float]]
) -> list[float | None]:
    tested = [p for p in p_values if p is not None]
    for p in tested:
        if not 0 <= p <= 1:
            raise ValueError(f"a p-value lies between 0 and 1, got {p}")
    adjusted = iter(adjust(tested) if tested else [])
    return [None if p is None else next(adjusted) for p in p_values]
