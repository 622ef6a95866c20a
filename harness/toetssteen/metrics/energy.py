"""What asking cost in energy; read from counters, or honestly unknown."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import ClassVar

from toetssteen.metrics import Rng
from toetssteen.records import Better, Block, Estimate, Marked, Status
from toetssteen.statistics.means import cluster_mean

UNIT = "Wh/1000 requests"
JOULES_PER_WATT_HOUR = 3600.0
# Shorter windows are dominated by where the counter happened to step (energy-v1, window rule).
SHORT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class EnergyPerThousand:
    """Gross energy for 1,000 requests: all joules counted while asking, by all sources.

    Gross means that what the machine draws when idle is in it. A single block without a reading
    makes the whole unknown: the part that was read would look like the sum. So do blocks that
    were read in different ways. The interval is t over blocks, weighted by their requests.
    """

    better: Better = field(default="lower", init=False)
    by_group: ClassVar[bool] = False

    def __call__(self, marked: Marked, *, rng: Rng) -> Estimate:
        """Estimate from the blocks in which the requests were answered."""
        answered = sum(score.value is not None for score in marked.scores)
        missing = len(marked.scores) - answered

        def none(status: Status, reason: str) -> Estimate:
            return Estimate.none(
                status, reason, n=answered, unscored=missing, unit=UNIT, basis="unknown"
            )

        if not marked.scores or not marked.blocks:
            return none(Status.NOT_RUN, "nothing was asked")
        if not answered:
            return none(Status.UNINFORMATIVE, "no request was answered")
        if (unread := _why_unread(marked.blocks)) is not None:
            return none(Status.NOT_MEASURABLE, unread)
        if len(marked.blocks) < 2:
            return none(Status.NOT_RESOLVABLE, "one block of requests shows no spread")
        return _estimate(marked.blocks, answered=answered, missing=missing)


def _why_unread(blocks: Sequence[Block]) -> str | None:
    for block in blocks:
        if not block.readings:
            return f"block {block.id} has no reading"
        for reading in block.readings:
            if reading.joules is None:
                return reading.reason or f"{reading.source} was not read"
    ways = {tuple((r.source, r.scope, r.method, r.basis) for r in b.readings) for b in blocks}
    if len(ways) > 1 or len({basis for way in ways for *_, basis in way}) > 1:
        said = sorted({f"{source} ({basis})" for way in ways for source, _, _, basis in way})
        return f"the requests were metered differently: {', '.join(said)}"
    return None


def _estimate(blocks: Sequence[Block], *, answered: int, missing: int) -> Estimate:
    per_request, names = [], []
    # By place: a block of which a part was asked again stands there twice under one id.
    for place, block in enumerate(blocks):
        joules = fsum(r.joules for r in block.readings if r.joules is not None)
        # One value a request, so that a block weighs as much as it asked.
        per_request += [joules / block.requests] * block.requests
        names += [place] * block.requests
    mean = cluster_mean(per_request, names)
    interval = mean.interval()
    scale = 1000 / JOULES_PER_WATT_HOUR
    seconds = fsum(block.seconds for block in blocks)
    first = blocks[0].readings[0]
    return Estimate(
        value=interval.value * scale,
        low=max(0.0, interval.low * scale),
        high=interval.high * scale,
        n=answered,
        unscored=missing,
        method=f"{first.method}; t over {len(blocks)} blocks",
        status=Status.MEASURED,
        unit=UNIT,
        clusters=len(blocks),
        standard_error=mean.standard_error * scale,
        df=mean.df,
        basis=first.basis,
        flags=("short_window",) if seconds < SHORT_SECONDS else (),
    )
