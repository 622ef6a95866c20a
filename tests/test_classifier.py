"""Text classifiers: every label's probability, whatever else is in the batch, and no guesses."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner

from toetssteen.candidates import Candidate
from toetssteen.candidates.adapters import (
    CausalAdapter,
    ChatAdapter,
    ClassifierAdapter,
    MaskedAdapter,
)
from toetssteen.cli import main
from toetssteen.errors import CandidateError, ContentError
from toetssteen.records import Classification, Classify, Failure, Generate, Request
from toetssteen.spec import CandidateSpec, parse

torch = pytest.importorskip("torch")

TEXTS = [
    "Ik maak bezwaar tegen uw besluit.",
    "Is het loket op maandag open?",
    "Bezwaar",
    "Kan ik een afspraak maken? Ik vraag een paspoort aan, en dank voor de snelle hulp.",
    "De boete klopt niet.",
]
HATECHECK = "df67042194bf33837e77126aa994e01201d84edec8f0b46acec8fed0322d595d"


def card(folder: Path, **settings: Any) -> CandidateSpec:
    raw = {
        "title": "Tiny",
        "adapter": {"name": "classifier"},
        "licence": "EUPL-1.2",
        "weights": {"source": "path", "path": str(folder)},
    }
    return parse(CandidateSpec, raw | settings, "tiny.yaml")


def opened(folder: Path, **settings: Any) -> Candidate:
    return ClassifierAdapter().open(card(folder, **settings), folder)


def asked(texts: list[str]) -> list[Request]:
    return [Classify({"text": text}) for text in texts]


def classified(candidate: Candidate, texts: list[str]) -> list[Classification]:
    return [a for a in candidate.answer(asked(texts)) if isinstance(a, Classification)]


@pytest.fixture
def spoilt(tiny_classifier: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may spoil."""
    folder = tmp_path / "spoilt"
    shutil.copytree(tiny_classifier, folder)
    return folder


def configure(folder: Path, **changed: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


# --- probabilities -----------------------------------------------------------------------------


def test_probabilities_equal_a_loop_in_double_precision(tiny_classifier: Path) -> None:
    """One text at a time: exp(logit) over the sum; the decision is the likeliest label."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_classifier)
    model = AutoModelForSequenceClassification.from_pretrained(
        tiny_classifier, dtype=torch.float64
    ).eval()
    answers = classified(opened(tiny_classifier), TEXTS)
    for text, answer in zip(TEXTS, answers, strict=True):
        with torch.inference_mode():
            logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
        expected = (logits.exp() / logits.exp().sum()).tolist()
        assert list(answer.probabilities) == ["LABEL_0", "LABEL_1"]
        assert list(answer.probabilities.values()) == pytest.approx(expected, abs=1e-6)
        assert answer.label == ("LABEL_1" if expected[1] > expected[0] else "LABEL_0")
    assert {answer.label for answer in answers} == {"LABEL_0", "LABEL_1"}


@pytest.mark.parametrize(
    "settings", [{"batch_size": 1}, {"batch_size": 2}, {"tokens_per_batch": 16}, {}], ids=str
)
def test_company_and_order_change_no_probability(
    tiny_classifier: Path, settings: dict[str, Any]
) -> None:
    alone = [classified(opened(tiny_classifier), [text])[0] for text in TEXTS]
    together = classified(opened(tiny_classifier, **settings), TEXTS[::-1])[::-1]
    again = classified(opened(tiny_classifier, **settings), TEXTS[::-1])[::-1]
    assert together == again
    for one, other in zip(alone, together, strict=True):
        assert other.label == one.label
        assert other.probabilities == pytest.approx(dict(one.probabilities), abs=1e-6)


@pytest.mark.parametrize("pad", [0, None], ids=["with padding", "without"])
def test_a_classifier_made_from_a_decoder_reads_the_end_of_each_text(
    pad: int | None, tiny_model: Path, tmp_path: Path
) -> None:
    """It decides at the last token; without a token to fill rows, texts go one at a time."""
    from transformers import AutoTokenizer, GPT2Config, GPT2ForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    torch.manual_seed(2)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=96,
        num_labels=3,
        pad_token_id=pad,
        bos_token_id=0,
        eos_token_id=1,
        initializer_range=0.3,
    )
    model = GPT2ForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    answers = classified(opened(tmp_path), TEXTS)
    for text, answer in zip(TEXTS, answers, strict=True):
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([tokenizer(text).input_ids])).logits[0]
        expected = logits.softmax(-1).tolist()
        assert list(answer.probabilities.values()) == pytest.approx(expected, abs=1e-6)


def test_a_model_that_looks_past_its_padding_reads_texts_of_one_length_together(
    tiny_model: Path, tmp_path: Path
) -> None:
    """XLNet decides at the last place, knows kinds of tokens, and its positions do not end."""
    from tokenizers import processors
    from transformers import (
        AutoTokenizer,
        PreTrainedTokenizerFast,
        XLNetConfig,
        XLNetForSequenceClassification,
    )

    raw = AutoTokenizer.from_pretrained(tiny_model).backend_tokenizer
    raw.post_processor = processors.TemplateProcessing(
        single="$A </s>:2", special_tokens=[("</s>", 1)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<s>",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    torch.manual_seed(2)
    config = XLNetConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        n_layer=2,
        n_head=4,
        d_inner=64,
        initializer_range=0.3,
        pad_token_id=0,
    )
    model = XLNetForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    candidate: Any = opened(tmp_path)
    assert not candidate._pads
    assert candidate.describe()["context_length"] == "512"
    for text, answer in zip(TEXTS, classified(candidate, TEXTS), strict=True):
        given = tokenizer(text, return_tensors="pt")
        assert given["token_type_ids"][0, -1] == 2
        with torch.inference_mode():
            expected = model(**given).logits[0].softmax(-1).tolist()
        assert list(answer.probabilities.values()) == pytest.approx(expected, abs=1e-6)


def test_a_shortage_of_memory_changes_no_probability(
    tiny_classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = classified(opened(tiny_classifier), TEXTS)
    candidate: Any = opened(tiny_classifier)
    forward, tried = candidate._model.forward, []

    def short(*given: Any, **more: Any) -> Any:
        tried.append(len(more["input_ids"]))
        if len(tried) == 1 or more["input_ids"].shape[1] > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*given, **more)

    monkeypatch.setattr(candidate._model, "forward", short)
    answers = candidate.answer(asked(TEXTS))
    assert isinstance(answers[3], Failure)
    assert answers[3].reason.endswith("do not fit the memory that is free")
    del answers[3], expected[3]
    for one, other in zip(answers, expected, strict=True):
        assert one.label == other.label
        assert one.probabilities == pytest.approx(dict(other.probabilities), abs=1e-6)
    assert candidate.describe()["out_of_memory"].startswith("3 times")


# --- labels ------------------------------------------------------------------------------------


def test_the_card_renames_the_labels(tiny_classifier: Path) -> None:
    """In the model's order, whatever the order on the card."""
    renamed = opened(tiny_classifier, labels={"LABEL_1": "ja", "LABEL_0": "nee"})
    (answer,) = classified(renamed, TEXTS[:1])
    (own,) = classified(opened(tiny_classifier), TEXTS[:1])
    assert (answer.label, own.label) == ("ja", "LABEL_1")
    assert list(answer.probabilities) == ["nee", "ja"]
    assert list(answer.probabilities.values()) == list(own.probabilities.values())
    assert renamed.describe()["labels"] == "nee, ja"


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            {"LABEL_0": "nee", "LABEL_11": "ja"},
            (
                "labels.LABEL_11: is no label of the model, which has LABEL_0, LABEL_1; did you "
                "mean 'LABEL_1'?"
            ),
        ),
        (
            {"LABEL_1": "ja"},
            "labels: the model has 2 labels and the card names 1; LABEL_0 should have a name too",
        ),
        (
            {"LABEL_0": "ja", "LABEL_1": "ja"},
            "labels: LABEL_0, LABEL_1 are renamed to the same, ja",
        ),
    ],
    ids=["unknown", "more classes than the card names", "two the same"],
)
def test_labels_that_are_not_the_models_are_one_clear_line(
    labels: dict[str, str], said: str, tiny_classifier: Path
) -> None:
    with pytest.raises(CandidateError) as raised:
        opened(tiny_classifier, labels=labels)
    assert str(raised.value) == f"{tiny_classifier}: {said}"


def test_a_label_that_yaml_takes_for_yes_or_no_is_said(tiny_classifier: Path) -> None:
    with pytest.raises(ContentError, match=r"labels\.LABEL_0: should be"):
        card(tiny_classifier, labels={"LABEL_0": False, "LABEL_1": "ja"})


def test_labels_on_another_kind_of_candidate_are_refused(
    tiny_classifier: Path, tiny_model: Path
) -> None:
    """They would change nothing, and yet the fingerprint."""
    labels = {"LABEL_0": "nee", "LABEL_1": "ja"}
    for name, adapter in (("causal", CausalAdapter()), ("masked", MaskedAdapter())):
        other = card(tiny_model, labels=labels, adapter={"name": name})
        with pytest.raises(ContentError, match=f"labels: means nothing to the adapter {name}"):
            adapter.identify(other, tiny_model)
    service = {"url": "http://localhost:1/v1", "model": "m"}
    spoken = card(tiny_model, labels=labels, adapter={"name": "chat"}, endpoint=service)
    with pytest.raises(ContentError, match="labels: means nothing to the adapter chat"):
        ChatAdapter().identify(spoken, tiny_model)
    for key in ({"system_prompt": "Zeg ja."}, {"sampling": {}}, {"chat_template": True}):
        with pytest.raises(ContentError, match="means nothing to the adapter classifier"):
            ClassifierAdapter().identify(card(tiny_classifier, **key), tiny_classifier)


# --- what cannot be asked ----------------------------------------------------------------------


def test_what_cannot_be_classified_is_a_failure_in_its_place(tiny_classifier: Path) -> None:
    requests: list[Request] = [
        Classify({"text": "bezwaar " * 200}),
        Classify({"text": "Ja", "leeftijd": 40}),
        Classify({"leeftijd": 40}),
        Classify({}),
        Classify({"text": None}),
        Classify({"text": 3}),
        Classify({"text": " \n"}),
        Generate((), 4),
        Classify({"text": TEXTS[0]}),
    ]
    long, *others, fine = opened(tiny_classifier).answer(requests)
    assert isinstance(long, Failure)
    assert long.why == "too_long"
    assert long.reason.endswith("the model holds 96")
    alone = "a text classifier reads the field text alone, not "
    assert others == [
        Failure("error", reason)
        for reason in (
            f"{alone}text, leeftijd",
            f"{alone}leeftijd",
            f"{alone}nothing",
            "the text to classify should be text, not None",
            "the text to classify should be text, not 3",
            "the text to classify is empty",
            "a text classifier answers no generate request",
        )
    ]
    assert isinstance(fine, Classification)


def test_a_probability_that_is_no_number_is_a_failure_of_that_text(spoilt: Path) -> None:
    """One word whose embedding overflowed: its text fails, its neighbours do not."""
    from transformers import AutoTokenizer

    candidate: Any = opened(spoilt)
    tokenizer = AutoTokenizer.from_pretrained(spoilt)
    word = tokenizer.convert_tokens_to_ids("bezwaar")
    candidate._model.get_input_embeddings().weight.data[word] = float("nan")
    first, second, third, *_ = candidate.answer(asked(TEXTS))
    assert first == third
    assert first == Failure("error", "the model gives no finite probability for the labels")
    assert isinstance(second, Classification)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"problem_type": "multi_label_classification"}, "gives several labels at once"),
        ({"problem_type": "regression"}, "gives one number"),
        ({"id2label": {"0": "ja", "1": "ja"}}, "gives two labels the same name"),
        ({"id2label": {"0": "a", "1": "b", "2": "c"}}, "cannot be loaded"),
    ],
    ids=["several labels", "regression", "one name twice", "more classes than weights"],
)
def test_a_model_that_chooses_no_label_of_several_is_refused(
    changed: dict[str, Any], said: str, spoilt: Path
) -> None:
    configure(spoilt, **changed)
    with pytest.raises(CandidateError, match=said) as raised:
        opened(spoilt)
    assert "\n" not in str(raised.value)


def test_a_head_of_one_number_is_refused(tmp_path: Path, tiny_classifier: Path) -> None:
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    config = BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, vocab_size=200, num_labels=1
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_classifier).save_pretrained(tmp_path)
    with pytest.raises(CandidateError, match="gives one number"):
        opened(tmp_path)


def test_a_model_without_a_head_for_labels_is_not_given_a_random_one(tiny_bert: Path) -> None:
    """The library would draw one and go on."""
    with pytest.raises(CandidateError, match=r"the weights lack .* and 3 more; was this model"):
        opened(tiny_bert)


def test_a_gguf_file_is_no_classifier(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    with pytest.raises(CandidateError, match="from safetensors, not from GGUF"):
        opened(tmp_path, weights={"source": "path", "path": str(file)})


# --- end to end --------------------------------------------------------------------------------

TASK = """
version: 1
title: {nl: Kwetsend of niet, en: Hateful or not}
licence: CC-BY-4.0
source: test
items: {name: jsonl, args: {file: cases.jsonl}}
scorer:
  name: label
  args: {labels: [non-hateful, hateful], truth: gold, positive: hateful, text: said}
metrics:
  - {name: label_rate, id: accuracy, args: {measure: accuracy}}
  - {name: label_rate, id: true_positive_rate, args: {measure: true_positive_rate}}
  - {name: label_rate, id: false_positive_rate, args: {measure: false_positive_rate}}
groups: [target]
"""
CARD = """
title: Tiny classifier
adapter: {name: classifier}
weights: {source: path, path: weights}
licence: EUPL-1.2
"""


def run(lab: Path, monkeypatch: pytest.MonkeyPatch, labels: str) -> dict[str, dict[str, Any]]:
    """Run the task on the lab's candidate; return the estimates over all items by metric."""
    (lab / "models" / "tiny.yaml").write_text(CARD + labels)
    monkeypatch.chdir(lab)
    words = ["run", "lab/cases", "--path", ".", "-c", "tiny", "--no-tracking"]
    ran = CliRunner().invoke(main, words, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    (folder,) = (lab / "runs").iterdir()
    record = json.loads((folder / "results.json").read_text())
    (task,) = record["tasks"]
    return {r["metric"]: r["estimate"] for r in task["results"] if not r["group"]}


def make_lab(folder: Path, weights: Path, rows: list[dict[str, str]]) -> Path:
    (folder / "suites" / "lab").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "suites" / "lab" / "cases.yaml").write_text(TASK)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "suites" / "lab" / "cases.jsonl").write_text(lines, encoding="utf-8")
    shutil.copytree(weights, folder / "models" / "weights")
    return folder


def test_labels_that_the_task_does_not_know_make_a_run_uninformative(
    tiny_classifier: Path, cache_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one number, and the reason says which label came and where to rename it."""
    assert cache_folder
    rows = [
        {"id": str(i), "said": f"{text} {i}", "gold": "hateful", "target": "x"}
        for i, text in enumerate(TEXTS * 2)
    ]
    estimates = run(make_lab(tmp_path / "lab", tiny_classifier, rows), monkeypatch, "")
    assert len(estimates) == 3
    for estimate in estimates.values():
        assert (estimate["status"], estimate["value"]) == ("uninformative", None)
        assert (estimate["n"], estimate["unscored"]) == (0, 10)
        assert "10 off_format" in estimate["reason"]
        assert "'LABEL_1' is none of the task's (non-hateful, hateful)" in estimate["reason"]
        assert "a card can rename labels under `labels`" in estimate["reason"]


def test_a_classifier_taught_on_hatecheck_runs_end_to_end(
    teach_classifier: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its rates over cases that it was not taught are those of a plain loop over the model."""
    mirror = os.environ.get("TOETS_MIRROR")
    if not mirror or not (file := Path(mirror) / "sha256" / HATECHECK).is_file():
        pytest.skip("HateCheck-NL is not in TOETS_MIRROR")
    monkeypatch.setenv("TOETS_CACHE", str(tmp_path / "cache"))
    with file.open(encoding="utf-8", newline="") as lines:
        cases = [row for row in csv.DictReader(lines) if row["target_ident"]]
    Random(3).shuffle(cases)  # noqa: S311 - which cases are taught is no secret
    taught, kept = cases[:2400], cases[2400:2700]
    texts = [row["test_case"] for row in taught]
    gold = [int(row["label_gold"] == "hateful") for row in taught]
    weights = tmp_path / "weights"
    weights.mkdir()
    teach_classifier(weights, texts, gold, steps=150, words=1500)
    rows = [
        {
            "id": row["mhc_case_id"],
            "said": row["test_case"],
            "gold": row["label_gold"],
            "target": row["target_ident"].replace(" ", "_"),
        }
        for row in kept
    ]
    lab = make_lab(tmp_path / "lab", weights, rows)
    estimates = run(lab, monkeypatch, "labels: {LABEL_0: non-hateful, LABEL_1: hateful}\n")
    expected = by_hand(weights, rows)
    for measure, (value, n) in expected.items():
        assert estimates[measure]["status"] == "measured"
        assert estimates[measure]["value"] == pytest.approx(value)
        assert estimates[measure]["n"] == n
    assert expected["true_positive_rate"][0] > expected["false_positive_rate"][0] + 0.2


def by_hand(weights: Path, rows: list[dict[str, str]]) -> dict[str, tuple[float, int]]:
    """Classify one text at a time with transformers, and count."""
    from transformers import AutoTokenizer, BertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(weights)
    model = BertForSequenceClassification.from_pretrained(weights).eval()
    decided = []
    for row in rows:
        with torch.inference_mode():
            logits = model(**tokenizer(row["said"], return_tensors="pt")).logits[0]
        decided.append(bool(logits[1] > logits[0]))
    hateful = [row["gold"] == "hateful" for row in rows]
    of_hateful = [d for d, h in zip(decided, hateful, strict=True) if h]
    of_others = [d for d, h in zip(decided, hateful, strict=True) if not h]
    right = sum(d == h for d, h in zip(decided, hateful, strict=True))
    return {
        "accuracy": (right / len(rows), len(rows)),
        "true_positive_rate": (sum(of_hateful) / len(of_hateful), len(of_hateful)),
        "false_positive_rate": (sum(of_others) / len(of_others), len(of_others)),
    }
