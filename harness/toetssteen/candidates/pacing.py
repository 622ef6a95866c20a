"""How fast a service may be asked, how long to wait after trouble, and what may be spent."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock

from toetssteen.spec import BudgetSpec, PriceSpec

FIRST_WAIT = 0.5  # seconds, at most, before the second attempt; then twice as long each time
LONGEST_WAIT = 60.0
LONGEST_ASKED_WAIT = 600.0  # what a service may ask for; longer is as good as never


class Bucket:
    """A token bucket: so many requests a minute, a few of them at once.

    Kept as the moment at which the bucket will be full again (the generic cell rate algorithm),
    so that nothing has to be filled up meanwhile.
    """

    def __init__(
        self,
        per_minute: float | None,
        burst: int,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], object],
    ) -> None:
        """Begin full.

        Args:
            per_minute: requests a minute; None for as many as come.
            burst: requests that may go at once after a rest.
            clock: seconds, never back.
            sleep: waits so many seconds.
        """
        self._interval = None if per_minute is None else 60 / per_minute
        self._slack = burst - 1
        self._clock = clock
        self._sleep = sleep
        self._full_again = clock()
        self._lock = Lock()

    def take(self) -> None:
        """Wait until one more request may go."""
        if self._interval is None:
            return
        with self._lock:
            now = self._clock()
            due = max(self._full_again, now)
            wait = due - self._slack * self._interval - now
            self._full_again = due + self._interval
        if wait > 0:
            self._sleep(wait)


def wait_after(attempt: int, asked: str | None, luck: float, *, now: datetime) -> float:
    """Return how many seconds to wait after an attempt that failed in a way that may pass.

    Twice as long each time, times a draw, so that those who failed together do not come back
    together; never sooner than the service asks.

    Args:
        attempt: 1 for the first.
        asked: the header Retry-After: seconds or a date (RFC 9110, section 10.2.3).
        luck: in [0, 1).
        now: for a date.
    """
    own = luck * min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (attempt - 1))
    return max(own, asked_wait(asked, now))


def asked_wait(asked: str | None, now: datetime) -> float:
    """Return how many seconds the header Retry-After asks for; 0 where there is none."""
    if asked is None:
        return 0.0
    try:
        seconds = float(asked)
    except ValueError:
        try:
            then = parsedate_to_datetime(asked)
        except (ValueError, OverflowError):
            return 0.0  # a header that says nothing we can read asks for nothing
        seconds = ((then if then.tzinfo else then.replace(tzinfo=UTC)) - now).total_seconds()
    # Not a number compares false both ways and would come through a plain min and max.
    return min(seconds, LONGEST_ASKED_WAIT) if seconds > 0 else 0.0


@dataclass(slots=True)
class Purse:
    """What was sent and spent, and whether there is any left."""

    budget: BudgetSpec | None
    price: PriceSpec | None
    requests: int = 0
    euros: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def claim(self) -> str:
        """Count one more request about to be sent; or return why there is no more to spend."""
        with self._lock:
            if self.budget is not None:
                if self.budget.requests is not None and self.requests >= self.budget.requests:
                    return f"the budget of {self.budget.requests} requests is spent"
                if self.budget.euros is not None and self.euros >= self.budget.euros:
                    return f"the budget of {self.budget.euros:g} euros is spent"
            self.requests += 1
        return ""

    def pay(self, prompt_tokens: int, tokens: int) -> None:
        """Count what one answer costs."""
        if self.price is None:
            return
        cost = (
            prompt_tokens * self.price.euros_per_million_prompt_tokens
            + tokens * self.price.euros_per_million_tokens
        ) / 1e6
        with self._lock:
            self.euros += cost
