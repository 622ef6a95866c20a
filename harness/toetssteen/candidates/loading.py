"""Weights and tokenizer from a folder, as a card says; nothing is fetched or unpickled."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer, BitsAndBytesConfig
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
            device_map=_places(card),
            quantization_config=_quantisation(card),
            attn_implementation=card.attention,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=card.trust_remote_code,
        )
        if card.device != "auto" and card.quantisation is None:
            model = model.to(card.device)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as error:
        raise CandidateError(f"{folder}: cannot be loaded: {first_line(error)}") from None
    return model.eval(), tokenizer


def _places(card: CandidateSpec) -> str | dict[str, str] | None:
    """Return where layers go while they are loaded; quantised ones cannot be moved afterwards."""
    if card.device == "auto":
        return "auto"
    return {"": card.device} if card.quantisation is not None else None


def _quantisation(card: CandidateSpec) -> Any:  # noqa: ANN401 - of transformers, or nothing
    """Return how weights are made small while they are loaded.

    Eight bits: LLM.int8, Dettmers et al., NeurIPS 2022. Four: NF4, Dettmers et al., QLoRA,
    NeurIPS 2023, computed in the precision of the card.
    """
    match card.quantisation:
        case "8bit":
            return BitsAndBytesConfig(load_in_8bit=True)
        case "4bit":
            return BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_compute_dtype=getattr(torch, card.dtype),
            )
        case None:
            return None


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
        "quantisation": _quantised(model, card),
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


def _quantised(model: Model, card: CandidateSpec) -> str:
    if card.quantisation is not None:
        return f"{card.quantisation} by bitsandbytes {version('bitsandbytes')}"
    made = getattr(model.config, "quantization_config", None)
    if made is None:
        return "none at loading"
    method = made.get("quant_method") if isinstance(made, dict) else made.quant_method
    return f"as the weights came: {getattr(method, 'value', method)}"


def parameters(model: Model) -> int:
    """Return how many numbers a model has; four-bit weights lie two in a byte."""
    number: int = model.num_parameters()
    return number


def free_memory() -> None:
    """Give back what a graphics card holds for a model that is gone."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def first_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
