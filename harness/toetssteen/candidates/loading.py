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
NO_WORDS = "the tokenizer is empty; copy its files (tokenizer.json and others) too"


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
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # not its table of what is missing: we say it
    if card.threads is not None:
        torch.set_num_threads(card.threads)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=card.trust_remote_code
        )
        model, found = auto.from_pretrained(
            folder,
            output_loading_info=True,
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
        raise CandidateError(f"{folder}: {_in_words(error, card)}") from None
    finally:
        transformers_logging.set_verbosity(verbosity)
    _refuse_what_is_made_up(folder, tokenizer, sorted(found["missing_keys"]))
    return model.eval(), tokenizer


def _in_words(error: Exception, card: CandidateSpec) -> str:
    if "trust_remote_code" in str(error) and not card.trust_remote_code:
        return (
            "asks for code from its own folder (auto_map); nothing of it was run. Read that code, "
            "and if you trust it, say trust_remote_code: true on the card"
        )
    if "backend tokenizer" in str(error):
        return NO_WORDS
    return f"cannot be loaded: {first_line(error)}"


def _refuse_what_is_made_up(folder: Path, tokenizer: Model, missing: list[str]) -> None:
    """Refuse weights drawn at random and an empty vocabulary, which transformers lets pass."""
    # Without its files a T5 still gets a tokenizer, which knows the beginning of a word alone.
    if not set(tokenizer.get_vocab()) - {*tokenizer.all_special_tokens, "\u2581"}:
        raise CandidateError(f"{folder}: {NO_WORDS}")
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CandidateError(
            f"{folder}: the weights lack {missing[0]}{more}; was this model made for what the "
            "adapter asks of it?"
        )


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


def room(model: Model, tokenizer: Model, card: CandidateSpec) -> int:
    """Return how many tokens fit; some families begin to count positions behind the padding."""
    known = getattr(model.config, "max_position_embeddings", None)
    skipped = getattr(getattr(model.base_model, "embeddings", None), "padding_idx", None)
    if known is not None and skipped is not None:
        known -= skipped + 1
    said = tokenizer.model_max_length
    limits = (card.context_length, known, said if said < 10**9 else None)
    # XLNet says -1 where positions do not end.
    return min((limit for limit in limits if limit is not None and limit > 0), default=512)


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
