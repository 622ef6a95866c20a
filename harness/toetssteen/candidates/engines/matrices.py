"""Matrices laid out for oneDNN: the same products, sooner, on a processor in single precision.

torch multiplies float32 matrices on a CPU with MKL, which holds back on processors of other
makes. oneDNN, which torch carries as well, does not, and does best with weights that are laid out
beforehand. torch's own compiler does the same when it freezes a model, by these operators.
"""

from collections.abc import Iterator
from ctypes import CDLL, c_int, c_size_t, c_void_p
from dataclasses import dataclass
from mmap import PAGESIZE
from pathlib import Path
from typing import Any

import torch
from torch import nn

Model = Any
Tensor = Any

# Rows that oneDNN is told to expect; weights that are laid out for many serve few as well.
ROWS = 1024
MAPS = Path("/proc/self/maps")
MADV_DONTNEED = 4  # of Linux, where MAPS is


class LaidOut(nn.Module):
    """A linear layer whose weights are laid out for oneDNN."""

    def __init__(self, linear: nn.Linear) -> None:
        """Lay out a copy of the weights of a layer, (out, in)."""
        super().__init__()
        self._out, self._in = linear.weight.shape
        self._weight = torch.ops.mkldnn._reorder_linear_weight(  # noqa: SLF001 - no public name
            linear.weight.detach(), ROWS
        )
        self._bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, states: Tensor) -> Tensor:
        """Multiply: (..., in) to (..., out)."""
        return torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001 - no public name
            states, self._weight, self._bias, "none", [], ""
        )

    def undo(self) -> nn.Linear:
        """Return the layer as it was, bit for bit: laying out only moves numbers."""
        linear = nn.Linear(self._in, self._out, bias=False, device="meta")
        linear.weight = nn.Parameter(self._weight.to_dense().contiguous(), requires_grad=False)
        if self._bias is not None:
            linear.bias = nn.Parameter(self._bias, requires_grad=False)
        return linear.eval()


def lay_out(model: Model) -> None:
    """Replace the linear layers of a model, one after another, so that only one is held twice.

    Does nothing where oneDNN gives nothing: on other devices and in other precisions.
    """
    if not (torch.backends.mkldnn.is_available() and model.device.type == "cpu"):
        return
    mapped = _Mapped.now()
    words = model.get_input_embeddings().weight  # often the head's too
    for owner, name, layer in _children(model):
        # A layer that does something of its own keeps doing it.
        if type(layer) is nn.Linear and layer.weight.dtype is torch.float32:
            setattr(owner, name, LaidOut(layer))
            if layer.weight is not words:
                mapped.let_go(layer.weight)


def undo(model: Model) -> None:
    """Give a model its own linear layers back."""
    for owner, name, layer in _children(model):
        if isinstance(layer, LaidOut):
            setattr(owner, name, layer.undo())
    model.tie_weights()


def is_laid_out(model: Model) -> bool:
    """Say whether any layer of a model is laid out for oneDNN."""
    return any(isinstance(layer, LaidOut) for layer in model.modules())


def _children(model: Model) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    for owner in list(model.modules()):
        for name, layer in list(owner.named_children()):
            yield owner, name, layer


@dataclass(frozen=True, slots=True)
class _Mapped:
    """Where files are mapped into this process's memory: first byte and the one behind it."""

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def now(cls) -> "_Mapped":
        """Ask the kernel; where it does not say, as outside Linux, nothing is known."""
        if not MAPS.is_file():
            return cls(())
        fields = [line.split(maxsplit=5) for line in MAPS.read_text(encoding="utf-8").splitlines()]
        spans = [one[0].split("-") for one in fields if len(one) == 6 and one[5].startswith("/")]
        return cls(tuple((int(first, 16), int(end, 16)) for first, end in spans))

    def let_go(self, weight: Tensor) -> None:
        """Give back the memory into which a part of a file was read that nobody reads any more.

        A file with weights is mapped as a whole, and stays so while one of them is used. If
        somebody looks after all, the part is read from the file again.
        """
        begin, end = weight.data_ptr(), weight.data_ptr() + weight.nbytes
        if any(first <= begin and end <= last for first, last in self.ranges):
            start = -(-begin // PAGESIZE) * PAGESIZE
            advise = CDLL(None).madvise
            advise.argtypes = (c_void_p, c_size_t, c_int)
            advise(start, max(0, end // PAGESIZE * PAGESIZE - start), MADV_DONTNEED)
