"""One task as it is printed: in a few sentences for a board, and with every number it gave."""

from collections.abc import Iterator, Mapping, Sequence

from toetssteen.records import Record, Says, Status
from toetssteen.report.contrasts import contrasts, family_of, flagged
from toetssteen.report.page import (
    Card,
    ControlRow,
    Example,
    MetricRows,
    Row,
    Shown,
    TaskShown,
)
from toetssteen.report.show_estimates import limits_of, scale_ends, scale_for, show, show_finding
from toetssteen.report.words import MetricWords, Phrase, Words

WORST_FIRST = (
    Says.DOES_NOT_MEET,
    Says.INCONCLUSIVE,
    Says.NOT_MEASURED,
    Says.NEEDS_HUMAN_EVIDENCE,
    Says.MEETS,
    Says.REPORTED,
    Says.NOT_APPLICABLE,
)


def show_task(task: Record, anchor: str, record: Record, words: Words) -> TaskShown:
    words = words.knowing(task["labels"])
    metrics = tuple(_metrics(task, limits_of(record), words))
    theme = task["name"].partition("/")[0]
    controls = tuple(_control(control, words) for control in task["controls"])
    return TaskShown(
        anchor=anchor,
        name=task["name"],
        theme=words.label("themes", theme),
        title=words.told(task["title"]),
        description=words.told(task["description"]),
        version=task["version"],
        items=words.integer(task["items"]),
        licence=task["licence"],
        source=task["source"],
        items_sha256=task["items_sha256"],
        card=_card(task, metrics, words),
        caveats=tuple(words.told(caveat) for caveat in task["caveats"]),
        contrasts=tuple(contrasts(task, words)),
        metrics=metrics,
        unscored_lead=_unscored_lead(task, words),
        unscored=tuple(_unscored_kinds(task, words)),
        controls=controls,
        controls_lead=_controls_lead(controls, words),
        cost=tuple(_cost(task["cost"], words)),
        examples=tuple(_example(example, words) for example in task["examples"]),
        no_examples=words["examples_none" if not task["answered"] else "examples_hidden"],
    )


def _metrics(task: Record, limits: Mapping[str, float], words: Words) -> Iterator[MetricRows]:
    by_metric: dict[str, list[Record]] = {}
    for result in task["results"]:
        by_metric.setdefault(result["metric"], []).append(result)
    for metric_id, results in by_metric.items():
        metric = words.metric(metric_id)
        scale = scale_for(results, metric, limits)
        yield MetricRows(
            metric=metric_id,
            name=metric.name[words.language],
            explain="" if metric.explain is None else metric.explain[words.language],
            better=words[f"better_{results[0]['better']}"],
            scale=None if scale is None else scale_ends(scale, metric, words),
            rows=tuple(
                Row(
                    result=result["name"],
                    group=words.group(result["group"]),
                    estimate=show(
                        result["estimate"],
                        metric,
                        words,
                        scale=scale,
                        limit=limits.get(result["name"]),
                    ),
                    findings=tuple(show_finding(f, metric, words) for f in result["findings"]),
                )
                for result in results
            ),
        )


def _unscored_lead(task: Record, words: Words) -> str:
    missing = sum(task["unscored"].values())
    if not missing:
        # A task that was never asked has no score to lack.
        return words["unscored_none"] if task["answered"] else words["examples_none"]
    return words.count("unscored_lead", missing, items=words.integer(task["items"]))


def _unscored_kinds(task: Record, words: Words) -> Iterator[str]:
    for kind, count in task["unscored"].items():
        yield f"{words.integer(count)} {words.label('answered', kind)}"


def _control(control: Record, words: Words) -> ControlRow:
    metric = words.metric(control["metric"])
    status = words.label("statuses", control["expected"])
    known = control["expected"] in set(Status)
    return ControlRow(
        control=control["control"],
        label=words.label("controls", control["control"]),
        metric=metric.name[words.language],
        group=words.group(control["group"]),
        expected=Phrase(status)
        if known
        else words.phrase(control["expected"], percent=metric.percent),
        estimate=show(control["estimate"], metric, words),
        landed=control["landed"],
    )


def _controls_lead(controls: Sequence[ControlRow], words: Words) -> str:
    """Say how many controls landed; one that missed a single metric did not land."""
    judged: dict[str, bool] = {}
    for control in controls:
        if control.landed is not None:
            judged[control.control] = judged.get(control.control, True) and control.landed
    if not judged:
        return words["controls_none"]
    landed = sum(judged.values())
    pieces = {"n": words.integer(len(judged)), "landed": words.integer(landed)}
    return words.say("controls_all" if landed == len(judged) else "controls_some", **pieces)


def _cost(cost: Record, words: Words) -> Iterator[tuple[str, str]]:
    yield words["requests"], words.integer(cost["requests"])
    yield words["seconds"], words.number(cost["seconds"])
    if cost["joules"] is None:
        reason = words.phrase(cost["reason"]).text if cost["reason"] else words["no_reason"]
        yield words["joules"], words.say("joules_unknown", reason=reason)
        return
    joules = words.say(
        "joules_text",
        joules=words.number(cost["joules"]),
        watt_hours=words.number(cost["joules"] / 3600),
    )
    yield words["joules"], f"{joules}, {words.label('bases', cost['basis'])}"
    yield words["scopes"], words.listing([words.label("scopes", s) for s in cost["scopes"]])


def _example(example: Record, words: Words) -> Example:
    spoken = example["groups"].get("language", "")
    scored = example["value"] is not None
    return Example(
        item=example["item"],
        groups=", ".join(words.group(f"{k}={v}") for k, v in example["groups"].items()),
        language=spoken if spoken in {"nl", "en"} else "",
        exchanges=tuple((one["asked"], one["answered"]) for one in example["exchanges"]),
        score=words.number(example["value"]) if scored else "",
        parts="; ".join(
            f"{name.replace('_', ' ')} {words.number(part)}"
            for name, part in example["parts"].items()
        ),
        why_unscored=None if scored else words.phrase(example["why_unscored"]),
        kind=words.label("answered", example["kind"]),
    )


# --- one task in a few sentences --------------------------------------------------------------


def _card(task: Record, metrics: Sequence[MetricRows], words: Words) -> Card:
    result = _key_result(task)
    if result is None:
        return Card((), (), words["no_result"], (), None, None)
    metric = words.metric(result["metric"])
    rows = next(rows for rows in metrics if rows.metric == result["metric"])
    shown = next(row.estimate for row in rows.rows if row.result == result["name"])
    findings = tuple(show_finding(finding, metric, words) for finding in result["findings"])
    # Why there is no number is said already.
    reasons = tuple(f.because for f in findings if f.criterion and shown.value is not None)
    return Card(
        findings=findings,
        reasons=reasons,
        headline=_headline(result, metric, shown, words),
        sentences=tuple(_supporting(task, result, metric, shown, words)),
        estimate=shown,
        scale=rows.scale,
    )


def _key_result(task: Record) -> Record | None:
    """Return the result that a board should see first.

    Where criteria were registered, the one with the worst finding; else the task's first metric.
    """
    registered = [
        (WORST_FIRST.index(Says(finding["says"])), place)
        for place, result in enumerate(task["results"])
        for finding in result["findings"]
        if finding["criterion"]
    ]
    if registered:
        key: Record = task["results"][min(registered)[1]]
        return key
    return next((r for r in task["results"] if not r["group"]), None)


def _headline(result: Record, metric: MetricWords, shown: Shown, words: Words) -> str:
    """Return the one sentence about a task that a board member remembers."""
    estimate = result["estimate"]
    if shown.value is None:
        return words.say("no_number", name=metric.name[words.language], status=shown.status)
    direction = _direction(estimate) if result["better"] == "near_zero" else ""
    chosen = metric.sentence
    if estimate["value"] == 0 and metric.at_zero is not None:
        chosen = metric.at_zero
    elif direction == "above" and metric.above is not None:
        chosen = metric.above
    elif direction == "below" and metric.below is not None:
        chosen = metric.below
    value = f"{shown.value.text} {shown.unit}".rstrip()
    name = metric.name[words.language]
    if result["group"]:
        name = f"{name} ({words.group(result['group'])})"
    if chosen is None or result["group"]:
        return words.say("generic_sentence", name=name, value=value)
    high = shown.high.text if shown.high is not None else words["unknown"]
    return chosen[words.language].format(value=value, n=shown.n, high=high)


def _direction(estimate: Record) -> str:
    """Say on which side of 0 the whole interval lies, if it lies on one."""
    if estimate["low"] is not None and estimate["low"] > 0:
        return "above"
    if estimate["high"] is not None and estimate["high"] < 0:
        return "below"
    return ""


def _supporting(
    task: Record, result: Record, metric: MetricWords, shown: Shown, words: Words
) -> Iterator[str]:
    if shown.value is None:
        yield words.say("why", reason=shown.reason.text)
    else:
        yield _range(shown, words)
    if task["name"].partition("/")[0] == "bias" and result["better"] == "near_zero":
        yield from _bias(task, result, metric, words)
    yield from _scored(task, result, shown, words)
    if metric.explain is not None and not metric.percent and shown.value is not None:
        yield metric.explain[words.language]


def _range(shown: Shown, words: Words) -> str:
    if shown.low is None or shown.high is None:
        return words["no_range"]
    return words.say("range", level=shown.level, low=shown.low.text, high=shown.high.text)


def _bias(task: Record, result: Record, metric: MetricWords, words: Words) -> Iterator[str]:
    """Say whether a difference was found; one group that differs is never passed over."""
    if family := family_of(task, result["metric"]):
        yield from _declared(family, words)
        return
    estimate = result["estimate"]
    if estimate["low"] is None or estimate["high"] is None:
        return
    differing = [
        words.group(other["group"])
        for other in task["results"]
        if other["metric"] == result["metric"] and other["group"] and _direction(other["estimate"])
    ]
    if _direction(estimate):
        yield words["fixed_bias_found"]
        return
    largest = words.amount(
        max(abs(estimate["low"]), abs(estimate["high"])), percent=metric.percent
    )
    with_unit = f"{largest.text} {words.unit(estimate['unit'])}".rstrip()
    yield words.say("fixed_bias_not_found", largest=with_unit)
    if differing:
        groups = words.listing(differing)
        yield words.count("group_differs", len(differing), groups=groups)


def _declared(family: Sequence[Record], words: Words) -> Iterator[str]:
    """Say which of the differences that were declared beforehand stand after correction."""
    differing = [words.label("group_values", _value(one)) for one in family if flagged(one)]
    tested = words.integer(sum(one["estimate"]["p_value"] is not None for one in family))
    if not differing:
        yield words.say("contrasts_found_none", tested=tested)
        return
    groups = words.listing(differing)
    yield words.count("contrasts_found", len(differing), groups=groups, tested=tested)
    yield words["fixed_bias_found"]


def _value(result: Record) -> str:
    value: str = result["group"].partition("=")[2]
    return value


def _scored(task: Record, result: Record, shown: Shown, words: Words) -> Iterator[str]:
    n, missing = result["estimate"]["n"], result["estimate"]["unscored"]
    if not n + missing:
        return
    if not missing:
        yield words.count("scored_all", n)
        return
    kinds = "" if result["group"] else ", ".join(_unscored_kinds(task, words))
    yield words.say(
        "scored_some",
        n=shown.n,
        asked=words.integer(n + missing),
        unscored=shown.unscored,
        kinds=f" ({kinds})" if kinds else "",
    )
    if shown.worst is not None and shown.best is not None:
        yield words.say("if_counted", worst=shown.worst.text, best=shown.best.text)
