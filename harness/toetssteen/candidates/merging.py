"""A LoRA merged into its base, so that the engines serve it as any other model.

peft is imported here and nowhere else: it comes with the extra `lora`.
"""

import warnings
from pathlib import Path
from typing import Any

from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file

from toetssteen.candidates.loading import first_line
from toetssteen.candidates.lora import CONFIG, NUMBERS
from toetssteen.errors import CandidateError

# What torch, transformers and peft make; their types cost a minute to check and say little here.
Model = Any


def merge(base: Model, folder: Path) -> Model:
    """Return the base with the LoRA added to its weights; the base itself is changed.

    peft's own loader only warns when the names of layers differ, and then serves the base alone.

    Args:
        base: loaded, in the precision in which it will be asked.
        folder: one that `check_lora` has seen.

    Raises:
        CandidateError: the LoRA is damaged, or was trained on another base.
    """
    try:
        config = LoraConfig.from_pretrained(str(folder))
        # A path on the machine where it was trained; what it stands on is what the card says.
        config.base_model_name_or_path = None
        config.inference_mode = True
        with warnings.catch_warnings():
            # What peft asks of transformers is for them to settle, and nothing a reader can mend.
            warnings.simplefilter("ignore", FutureWarning)
            tuned = get_peft_model(base, config)
        numbers = load_file(folder / NUMBERS, device=str(base.device))
        loaded = set_peft_model_state_dict(tuned, numbers)
    except SafetensorError as error:
        raise CandidateError(
            f"{folder / NUMBERS}: cannot be loaded: {first_line(error)}"
        ) from None
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise CandidateError(
            f"{folder / CONFIG}: does not fit the base, a {type(base).__name__}: "
            f"{first_line(error)}"
        ) from None
    lacking = [key for key in loaded.missing_keys if _is_of_the_lora(key)]
    if lacking or loaded.unexpected_keys:
        there = (*lacking, *loaded.unexpected_keys)[0]
        side = "the base has and the LoRA lacks" if lacking else "the LoRA has and the base lacks"
        raise CandidateError(
            f"{folder}: was trained on another base: {side} {there.replace('.default', '')}"
        )
    try:
        return tuned.merge_and_unload(safe_merge=True).eval()
    except ValueError as error:  # numbers that are none
        raise CandidateError(f"{folder}: cannot be merged: {first_line(error)}") from None


def _is_of_the_lora(key: str) -> bool:
    return ".lora_" in key or ".modules_to_save." in key or ".token_adapter." in key
