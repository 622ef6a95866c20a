"""The engine of encoder-decoders: every prompt is read once, what is said to it is batched apart.

Prompts and answers are padded on the right, where neither side looks.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from transformers import LogitsProcessorList, StoppingCriteriaList
from transformers.modeling_outputs import BaseModelOutput

from toetssteen.candidates.engines.budget import Budget, each_batch, no_room
from toetssteen.candidates.engines.plain import PADDING_TOLERANCE, Choosing, Finished
from toetssteen.candidates.engines.reading import Scored, likelihood, read_tokens
from toetssteen.candidates.engines.speaking import BENDING, Speaker
from toetssteen.candidates.engines.trees import Tokens
from toetssteen.errors import CandidateError
from toetssteen.records import Failure, Likelihood

# What torch and transformers make; their types cost a minute to check and say little here.
Tensor = Any
Model = Any
Row = TypeVar("Row")
# Of the distributions that are computed together; those of mT5 have 250,000 numbers each.
BYTES_OF_LOGITS = 2**28


@dataclass(frozen=True, slots=True)
class Starts:
    """What the decoder is given before the first token of an answer."""

    read: Tokens  # that is read
    said: Tokens  # that is said


@dataclass(frozen=True, slots=True)
class _Heard:
    """Some prompts, as the encoder left them."""

    hidden: Tensor  # (prompts, longest, width)
    mask: Tensor  # (prompts, longest)
    row: Mapping[Tokens, int]

    def of(self, prompts: Sequence[Tokens]) -> dict[str, Any]:
        """Return what the decoder looks at, one row for each of these prompts."""
        # On no device: layers may lie on several, and an index may come from outside.
        rows = torch.tensor([self.row[prompt] for prompt in prompts])
        width = max(len(prompt) for prompt in prompts)
        return {
            "encoder_outputs": BaseModelOutput(last_hidden_state=self.hidden[rows, :width]),
            "attention_mask": self.mask[rows, :width],
        }


class TwoSided:
    """An encoder-decoder of transformers, as it is."""

    def __init__(self, model: Model, budget: Budget, *, rows: int, pad: int) -> None:
        """Wrap a loaded model.

        Args:
            model: loaded.
            budget: tokens a batch, padding included.
            rows: at most so many side by side.
            pad: the token that fills short rows.

        Raises:
            CandidateError: it cannot be asked like this; a trial shows it.
        """
        self._model = model
        self._budget = budget
        self._rows = rows
        self._pad = pad
        words = model.config.get_text_config(decoder=True).vocab_size
        self._positions = max(1, BYTES_OF_LOGITS // (4 * words))
        # If not, only prompts of one length stand together.
        self.pads = self._tried()

    @torch.inference_mode()
    def score(
        self, asked: Sequence[Scored], start: Tokens
    ) -> Mapping[Scored, Likelihood | Failure]:
        """Score continuations; what several of them answer to is read once.

        Args:
            asked: prompts with continuations.
            start: what the decoder is given before each continuation.
        """
        by_prompt: dict[Tokens, set[Scored]] = defaultdict(set)
        for scored in asked:
            by_prompt[scored.context].add(scored)
        results: dict[Scored, Likelihood | Failure] = {}

        def give_up(scored: Scored) -> None:
            results[scored] = no_room(len(scored.context) + len(scored.continuation))

        def work(prompts: Sequence[Tokens]) -> None:
            heard = self._hear(prompts)
            waiting = (scored for prompt in prompts for scored in by_prompt[prompt])
            each_batch(
                self._answers(waiting, len(start)),
                lambda batch: results.update(self._read(heard, batch, start)),
                budget=self._budget,
                give_up=give_up,
            )

        def give_all_up(prompt: Tokens) -> None:
            for scored in by_prompt[prompt]:
                give_up(scored)

        each_batch(
            self._batches(by_prompt, key=tuple), work, budget=self._budget, give_up=give_all_up
        )
        return results

    @torch.inference_mode()
    def say(self, speakers: Sequence[Speaker], start: Tokens) -> Mapping[int, Failure]:
        """Let every speaker finish; return those, by place, that do not fit the memory.

        Args:
            speakers: with the prompts that the encoder reads.
            start: what the decoder is given before each answer.
        """
        failed: dict[int, Failure] = {}
        each_batch(
            self._batches(range(len(speakers)), key=lambda i: speakers[i].prompt.tokens),
            lambda places: self._converse([speakers[place] for place in places], start),
            budget=self._budget,
            give_up=lambda place: failed.update({place: no_room(len(speakers[place].tokens))}),
        )
        return failed

    # --- the two sides -----------------------------------------------------------------------

    def _hear(self, prompts: Iterable[Tokens]) -> _Heard:
        """Let the encoder read some prompts, each once."""
        row = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts))}
        ids, mask = self._padded(list(row))
        out = self._model.get_encoder()(input_ids=ids, attention_mask=mask, return_dict=True)
        return _Heard(out.last_hidden_state, mask, row)

    def _read(
        self, heard: _Heard, batch: Sequence[Scored], start: Tokens
    ) -> Iterator[tuple[Scored, Likelihood]]:
        """Read continuations off what the decoder expects."""
        logits = self._logits(
            heard.of([scored.context for scored in batch]),
            [(*start, *scored.continuation[:-1]) for scored in batch],
        )
        each = [(i, at) for i, s in enumerate(batch) for at in range(len(s.continuation))]
        rows = torch.tensor([i for i, _ in each])
        places = torch.tensor([len(start) - 1 + at for _, at in each])
        targets = torch.tensor([t for s in batch for t in s.continuation], device=logits.device)
        read = read_tokens(
            logits[rows, places],
            torch.arange(len(each), device=logits.device),
            targets,
            per_token=any(scored.per_token for scored in batch),
        )
        done = 0
        for scored in batch:
            until = done + len(scored.continuation)
            yield scored, likelihood(scored, read[done:until])
            done = until

    def _converse(self, speakers: Sequence[Speaker], start: Tokens) -> None:
        # Who ran out of memory before begins again: answers under way are of unlike lengths.
        unfinished = [s for s in speakers if s.finish is None]
        if not unfinished:
            return
        for speaker in unfinished:
            speaker.begin_again()
        prompts = [s.prompt.tokens for s in unfinished]
        self._model.generate(
            **self._hear(prompts).of(prompts),
            decoder_input_ids=torch.tensor([start] * len(unfinished), device=self._model.device),
            max_new_tokens=max(s.prompt.max_tokens for s in unfinished),
            do_sample=False,
            pad_token_id=self._pad,
            logits_processor=LogitsProcessorList([Choosing(unfinished, self._pad)]),
            stopping_criteria=StoppingCriteriaList([Finished(unfinished)]),
            # The start holds the first; the other would make an answer cut short look whole.
            forced_bos_token_id=None,
            forced_eos_token_id=None,
            **BENDING,
        )

    def _logits(self, given: Mapping[str, Any], rows: Sequence[Tokens]) -> Tensor:
        """Return what the decoder expects behind every token, having been given the prompts."""
        ids, mask = self._padded(rows)
        return self._model(
            **given, decoder_input_ids=ids, decoder_attention_mask=mask, use_cache=False
        ).logits

    def _padded(self, rows: Sequence[Tokens]) -> tuple[Tensor, Tensor]:
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), self._pad)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
        return ids.to(self._model.device), mask.to(self._model.device)

    def _tried(self) -> bool:
        """Say if unlike prompts may stand together, after a trial against the model's own forward.

        Raises:
            CandidateError: the model answers otherwise even when prompts stand apart.
        """
        prompts = [tuple(range(2, 26)), tuple(range(7, 16))]
        try:
            if self._holds(prompts):
                return True
            if all(self._holds([prompt]) for prompt in prompts):
                return False  # some look further than their mask
            why = "it answers otherwise then"
        # Whatever a model does with what it does not expect, the answer is the same.
        except Exception as error:  # noqa: BLE001
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        kind = type(self._model).__name__
        raise CandidateError(f"{kind}: what it reads and says cannot be computed apart ({why})")

    @torch.inference_mode()
    def _holds(self, prompts: list[Tokens]) -> bool:
        """Are the logits those that the model gives for each prompt in one go?"""
        said = [tuple(range(4, 4 + length)) for length in (3, 6)][: len(prompts)]
        batched = self._logits(self._hear(prompts).of(prompts), said)
        for row, (prompt, answer) in enumerate(zip(prompts, said, strict=True)):
            ids, mask = self._padded([prompt])
            alone = self._logits({"input_ids": ids, "attention_mask": mask}, [answer])[0].float()
            apart = float((batched[row, : len(answer)].float() - alone).abs().max())
            # Written so that a number that is none does not hold.
            if not apart <= PADDING_TOLERANCE[self._model.dtype] * (float(alone.std()) or 1.0):
                return False
        return True

    # --- batches -----------------------------------------------------------------------------

    def _batches(
        self, rows: Iterable[Row], *, key: Callable[[Row], Tokens]
    ) -> Iterator[list[Row]]:
        """Cut rows by their prompts of like length; ties in the ids' order, so that runs agree."""
        batch: list[Row] = []
        for row in sorted(rows, key=lambda row: (-len(key(row)), key(row))):
            longest = len(key(batch[0])) if batch else 0
            full = len(batch) >= self._rows or (len(batch) + 1) * longest > self._budget.tokens
            if batch and (full or not (self.pads or len(key(row)) == longest)):
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def _answers(self, asked: Iterable[Scored], start: int) -> Iterator[list[Scored]]:
        """Cut continuations into batches of like length.

        A row takes the tokens that it looks at, too, and its distributions must fit.
        """
        batch: list[Scored] = []
        read = said = 0
        for scored in sorted(asked, key=_order):
            read = max(read, len(scored.context))
            said = max(said, start + len(scored.continuation) - 1)
            rows = len(batch) + 1
            full = rows > self._rows or rows * said > self._positions
            if batch and (full or rows * (read + said) > self._budget.tokens):
                yield batch
                batch = []
                read, said = len(scored.context), start + len(scored.continuation) - 1
            batch.append(scored)
        if batch:
            yield batch


def _order(scored: Scored) -> tuple[int, int, Tokens, Tokens, bool]:
    lengths = (-len(scored.continuation), -len(scored.context))
    return (*lengths, scored.context, scored.continuation, scored.per_token)
