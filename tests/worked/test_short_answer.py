"""Exact match and token F1 of one answer, worked by hand."""

from toetssteen.records import Answered, Generation, Item
from toetssteen.scorers.short_answers import ShortAnswer, normalise, token_f1

SCORER = ShortAnswer(prompt={"nl": "{text} {question}"})


def item(*answers: str) -> Item:
    fields: dict[str, object] = {
        "language": "nl",
        "text": "De milieustraat is open tot 16.30 uur.",
        "question": "Hoe laat sluit de milieustraat?",
        "answerable": "yes" if answers else "no",
        "answers": list(answers),
    }
    return Item("milieustraat", fields)


def test_a_long_answer_shares_two_of_its_five_words() -> None:
    """Said: "Tot 16.30 uur in de zomer."; accepted: "16.30 uur" and "half vijf".

    Rajpurkar et al. (2016), EMNLP, section 6.1: exact match, and F1 over the bag of words, the
    best over the accepted answers; case, articles and punctuation do not count.

        said      tot 16.30 uur in zomer     5 words ("de" is an article)
        accepted  16.30 uur                  2 words, both shared
        precision 2/5, recall 2/2
        F1        2 * (2/5) * 1 / (2/5 + 1) = (4/5) / (7/5) = 4/7 = .571429

        accepted  half vijf                  none shared: 0
        best      .571429; no accepted answer is said exactly: 0
    """
    said = "Tot 16.30 uur in de zomer."
    assert normalise(said, "nl") == ("tot", "16.30", "uur", "in", "zomer")
    assert token_f1(normalise(said, "nl"), ("half", "vijf")) == 0.0

    score = SCORER.score(item("16.30 uur", "half vijf"), [Generation(said, "stop", 9)])
    assert score.value == 0.0
    assert score.answered is Answered.VALID
    assert score.parts["exact"] == 0.0
    assert round(score.parts["f1"], 6) == 0.571429


def test_a_word_said_twice_is_shared_once() -> None:
    """Said "drie drie weken", accepted "drie weken": 2 shared of 3 and of 2.

    precision 2/3, recall 1; F1 = 2 * (2/3) / (5/3) = 4/5 = .8
    """
    assert round(token_f1(("drie", "drie", "weken"), ("drie", "weken")), 6) == 0.8


def test_without_an_answer_in_the_text_saying_so_is_right() -> None:
    """Rajpurkar, Jia and Liang (2018), ACL: no answer given to a question without one is 1."""
    right = SCORER.score(item(), [Generation("Dat staat niet in de tekst.", "stop", 7)])
    wrong = SCORER.score(item(), [Generation("16.30 uur", "stop", 4)])
    assert (right.value, right.answered) == (1.0, Answered.ABSTAINED)
    assert (wrong.value, wrong.answered) == (0.0, Answered.VALID)
