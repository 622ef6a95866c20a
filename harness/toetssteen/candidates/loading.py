"""Weights and tokenizer from a folder, as a card says; nothing is fetched or unpickled."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer
from transformers.utils import logging as transformers_logging

from toetssteen.candidates.engines.budget import Budget
from toetssteen.errors import CandidateError
from toetssteen.spec import CandidateSpec

# What torch and transformers make; their types cost a minute to check and say little here.
Model = Any


def load(folder: Path, card: CandidateSpec, auto: Any) -> tuple[Model, Model]:  # noqa: ANN401
    """Return model and tokenizer.

    Args:
        folder: with safetensors, tokenizer and configuration.
        card: says precision, device, attention and threads.
        auto: the class of transformers that knows this kind of model.

    Raises:
        CandidateError: they cannot be loaded.
    """
    transformers_logging.disable_progress_bar()
    if card.threads is not None:
        torch.set_num_threads(card.threads)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=card.trust_remote_code
        )
        model = auto.from_pretrained(
            folder,
            dtype=getattr(torch, card.dtype),
            device_map="auto" if card.device == "auto" else None,
            attn_implementation=card.attention,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=card.trust_remote_code,
        )
        if card.device != "auto":
            model = model.to(card.device)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as error:
        raise CandidateError(f"{folder}: cannot be loaded: {first_line(error)}") from None
    return model.eval(), tokenizer


def described(
    model: Model, card: CandidateSpec, *, digest: str, parameters: int, budget: Budget
) -> dict[str, str]:
    """Say what is computed with, down to the versions that could change a digit.

    Args:
        model: as it was loaded.
        card: what it was loaded from.
        digest: sha256 of its weights.
        parameters: how many numbers it has; some are laid out otherwise by now.
        budget: how much is computed at a time.
    """
    said = {
        "adapter": card.adapter.name,
        "weights_sha256": digest,
        "architecture": type(model).__name__,
        "parameters": str(parameters),
        "dtype": card.dtype,
        "device": str(model.device),
        "attention": str(model.config._attn_implementation),  # noqa: SLF001 - no public name
        "tokens_per_batch": str(budget.tokens),
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "tokenizers": version("tokenizers"),
        "threads": str(torch.get_num_threads()),
        "machine": platform.machine(),
    }
    if budget.shortages:
        said["out_of_memory"] = f"{budget.shortages} times; batches were made smaller"
    return said


def parameters(model: Model) -> int:
    """Return how many numbers a model has."""
    return sum(p.numel() for p in model.parameters())


def free_memory() -> None:
    """Give back what a graphics card holds for a model that is gone."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def first_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
