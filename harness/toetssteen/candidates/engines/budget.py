"""How many tokens a model computes at once: from the memory there is, less when it runs out."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import psutil
import torch

from toetssteen.records import Failure

Model = Any
Row = TypeVar("Row")
# Wider batches are no faster: the processor is busy, and the next one fits its cache less well.
CPU_TOKENS = 1024
GPU_TOKENS = 16384
FEWEST_TOKENS = 64
# The rest is for keys and values, for the vocabulary of what is read, and for others.
SHARE_OF_FREE = 0.4
PROBE_TOKENS = 256


@dataclass(slots=True)
class Budget:
    """Tokens a batch, and how often memory ran out."""

    tokens: int
    shortages: int = 0

    def halve(self) -> None:
        """Take half from here on; a card may ask for less than the fewest that we choose."""
        self.tokens = max(min(FEWEST_TOKENS, self.tokens), self.tokens // 2)


def find_budget(model: Model, asked: int | None, *, goes_on: bool = True) -> Budget:
    """Return the budget that the card asks for, or the one that fits the memory that is free.

    On a GPU a short forward shows what a token takes; on a CPU, where the allocator does not
    tell, it follows from the widths of the model.

    Args:
        model: loaded.
        asked: tokens a batch, as the card says.
        goes_on: keeps keys and values for a next token; an encoder or a classifier does not.
    """
    if asked is not None:
        return Budget(asked)
    if model.device.type == "cuda":
        return Budget(_fitting(_free(model), _measured(model, goes_on=goes_on), GPU_TOKENS))
    return Budget(_fitting(_free(model), _from_widths(model), CPU_TOKENS))


def conversations_that_fit(model: Model, tokens: int) -> int:
    """Return how many conversations of so many tokens the free memory holds, at least one."""
    text = model.config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    each = 2 * text.num_hidden_layers * heads * width * model.dtype.itemsize
    return max(1, int(SHARE_OF_FREE * _free(model) / (each * tokens)))


def is_out_of_memory(error: BaseException) -> bool:
    """Was there no room? A CPU allocator says so in a plain RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in said or "not enough memory" in said
    )


def each_batch(
    batches: Iterable[list[Row]],
    work: Callable[[list[Row]], None],
    *,
    budget: Budget,
    give_up: Callable[[Row], None],
) -> None:
    """Work through batches; where memory runs out, the lost rows come again in two halves.

    Args:
        batches: of rows, each cut when it is its turn; work on a batch may be done twice.
        work: does it.
        budget: halved when rows did not fit together, so that later batches are smaller.
        give_up: told of a row that does not even fit alone.
    """
    for whole in batches:
        pending = deque([whole])
        while pending:
            batch = pending.popleft()
            try:
                work(batch)
                continue
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Only here, where the error no longer holds on to what had been computed.
            release()
            budget.shortages += 1
            middle = len(batch) // 2
            if middle:
                budget.halve()
                pending.extendleft([batch[middle:], batch[:middle]])
            else:
                give_up(batch[0])


def no_room(tokens: int) -> Failure:
    """Say that not even one row fits."""
    return Failure("error", f"{tokens} tokens do not fit the memory that is free")


def release() -> None:
    """Give cached blocks back before trying again with less."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _free(model: Model) -> int:
    """Return the bytes that are free where the model computes."""
    if model.device.type == "cuda":
        free: int = torch.cuda.mem_get_info(model.device)[0]
        return free
    return int(psutil.virtual_memory().available)


def _fitting(free: float, each: float, most: int) -> int:
    return max(FEWEST_TOKENS, min(most, int(SHARE_OF_FREE * free / each)))


def _measured(model: Model, *, goes_on: bool) -> float:
    ids = torch.zeros((1, PROBE_TOKENS), dtype=torch.long, device=model.device)
    torch.cuda.reset_peak_memory_stats(model.device)
    before = torch.cuda.memory_allocated(model.device)
    extra = {"use_cache": True, "logits_to_keep": 1} if goes_on else {}
    with torch.inference_mode():
        model(input_ids=ids, **extra)
    took: int = torch.cuda.max_memory_allocated(model.device) - before
    return took / PROBE_TOKENS


def _from_widths(model: Model) -> float:
    """Return about how many bytes one token takes while it passes through a layer."""
    text = model.config.get_text_config()
    hidden = getattr(text, "hidden_size", None) or 4096
    middle = getattr(text, "intermediate_size", None) or 4 * hidden
    # Gate, up and their product, and some copies of the state around attention.
    return float((3 * middle + 12 * hidden) * model.dtype.itemsize)
