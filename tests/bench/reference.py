"""The plain computation, by transformers alone: one row at a time, nothing shared, nothing kept.

Likelihoods in double precision: the sum over the continuation's tokens of ln P(token | all
before). Tokens by the rule of docs/adr/0004, written down anew rather than taken from the engine.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.utils import logging

Model = Any


class Reference:
    """A model opened twice at most: in double precision to score, in single to continue."""

    def __init__(self, weights: Path) -> None:
        """Read the tokenizer; the model is read when it is first needed."""
        logging.disable_progress_bar()
        self._weights = weights
        self._tokenizer = AutoTokenizer.from_pretrained(weights, local_files_only=True)
        self._models: dict[torch.dtype, Model] = {}

    @torch.inference_mode()
    def likelihood(self, context: str, continuation: str) -> float:
        """Return the log-probability of a continuation, in nats."""
        before, after = self._cut(context, continuation)
        logits = self._model(torch.float64)(input_ids=torch.tensor([before + after])).logits[0]
        read = logits[len(before) - 1 : -1].log_softmax(-1)
        return float(read[range(len(after)), after].sum())

    @torch.inference_mode()
    def text(self, prompt: str, max_tokens: int) -> str:
        """Return what the model says next when it takes the likeliest token each time."""
        asked = self._tokenizer(prompt, return_tensors="pt")
        length = asked["input_ids"].shape[1]
        said = self._model(torch.float32).generate(
            **asked, max_new_tokens=max_tokens, do_sample=False
        )
        text: str = self._tokenizer.decode(said[0, length:], skip_special_tokens=True)
        return text

    def _cut(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        if not context:
            start = self._tokenizer.bos_token_id
            return [start], self._tokenizer.encode(continuation, add_special_tokens=False)
        bare = context.rstrip()
        before = self._tokenizer.encode(bare)
        whole = self._tokenizer.encode(context + continuation)
        return before, whole[len(before) :]

    def _model(self, dtype: torch.dtype) -> Model:
        if dtype not in self._models:
            model = AutoModelForCausalLM.from_pretrained(
                self._weights, dtype=dtype, attn_implementation="sdpa", local_files_only=True
            )
            self._models[dtype] = model.eval()
            if dtype is torch.float64:
                _norm_in_double(model)
        return self._models[dtype]


def _norm_in_double(model: Model) -> None:
    """Let norms compute in double too: transformers' own go down to single, whatever the model.

    Rotary angles stay as transformers makes them, in single: every engine takes those.
    """
    for module in model.modules():
        if isinstance(module, LlamaRMSNorm):
            module.forward = _Norm(module)


class _Norm:
    """Root mean square norm, Zhang and Sennrich 2019, equation 4."""

    def __init__(self, norm: LlamaRMSNorm) -> None:
        self._norm = norm

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        mean = states.square().mean(-1, keepdim=True)
        return self._norm.weight * (states * torch.rsqrt(mean + self._norm.variance_epsilon))
