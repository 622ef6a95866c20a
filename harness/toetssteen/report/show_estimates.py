"""Estimates and findings as they are printed: numbers, reasons and the picture beside them."""

from collections.abc import Mapping, Sequence
from math import isfinite

from toetssteen.records import Record
from toetssteen.report.bars import Bar, Scale, scale_of
from toetssteen.report.page import FindingShown, Shown
from toetssteen.report.words import Amount, MetricWords, Phrase, Words

# Colour is never the only sign.
SIGNS = {
    "meets": "✓",
    "does_not_meet": "✗",
    "inconclusive": "?",
    "not_measured": "○",
    "needs_human_evidence": "!",
    "not_applicable": "·",
    "reported": "i",
}


def show(
    estimate: Record,
    metric: MetricWords,
    words: Words,
    *,
    scale: Scale | None = None,
    limit: float | None = None,
) -> Shown:
    """Return an estimate as it is printed.

    Args:
        estimate: as the record has it.
        metric: what is known of its metric.
        words: the language.
        scale: of the picture beside it; None for no picture.
        limit: of the criterion registered for it.
    """

    def amount(name: str) -> Amount | None:
        value = estimate[name]
        return None if value is None else words.amount(value, percent=metric.percent)

    reason = words.phrase(estimate["reason"], percent=metric.percent)
    return Shown(
        value=amount("value"),
        low=amount("low"),
        high=amount("high"),
        chance=_chance(estimate, metric, words),
        p_value=_p_value(estimate, words),
        worst=amount("if_worst"),
        best=amount("if_best"),
        unit="" if metric.percent else words.unit(estimate["unit"]),
        level=words.amount(estimate["level"], percent=True).text,
        n=words.integer(estimate["n"]),
        unscored=words.integer(estimate["unscored"]),
        method=words.phrase(estimate["method"]),
        status=words.label("statuses", estimate["status"]),
        reason=reason if estimate["reason"] else Phrase(words["no_reason"]),
        flags=tuple(words.label("flags", flag) for flag in estimate["flags"]),
        basis=words.label("bases", estimate["basis"]) if estimate["basis"] else "",
        bar=None if scale is None else _bar(estimate, metric, words, scale=scale, limit=limit),
    )


def _chance(estimate: Record, metric: MetricWords, words: Words) -> str:
    """Say what chance alone gives, where groups were shuffled."""
    if estimate["null_median"] is None:
        return ""
    median, most = (
        words.amount(estimate[name], percent=metric.percent).text
        for name in ("null_median", "null_95")
    )
    return words.say("chance", median=median, most=most)


def _p_value(estimate: Record, words: Words) -> str:
    """Give the p-value, corrected where it was one of several."""
    if estimate["p_value"] is None:
        return ""
    if estimate["p_adjusted"] is None:
        return words.say("p_alone", p=words.amount(estimate["p_value"], percent=False).text)
    p = words.amount(estimate["p_adjusted"], percent=False).text
    return words.say("p_of_several", p=p)


def _bar(
    estimate: Record, metric: MetricWords, words: Words, *, scale: Scale, limit: float | None
) -> Bar | None:
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None or low is None or high is None or not isfinite(value + low + high):
        return None
    worst, best = estimate["if_worst"], estimate["if_best"]
    bounds = None
    if worst is not None and best is not None:
        bounds = (scale.place(min(worst, best)), scale.place(max(worst, best)))
    return Bar(
        value=scale.place(value),
        low=scale.place(low),
        high=scale.place(high),
        bounds=bounds,
        limit=None if limit is None else scale.place(limit),
        zero=scale.place(0.0) if scale.low < 0 else None,
        text=_bar_text(estimate, metric, words, scale=scale, limit=limit),
    )


def _bar_text(
    estimate: Record, metric: MetricWords, words: Words, *, scale: Scale, limit: float | None
) -> str:
    """Return the picture in words, for those who do not see it."""

    def said(value: float) -> str:
        return words.amount(value, percent=metric.percent).text

    sentences = [
        words.say(
            "bar_text",
            value=said(estimate["value"]),
            level=words.amount(estimate["level"], percent=True).text,
            low=said(estimate["low"]),
            high=said(estimate["high"]),
            **{"from": said(scale.low), "to": said(scale.high)},
        )
    ]
    if estimate["if_worst"] is not None and estimate["if_best"] is not None:
        bounds = {"worst": said(estimate["if_worst"]), "best": said(estimate["if_best"])}
        sentences.append(words.say("bar_bounds", **bounds))
    if limit is not None:
        sentences.append(
            words.say("bar_limit", limit=words.exactly(limit, percent=metric.percent))
        )
    return " ".join(sentences)


def show_finding(finding: Record, metric: MetricWords, words: Words) -> FindingShown:
    return FindingShown(
        kind=finding["says"],
        sign=SIGNS.get(finding["says"], "·"),
        label=words.label("findings", finding["says"]),
        because=words.phrase(finding["because"], percent=metric.percent),
        criterion=finding["criterion"],
    )


def limits_of(record: Record) -> Mapping[str, float]:
    """Return the registered limit of each result that has one."""
    criteria = record["profile"]["criteria"] if record["profile"] is not None else ()
    return {
        criterion["result"]: criterion["comparator"]["value"]
        for criterion in criteria
        if criterion["comparator"]["value"] is not None
    }


def scale_for(
    results: Sequence[Record], metric: MetricWords, limits: Mapping[str, float]
) -> Scale | None:
    """Return one scale for all groups of a metric, or None where there is nothing to draw."""
    estimates = [result["estimate"] for result in results]
    drawn = [
        estimate[name]
        for estimate in estimates
        for name in ("value", "low", "high", "if_worst", "if_best")
        if estimate[name] is not None
    ]
    if not any(estimate["low"] is not None for estimate in estimates):
        return None
    drawn += [limits[result["name"]] for result in results if result["name"] in limits]
    return scale_of(
        drawn,
        share=metric.percent or not estimates[0]["unit"],
        around_zero=results[0]["better"] == "near_zero",
    )


def scale_ends(scale: Scale, metric: MetricWords, words: Words) -> tuple[str, str]:
    low = words.amount(scale.low, percent=metric.percent).text
    return low, words.amount(scale.high, percent=metric.percent).text
