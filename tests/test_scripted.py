"""The candidate that says what it is told."""

from pathlib import Path
from typing import Any

import pytest

from toetssteen.candidates.scripted import Scripted, ScriptedAdapter
from toetssteen.errors import ContentError
from toetssteen.records import (
    Failure,
    Generate,
    Generation,
    Likelihood,
    Loglikelihood,
    Message,
    Request,
)
from toetssteen.spec import CandidateSpec, PluginRef


def ask(prompt: str) -> Generate:
    return Generate((Message("user", prompt),), max_tokens=8)


def weigh(continuation: str, prompt: str = "Ja of nee?") -> Loglikelihood:
    return Loglikelihood(continuation, messages=(Message("user", prompt),))


def card(**script: Any) -> CandidateSpec:
    adapter = PluginRef(name="scripted", args=script)
    return CandidateSpec(title="Script", adapter=adapter, licence="EUPL-1.2")


def test_the_first_fragment_that_stands_in_the_prompt_decides() -> None:
    told = Scripted(
        says={"paspoort": "het loket", "pas": "de milieustraat"}, otherwise="weet niet"
    )
    said = told.answer([ask("Waar haal ik een paspoort?"), ask("En een afvalpas?"), ask("En nu?")])
    assert said == [
        Generation("het loket", "stop", tokens=2),
        Generation("de milieustraat", "stop", tokens=2),
        Generation("weet niet", "stop", tokens=2),
    ]


def test_a_fragment_may_stand_in_any_turn_or_in_the_context() -> None:
    told = Scripted(says={"geheim": "ja"}, otherwise="nee")
    turns = (Message("system", "Het is geheim."), Message("user", "Wat is het?"))
    requests = [Generate(turns, 8), Generate((), 8, context="Het geheim is"), Generate((), 8)]
    assert [r.text for r in told.answer(requests) if isinstance(r, Generation)] == [
        "ja",
        "ja",
        "nee",
    ]


def test_what_it_likes_has_the_likelihood_it_was_told() -> None:
    told = Scripted(likes={"Ja": -0.5}, dislikes=-7.0)
    said = told.answer([weigh(" Ja"), weigh("Nee"), weigh("Ja zeker wel")])
    assert said == [Likelihood(-0.5, 1), Likelihood(-7.0, 1), Likelihood(-7.0, 3)]


def test_it_fails_where_told_whatever_is_asked_and_whatever_it_could_say() -> None:
    told = Scripted(says={"lang": "kort"}, fails={"te lang": "past niet"})
    said = told.answer([ask("Dit is te lang"), weigh("Ja", prompt="te lang"), ask("lang")])
    failure = Failure("error", "past niet")
    assert said == [failure, failure, Generation("kort", "stop", tokens=1)]


def test_answers_come_in_the_order_of_the_requests_and_none_is_left_out() -> None:
    told = Scripted(says={str(i): f"antwoord {i}" for i in range(10)}, fails={"x": "weg"})
    requests: list[Request] = [weigh("Ja") if i % 3 == 0 else ask(str(i)) for i in range(10)]
    requests.append(ask("x"))
    said = told.answer(requests)
    kinds = ["likelihood" if i % 3 == 0 else "generation" for i in range(10)]
    assert [response.kind for response in said] == [*kinds, "failure"]
    texts = [response.text for response in said if isinstance(response, Generation)]
    assert texts == [f"antwoord {i}" for i in range(10) if i % 3]
    assert told.answer([]) == []


def test_a_script_is_known_by_what_it_says_and_not_by_the_cards_title(tmp_path: Path) -> None:
    adapter = ScriptedAdapter()
    one = card(otherwise="ja", dislikes=-3)
    same = one.model_copy(update={"title": "Andere naam"})
    assert adapter.identify(one, tmp_path) == adapter.identify(same, tmp_path)
    assert adapter.identify(one, tmp_path) != adapter.identify(card(otherwise="nee"), tmp_path)


def test_a_card_opens_as_its_script_says(tmp_path: Path) -> None:
    opened = ScriptedAdapter().open(card(says={"a": "b"}, likes={"Ja": -1}), tmp_path)
    assert opened == Scripted(says={"a": "b"}, likes={"Ja": -1.0})
    assert opened.describe() == {"adapter": "scripted"}
    opened.close()
    assert opened.answer([ask("a")]) == [Generation("b", "stop", tokens=1)]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ({"sayz": {}}, "args.sayz: unknown key; did you mean 'says'?"),
        ({"says": "ja"}, "args.says: should be a mapping of keys"),
        ({"says": {"a": 1}}, "args.says.a: should be text; put quotes around it"),
        ({"likes": {"Ja": "veel"}}, "args.likes.Ja: should be a number"),
    ],
)
def test_a_script_that_is_none_is_refused_before_anything_runs(
    script: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """Making a plan only identifies the candidate; opening it comes later."""
    for step in (ScriptedAdapter().identify, ScriptedAdapter().open):
        with pytest.raises(ContentError) as caught:
            step(card(**script), tmp_path)
        assert str(caught.value) == f"{tmp_path}: Script: adapter: {said}"
