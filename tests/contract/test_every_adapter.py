"""What every kind of candidate promises, whoever answers: order, failures, the same again.

An adapter that is not named here fails the first test: no kind of candidate without its contract.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import rag_application
from service_stub import Handler, Serve, echoed, said
from toetssteen.candidates import Candidate, load_adapter
from toetssteen.catalog import Card
from toetssteen.records import (
    Capability,
    Classification,
    Classify,
    Failure,
    Generate,
    Generation,
    Likelihood,
    Loglikelihood,
    Message,
    Request,
    Response,
)
from toetssteen.registry import BUILT_IN
from toetssteen.run.plan import make_plan
from toetssteen.spec import CandidateSpec, parse

Raw = dict[str, Any]

SAY = tuple(
    Generate((Message("user", text),), max_tokens=6)
    for text in ("De gemeente beslist", "Waar is het loket?", "Ja of Nee", "Het loket")
)
WEIGH = tuple(
    Loglikelihood(continuation, context=context)
    for context, continuation in (
        ("De gemeente", " beslist op uw bezwaar."),
        ("De gemeente", " belt haar secretaresse."),
        ("Antwoord:", " het loket"),
        ("Mijn buurman komt", " uit Zwolle"),
    )
)
LABEL = tuple(Classify({"text": text}) for text in ("Wat fijn.", "Wat naar.", "De wet.", "Ja."))
OF: Mapping[Capability, tuple[Request, ...]] = {
    Capability.GENERATE: SAY,
    Capability.LOGLIKELIHOOD: WEIGH,
    Capability.CLASSIFY: LABEL,
}
ROWS = tuple(Classify({"leeftijd": age, "kinderen": n}) for age, n in ((31, 0), (52, 2), (67, 1)))
# Too long for every tiny model; a service is told to refuse it.
ENDLESS = "bezwaar " * 3000
IMPOSSIBLE: Mapping[Capability, Request] = {
    Capability.GENERATE: Generate((Message("user", ENDLESS),), max_tokens=6),
    Capability.LOGLIKELIHOOD: Loglikelihood(" ja", context=ENDLESS),
    Capability.CLASSIFY: Classify({"text": ENDLESS}),
}
NO_ROW = Classify({"leeftijd": "onbekend", "kinderen": 0})


@dataclass(frozen=True)
class Kind:
    """One kind of candidate, made for the test."""

    adapter: str
    card: Raw
    folder: Path

    def spec(self, **settings: Any) -> CandidateSpec:
        raw = {"title": "Kandidaat", "licence": "EUPL-1.2", "adapter": {"name": self.adapter}}
        return parse(CandidateSpec, raw | self.card | settings, "kaart.yaml")

    @contextmanager
    def opened(self) -> Iterator[Candidate]:
        spec = self.spec()
        adapter = load_adapter(Card("kandidaat", self.folder / "kaart.yaml", spec))
        with closing(adapter.open(spec, self.folder)) as candidate:
            yield candidate

    @property
    def capabilities(self) -> frozenset[Capability]:
        spec = self.spec()
        return load_adapter(Card("kandidaat", self.folder / "k.yaml", spec)).capabilities

    @property
    def requests(self) -> list[Request]:
        if self.adapter == "tabular":
            return list(ROWS)
        return [request for kind in sorted(self.capabilities) for request in OF[kind]]

    @property
    def impossible(self) -> list[Request]:
        """What it offers, asked so that it cannot answer; and what it does not offer."""
        offered = self.capabilities
        own = [IMPOSSIBLE[capability] for capability in sorted(offered)]
        others = [OF[capability][0] for capability in sorted(set(OF) - offered)]
        return [NO_ROW, *others] if self.adapter == "tabular" else own + others


def _of_weights(fixture: str) -> Callable[[pytest.FixtureRequest, Path], Raw]:
    def make(request: pytest.FixtureRequest, _folder: Path) -> Raw:
        return {"weights": {"source": "path", "path": str(request.getfixturevalue(fixture))}}

    return make


def _chat(body: Raw, handler: Handler) -> None:
    asked = body["messages"][-1]["content"]
    if ENDLESS in asked:
        handler.reply(400, {"error": {"message": "longer than the context"}})
    else:
        handler.reply(200, said(asked[::-1]))


def _completions(body: Raw, handler: Handler) -> None:
    if ENDLESS in body["prompt"]:
        handler.reply(400, {"error": {"message": "longer than the context"}})
    elif body.get("echo"):
        handler.reply(200, echoed(body["prompt"]))
    else:
        choice = {"text": body["prompt"][::-1], "finish_reason": "stop"}
        handler.reply(200, {"model": "stub-1", "choices": [choice]})


def _of_service(act: Callable[[Raw, Handler], None]) -> Callable[..., Raw]:
    def make(request: pytest.FixtureRequest, _folder: Path) -> Raw:
        serve: Serve = request.getfixturevalue("serve")
        return {"endpoint": {"url": serve(act).url, "model": "model-x"}}

    return make


def _application(_request: pytest.FixtureRequest, folder: Path) -> Raw:
    """The application of tests/rag_application.py, which refuses what is too long."""
    source = Path(rag_application.__file__).read_text(encoding="utf-8")
    (folder / "toepassing.py").write_text(
        source + "\n\ndef bounded(messages, *, tenant, session):\n"
        "    if len(messages[-1]['content']) > 9000:\n"
        "        raise ValueError('too long')\n"
        "    return answer(messages, tenant=tenant, session=session)\n",
        encoding="utf-8",
    )
    return {"function": {"file": "toepassing.py", "name": "bounded", "tenant": "noord"}}


def _table(_request: pytest.FixtureRequest, folder: Path) -> Raw:
    """A small logistic regression as ONNX, which brings no code."""
    pytest.importorskip("onnxruntime")
    skl2onnx = pytest.importorskip("skl2onnx")
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    rows = [[float(age), float(age % 3)] for age in range(20, 80)]
    model = make_pipeline(FunctionTransformer(), LogisticRegression())
    model.fit(rows, ["ja" if age > 45 else "nee" for age, _ in rows])
    columns = [(name, FloatTensorType([None, 1])) for name in ("leeftijd", "kinderen")]
    made = skl2onnx.to_onnx(model, initial_types=columns, options={"zipmap": False})
    (folder / "tabel.onnx").write_bytes(made.SerializeToString())
    return {
        "weights": {"source": "path", "path": "tabel.onnx"},
        "table": {"classes": ["ja", "nee"]},
    }


def _script(_request: pytest.FixtureRequest, _folder: Path) -> Raw:
    script = {
        "otherwise": "Ja",
        "labels": {"fijn": {"goed": 0.9, "slecht": 0.1}, ".": {"goed": 0.4, "slecht": 0.6}},
        "fails": {ENDLESS: "too long"},
    }
    return {"adapter": {"name": "scripted", "args": script}}


MADE: Mapping[str, Callable[[pytest.FixtureRequest, Path], Raw]] = {
    "causal": _of_weights("tiny_model"),
    "seq2seq": _of_weights("tiny_t5"),
    "masked": _of_weights("tiny_bert"),
    "classifier": _of_weights("tiny_classifier"),
    "chat": _of_service(_chat),
    "completions": _of_service(_completions),
    "system": _application,
    "tabular": _table,
    "scripted": _script,
}


@pytest.fixture(params=sorted(MADE))
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    return Kind(request.param, MADE[request.param](request, tmp_path), tmp_path)


def test_every_adapter_is_held_to_the_contract() -> None:
    assert set(MADE) == set(BUILT_IN["adapters"])


def close(one: Response, other: Response) -> bool:
    """Are two answers the same, but for what rounding in another company may do?"""
    match one, other:
        case Likelihood(), Likelihood():
            same = replace(one, total=0.0) == replace(other, total=0.0)
            return same and abs(one.total - other.total) <= 1e-4
        case Classification(), Classification():
            pairs = zip(one.probabilities.items(), other.probabilities.items(), strict=True)
            return one.label == other.label and all(
                a[0] == b[0] and abs(a[1] - b[1]) <= 1e-6 for a, b in pairs
            )
        case _:
            return one == other


def test_answers_are_of_the_kind_that_was_asked(kind: Kind) -> None:
    expected = {"generate": Generation, "loglikelihood": Likelihood, "classify": Classification}
    with kind.opened() as candidate:
        answers = candidate.answer(kind.requests)
    assert [type(answer) for answer in answers] == [expected[r.kind] for r in kind.requests]


def test_answers_come_in_the_order_asked_whatever_stands_beside(kind: Kind) -> None:
    """Each request alone, then all of them shuffled, some twice."""
    with kind.opened() as candidate:
        alone = {repr(request): candidate.answer([request])[0] for request in kind.requests}
        mixed = kind.requests * 2
        random.Random(5).shuffle(mixed)  # noqa: S311 - an order, no secret
        answers = candidate.answer(mixed)
    assert len(answers) == len(mixed)
    for request, answer in zip(mixed, answers, strict=True):
        assert close(answer, alone[repr(request)]), request


def test_nothing_asked_is_nothing_answered(kind: Kind) -> None:
    with kind.opened() as candidate:
        assert list(candidate.answer([])) == []


def test_what_cannot_be_answered_is_a_failure_and_disturbs_nobody(kind: Kind) -> None:
    """In the middle of others: too long, and of a kind that the candidate does not answer."""
    impossible, requests = kind.impossible, kind.requests
    with kind.opened() as candidate:
        undisturbed = candidate.answer(requests)
        middle = len(requests) // 2
        answers = candidate.answer([*requests[:middle], *impossible, *requests[middle:]])
    failed = answers[middle : middle + len(impossible)]
    assert all(isinstance(answer, Failure) and answer.reason for answer in failed), failed
    others = [*answers[:middle], *answers[middle + len(impossible) :]]
    assert all(map(close, others, undisturbed))


def test_who_is_opened_again_says_the_same(kind: Kind) -> None:
    """Greedy answers of one process, twice, and of the candidate opened anew."""
    with kind.opened() as candidate:
        first, again = candidate.answer(kind.requests), candidate.answer(kind.requests)
    with kind.opened() as candidate:
        anew = candidate.answer(kind.requests)
    assert list(first) == list(again) == list(anew)


def test_what_answered_is_described_in_words(kind: Kind) -> None:
    with kind.opened() as candidate:
        described = candidate.describe()
    assert described["adapter"] == kind.adapter
    assert all(isinstance(value, str) and value for value in described.values())


# --- the fingerprint -------------------------------------------------------------------------

# Another value for every key of a card. None: it says something about the candidate, or of how it
# is paced, and changes no answer.
CHANGED: Mapping[str, Any] = {
    "title": None,
    "licence": None,
    "languages": None,
    "verified": None,
    "notes": None,
    "dtype": "bfloat16",
    "device": "cuda",
    "chat_template": True,
    "system_prompt": "Antwoord kort.",
    "context_length": 64,
    "sampling": {"temperature": 0.7},
    "engine": "plain",
    "attention": "eager",
    "compile": True,
    "threads": 1,
    "tokens_per_batch": 512,
    "batch_size": 3,
    "trust_remote_code": True,
    "quantisation": "8bit",
    "labels": {"LABEL_0": "nee", "LABEL_1": "ja"},
}
ABOUT: Mapping[str, Any] = {
    "title": "Anders",
    "licence": "MIT",
    "languages": ["nl"],
    "verified": True,
    "notes": {"nl": "Let op.", "en": "Mind."},
}
# Where the candidate itself is: each adapter's own tests change these.
WHO = {"adapter", "weights", "lora", "trusted", "table", "endpoint", "route", "function"}


def fingerprint(spec: CandidateSpec, folder: Path) -> str:
    return make_plan(Card("kandidaat", folder / "kaart.yaml", spec), [], seed=1).fingerprint


def test_every_key_of_a_card_is_known_to_change_an_answer_or_not() -> None:
    assert set(CHANGED) | WHO == set(CandidateSpec.model_fields)
    assert {key for key, value in CHANGED.items() if value is None} == set(ABOUT)


@pytest.mark.parametrize("key", sorted(CHANGED))
def test_the_fingerprint_changes_with_what_can_change_an_answer(
    key: str, tiny_model: Path, tmp_path: Path
) -> None:
    if key == "quantisation":
        pytest.importorskip("bitsandbytes")
    weights = {"weights": {"source": "path", "path": str(tiny_model)}}
    # Labels are those of a classifier; to other adapters they mean nothing and are refused.
    kind = Kind("classifier" if key == "labels" else "causal", weights, tmp_path)
    changes = CHANGED[key] is not None
    value = CHANGED[key] if changes else ABOUT[key]
    before = fingerprint(kind.spec(), tmp_path)
    after = fingerprint(kind.spec(**{key: value}), tmp_path)
    assert (before != after) is changes


def test_the_fingerprint_changes_with_the_weights_the_tokenizer_and_the_template(
    tiny_model: Path, tmp_path: Path
) -> None:
    """A byte in any file that decides what is said; a file that decides nothing does not count."""
    folder = tmp_path / "gewichten"
    folder.mkdir()
    for file in tiny_model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    causal = Kind("causal", {"weights": {"source": "path", "path": str(folder)}}, tmp_path)
    seen = [fingerprint(causal.spec(), tmp_path)]
    for name in ("model.safetensors", "tokenizer.json", "chat_template.jinja", "config.json"):
        with (folder / name).open("ab") as file:
            file.write(b" ")
        seen.append(fingerprint(causal.spec(), tmp_path))
    assert len(set(seen)) == len(seen)
    (folder / "README.md").write_text("Nothing.")
    assert fingerprint(causal.spec(), tmp_path) == seen[-1]


def test_two_adapters_never_share_a_fingerprint(tiny_bert: Path, tmp_path: Path) -> None:
    """The same weights, asked in another way, are another candidate."""
    weights = {"weights": {"source": "path", "path": str(tiny_bert)}}
    found: Sequence[str] = [
        fingerprint(Kind(name, weights, tmp_path).spec(), tmp_path)
        for name in ("masked", "classifier")
    ]
    assert len(set(found)) == 2
