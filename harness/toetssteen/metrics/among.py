"""The part of a task's scores that a metric is about, such as the hateful texts."""

from collections.abc import Mapping

from toetssteen.errors import ContentError
from toetssteen.records import Marked, Score


def among(marked: Marked, wanted: Mapping[str, str]) -> Marked:
    """Keep the scores whose groups are those wanted; the rest counts as other scores.

    Groups, not parts: an unscored answer has no parts, and must still be missed.

    Args:
        marked: scores with their groups.
        wanted: group column → the value it must have; nothing keeps everything.

    Raises:
        ContentError: the task does not report by such a column.
    """
    if not wanted or not marked.scores:
        return marked
    for column in wanted.keys() - marked.scores[0].groups.keys():
        raise ContentError(f"metrics.args.among: {column}", "is no column under `groups`")

    def inside(score: Score) -> bool:
        return all(score.groups[column] == value for column, value in wanted.items())

    kept = tuple(score for score in marked.scores if inside(score))
    left = tuple(score for score in marked.scores if not inside(score))
    return Marked(kept, marked.blocks, (*marked.others, *left))
