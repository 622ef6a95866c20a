"""What a LoRA may ask for: read from its configuration before anything is loaded.

A LoRA is a folder with `adapter_config.json` and `adapter_model.safetensors`, as peft writes it
(Hu et al., LoRA, ICLR 2022). Imports nothing heavy; `merging.py` merges.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from toetssteen.candidates.weights import LocalWeights
from toetssteen.errors import ContentError

CONFIG = "adapter_config.json"
NUMBERS = "adapter_model.safetensors"
# With these set, other layers are computed, or only part of a text: nothing that can be merged.
NOT_MERGED = (
    "layer_replication",
    "alora_invocation_tokens",
    "arrow_config",
    "use_bdlora",
    "megatron_config",  # peft imports the module that `megatron_core` names
)


def check_lora(found: LocalWeights) -> None:
    """See that a folder is a LoRA that can be merged, and that it asks for no code.

    Raises:
        ContentError: it is not, or it does; says what.
    """
    if found.gguf is not None:
        raise ContentError(
            found.folder / found.gguf, f"lora: should be a folder with {CONFIG} and {NUMBERS}"
        )
    for name in (CONFIG, NUMBERS):
        if not (found.folder / name).is_file():
            raise ContentError(found.folder, f"lora: holds no {name}")
    file = found.folder / CONFIG
    for fault in _faults(_read(file)):
        raise ContentError(file, fault)


def brings_a_tokenizer(folder: Path) -> bool:
    """Say whether a LoRA lies beside a tokenizer of its own."""
    return (folder / "tokenizer_config.json").is_file()


def _read(file: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ContentError(file, f"cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise ContentError(file, "should be an object")
    return config


def _faults(config: Mapping[str, Any]) -> Iterator[str]:
    if (kind := config.get("peft_type")) != "LORA":
        yield f"peft_type: is {kind!r}; only LORA can be merged into its base"
    mapping = config.get("auto_mapping") or {}
    library = mapping.get("parent_library", "") if isinstance(mapping, dict) else mapping
    if library and not str(library).startswith("transformers.models."):
        yield (
            f"auto_mapping: asks for code from {library!r}; a LoRA holds numbers, and no code is "
            "run for it"
        )
    for key in NOT_MERGED:
        if config.get(key):
            yield f"{key}: is set; such a LoRA cannot be merged into its base"
