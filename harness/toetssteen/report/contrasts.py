"""Differences that were declared beforehand, each as a paragraph that a lawyer can use.

A paragraph says the estimate, its interval, the p-value corrected for the family, the smallest
difference that the task could have found, and what it does not show. It never says that something
is allowed or forbidden.
"""

from collections.abc import Iterator, Sequence

from toetssteen.records import Record, Status
from toetssteen.report.words import MetricWords, Words
from toetssteen.statistics.planning import Demands, detectable, from_pilot
from toetssteen.statistics.studentised import Studentised

# After correction; the level at which the family was declared.
FLAGGED = 0.05
KINDS = {"ground": "contrast_ground", "proxy": "contrast_proxy", "names": "contrast_names"}


def family_of(task: Record, metric: str) -> Sequence[Record]:
    """Return the results of a metric for every declared difference; none without a family."""
    if task["family"] is None:
        return ()
    prefix = f"{task['family']}="
    return [
        result
        for result in task["results"]
        if result["metric"] == metric and result["group"].startswith(prefix)
    ]


def flagged(result: Record) -> bool:
    """Say whether a declared difference stands after correction."""
    p_value = result["estimate"]["p_adjusted"]
    return p_value is not None and p_value < FLAGGED


def contrasts(task: Record, words: Words) -> Iterator[str]:
    """Give a paragraph for every declared difference of the task's first metric."""
    if not task["results"] or task["results"][0]["better"] != "near_zero":
        return
    metric_id = task["results"][0]["metric"]
    family = family_of(task, metric_id)
    tested = sum(result["estimate"]["p_value"] is not None for result in family)
    for result in family:
        label = words.label("group_values", result["group"].partition("=")[2])
        yield f"{label}: {_paragraph(task, result, words.metric(metric_id), words, tested)}"


def _paragraph(
    task: Record, result: Record, metric: MetricWords, words: Words, tested: int
) -> str:
    estimate = result["estimate"]
    if estimate["status"] != Status.MEASURED or estimate["p_adjusted"] is None:
        status = words.label("statuses", estimate["status"])
        return words.say("contrast_none", status=status)
    unit = "" if metric.percent else words.unit(estimate["unit"])

    def said(value: float) -> str:
        return f"{words.amount(value, percent=metric.percent).text} {unit}".rstrip()

    number = words.say(
        "contrast_number",
        value=said(estimate["value"]),
        level=words.amount(estimate["level"], percent=True).text,
        low=said(estimate["low"]),
        high=said(estimate["high"]),
        p=words.amount(estimate["p_adjusted"], percent=False).text,
        n=words.integer(tested),
    )
    smallest = _smallest(estimate, tested)
    reach = (
        words["contrast_no_reach"]
        if smallest is None
        else words.say("contrast_reach", smallest=said(smallest))
    )
    if not flagged(result):
        largest = said(max(abs(estimate["low"]), abs(estimate["high"])))
        return " ".join([number, words.say("fixed_bias_not_found", largest=largest), reach])
    side = words["contrast_for" if estimate["value"] > 0 else "contrast_against"]
    kind = [words[KINDS[task["arm"]]]] if task["arm"] in KINDS else []
    found = words["fixed_bias_found"]
    return " ".join([number, found, side, *kind, reach, words["contrast_not_shown"]])


def _smallest(estimate: Record, tested: int) -> float | None:
    """Return the smallest difference found with 80% power; None where nothing varied."""
    error, df, clusters = estimate["standard_error"], estimate["df"], estimate["clusters"]
    units = clusters or estimate["n"]
    if not error or df is None:
        return None
    shown = Studentised(estimate["value"], error, df, estimate["method"])
    return detectable(from_pilot(shown, units), units, Demands(family=max(1, tested)))


def untested(record: Record, words: Words) -> Sequence[str]:
    """Return the grounds of equal treatment of which no task in the run has a number.

    A name or another circumstance is no ground: a task on names tests no ground.
    """
    tested = {
        result["group"].partition("=")[2].partition("/")[0]
        for task in record["tasks"]
        if task["arm"] == "ground"
        for result in task["results"]
        if result["better"] == "near_zero" and result["estimate"]["status"] == Status.MEASURED
    }
    return [
        words.label("grounds", one) for one in words.file.labels["grounds"] if one not in tested
    ]
