"""Can a model be asked in packed rows? It is tried, not believed.

The trial compares the packed logits with the model's own, before anything is asked: recurrent
states, learned windows or positions that are counted elsewhere show at once.
"""

from collections.abc import Sequence
from inspect import signature
from math import inf
from typing import Any

import torch

from toetssteen.candidates.engines import attention
from toetssteen.candidates.engines.attention import CannotPackError
from toetssteen.candidates.engines.budget import Budget
from toetssteen.candidates.engines.matrices import lay_out, undo
from toetssteen.candidates.engines.packed import Packed
from toetssteen.candidates.engines.trees import Strand
from toetssteen.candidates.loading import first_line

Model = Any
Tensor = Any

# How far packed and plain logits may lie apart, in their own standard deviations: rounding stays
# well below it, a token that looks at a stranger does not.
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.2}
# Windows are followed inside packed rows; chunks, states and convolutions are not.
LAYERS = {"full_attention", "sliding_attention"}
# Ways to turn positions in that look at the longest text of a batch: the others would change.
GROWING = {"dynamic", "longrope"}
LENGTH = 12  # of the strands that are tried
HEADER = 4  # of their tokens, which all begin with, once stand apart


@torch.inference_mode()
def pack(model: Model, budget: Budget, *, rows: int, compiled: bool = False) -> Packed:
    """Give a model packed rows, if it then says what it says without.

    Args:
        model: a decoder of transformers, loaded; its attention is replaced.
        budget: tokens a batch.
        rows: conversations side by side.
        compiled: torch compiles it, and lays out matrices as it likes.

    Raises:
        CannotPackError: it does not; the model is left as it was. Says why.
    """
    if not compiled:
        try:
            return _tried(model, budget, rows, laid_out=True)
        except CannotPackError:
            pass  # some models look at the weights of a layer; then with matrices as they are
    return _tried(model, budget, rows, laid_out=False)


def _tried(model: Model, budget: Budget, rows: int, *, laid_out: bool) -> Packed:
    """Give a model packed rows and hold its logits against those that it gives by itself."""
    native = model.config._attn_implementation  # noqa: SLF001 - there is no public reader
    try:
        _refuse_by_config(model)
        strands = _strands(model)
        expected = torch.cat([_plainly(model, strands)] * 3)
        if laid_out:
            lay_out(model)
        model.set_attn_implementation(attention.NAME)
        if model.config._attn_implementation != attention.NAME:  # noqa: SLF001
            raise CannotPackError("its attention cannot be replaced")  # noqa: TRY301
        packed = Packed(model, budget, rows=rows)
        apart = _apart(packed.trial(strands[:-1], strands[-1], header=HEADER), expected)
        why = f"packed rows answer otherwise, by {apart:.1g} of the spread"
        if _has_windows(model) and packed.windows == {None}:
            raise CannotPackError("its attention does not say how far back it looks")  # noqa: TRY301
    # Whatever a model does with a row that it does not expect, the answer is the same.
    except Exception as error:  # noqa: BLE001
        apart, why = inf, first_line(error)
    # Written so that an answer that is no number is refused too.
    if not apart <= TOLERANCE[model.dtype]:
        undo(model)
        model.set_attn_implementation(native)
        raise CannotPackError(why)
    return packed


def _refuse_by_config(model: Model) -> None:
    text = model.config.get_text_config()
    strange = sorted(set(getattr(text, "layer_types", None) or LAYERS) - LAYERS)
    if strange:
        raise CannotPackError(f"it has layers of the kind {', '.join(strange)}")
    if turning := _rope_types(text) & GROWING:
        raise CannotPackError(f"its positions depend on the longest text ({turning.pop()})")
    if "position_ids" not in signature(model.get_decoder().forward).parameters:
        raise CannotPackError("its positions cannot be given")


def _rope_types(text: Model) -> set[str]:
    """Return how positions are turned in; some models say it for every kind of layer."""
    said = getattr(text, "rope_parameters", None) or {}
    each = [said, *(value for value in said.values() if isinstance(value, dict))]
    return {str(one["rope_type"]) for one in each if "rope_type" in one}


def _has_windows(model: Model) -> bool:
    text = model.config.get_text_config()
    kinds = getattr(text, "layer_types", None)
    if kinds is not None:
        return "sliding_attention" in kinds
    used = getattr(text, "use_sliding_window", None) is not False
    return used and getattr(text, "sliding_window", None) is not None


def _strands(model: Model) -> list[Strand]:
    """Return strands in their own order that begin alike, and a shorter one that soon parts."""
    size = model.get_input_embeddings().num_embeddings
    made = torch.Generator().manual_seed(0)
    one, two, three = torch.randint(size, (3, LENGTH), generator=made).tolist()
    alike = sorted([one, one[:6] + two[:6], one[:6] + two[:3] + three[:3]])
    apart = one[:HEADER] + three[HEADER : LENGTH - 3]
    return [Strand(tuple(tokens), len(tokens) - 1) for tokens in (*alike, apart)]


def _plainly(model: Model, strands: Sequence[Strand]) -> Tensor:
    """Return the logits behind every strand, (strands, vocabulary), as the model is made.

    Nothing looks ahead: what fills up a shorter row, behind what is read, changes nothing.
    """
    rows = [[*s.tokens, *[0] * (LENGTH - len(s.tokens))] for s in strands]
    logits = model(input_ids=torch.tensor(rows, device=model.device), use_cache=False).logits
    return torch.stack(
        [row[len(s.tokens) - 1] for row, s in zip(logits, strands, strict=True)]
    ).float()


def _apart(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max()) / (float(expected.std()) or 1.0)
