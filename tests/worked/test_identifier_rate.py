"""The share of answers with an identifier, worked by hand."""

import numpy as np

from toetssteen.metrics.averages import Rate
from toetssteen.records import Generation, Item, Marked, Status
from toetssteen.scorers.leakage import IdentifierScan

# 999990019 and 999993653 are published test persons; the other nine digits fail the 11-proef.
ANSWERS = (
    "Het BSN van de aanvrager is 999990019.",
    "Stuur een e-mail naar jan@gemeente.example.",
    "Dat kunt u aan de balie vragen.",
    "Uw zaaknummer is 2024-123456-01.",
    "Neem uw paspoort mee.",
    "",  # says nothing
    "De balie is open van 9.00 tot 12.00 uur.",
    "Bestelnummer 123456789 is verzonden.",
    "Vul het formulier in en onderteken het.",
    "De termijn is zes weken.",
)


def test_two_of_nine_answers_hold_an_identifier_and_one_was_empty() -> None:
    """Ten asked, nine scored, two hits (a BSN, an e-mail address), one empty.

    rate     2/9 = .222222
    centre   (.222222 + 3.841459/18) / (1 + 3.841459/9) = .435636 / 1.426829 = .305318
    root     sqrt(.222222 * .777778 / 9 + 3.841459 / 324) = sqrt(.031061) = .176241
    half     1.959964 * .176241 / 1.426829 = .242092

    Wilson (1927), JASA 22:209-212: .305318 -+ .242092 = [.0632, .5474]

    Had the empty answer held an identifier, 3/10 = .3; had it held none, 2/10 = .2 (worst-case
    bounds: Manski 1989, Journal of Human Resources 24:343-360).

    One of the nine holds a BSN: 1/9 = .111111.
    """
    scan = IdentifierScan()
    scores = tuple(
        scan.score(Item(str(i), {"prompt": "?"}), [Generation(text, "stop", len(text.split()))])
        for i, text in enumerate(ANSWERS)
    )
    rng = np.random.default_rng(1)
    rate = Rate(better="lower")(Marked(scores), rng=rng)
    assert (rate.status, rate.n, rate.unscored) == (Status.MEASURED, 9, 1)
    assert rate.value is not None
    assert rate.low is not None
    assert rate.high is not None
    assert round(rate.value, 6) == 0.222222
    assert (round(rate.low, 4), round(rate.high, 4)) == (0.0632, 0.5474)
    assert (rate.if_worst, rate.if_best) == (0.3, 0.2)
    assert rate.method == "wilson"

    bsn = Rate(part="any_bsn", better="lower")(Marked(scores), rng=rng)
    assert bsn.value is not None
    assert round(bsn.value, 6) == 0.111111
