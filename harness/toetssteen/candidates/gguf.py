"""GGUF weights, converted once to safetensors.

transformers reads GGUF but dequantises it anew at every start (about 20 s for 135 million
parameters). The converted folder lies in the cache under the digest of the GGUF file.
"""

import logging
import struct
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from toetssteen import cache
from toetssteen.errors import CandidateError

log = logging.getLogger(__name__)

# Raise when a conversion gives other weights than before, so that old ones are not reused.
CONVERSION = 1


def as_safetensors(folder: Path, file: str, digest: str) -> Path:
    """Return the folder with the same model as safetensors in float32.

    Args:
        folder: where the GGUF file lies.
        file: its name.
        digest: its sha256.

    Raises:
        CandidateError: not a GGUF file that transformers can read, or no room to convert it.
    """
    target = cache.folder() / "converted" / f"{digest}-{CONVERSION}"
    if target.is_dir():
        return target
    # Q4 is 4.5 bits a weight; float32 is 32.
    cache.room_for(8 * (folder / file).stat().st_size, target.parent)
    part = Path(mkdtemp(dir=target.parent, prefix=".part-"))
    log.info("converting %s to safetensors (once, about 30 s)", file)
    try:
        _convert(folder, file, part)
        if not target.is_dir():  # another process may have been sooner
            part.rename(target)
    finally:
        rmtree(part, ignore_errors=True)
    return target


def _convert(folder: Path, file: str, part: Path) -> None:
    transformers_logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
        loaded = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
    except (OSError, ValueError, KeyError, RuntimeError, struct.error) as error:
        raise CandidateError(
            f"{folder / file}: cannot be read as GGUF ({_first_line(error)}); the file may be "
            "truncated, or of an architecture that transformers cannot read"
        ) from None
    # transformers refuses to save what it believes is still quantised; a model made anew from
    # the same config, with the same weights, is not.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        plain = AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(loaded.state_dict(), assign=True, strict=True)
    plain.tie_weights()
    plain.save_pretrained(part)
    tokenizer.save_pretrained(part)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
