"""A value with its standard error: enough for an interval, a test and an equivalence test."""

from dataclasses import dataclass

from scipy.special import stdtr, stdtrit

from toetssteen.statistics import Interval

# A standard error this small beside the effect is what rounding left of none.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Studentised:
    """An estimate whose error, divided by its standard error, follows Student's t.

    Args:
        value: the estimate.
        standard_error: its standard error, in the same unit; 0 where nothing varies.
        df: degrees of freedom of the standard error; need not be whole.
        method: how both were found, as it is printed beside the number.
    """

    value: float
    standard_error: float
    df: float
    method: str

    def interval(self, *, level: float = 0.95) -> Interval:
        """Return the t interval."""
        half = float(stdtrit(self.df, 0.5 + level / 2)) * self.standard_error
        return Interval(self.value, self.value - half, self.value + half, self.method)

    def p_value(self, *, null: float = 0.0) -> float:
        """Return the two-sided p-value of the t test of one value.

        Where nothing varies, t divides by zero. All df + 1 units then lie on the same side of
        the null, or exactly on it: the sign test says how surprising that is (2 * .5^(df + 1),
        or 1). It never says 0, however few the units.
        """
        away = abs(self.value - null)
        if self.without_spread(away):
            return min(1.0, 2 * 0.5 ** (self.df + 1)) if away > 0 else 1.0
        return float(2 * stdtr(self.df, -away / self.standard_error))

    def without_spread(self, away: float) -> bool:
        """Say whether the standard error is 0, or rounding beside a distance."""
        return self.standard_error <= ROUNDING * away
