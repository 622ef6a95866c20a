"""Matrices laid out for oneDNN: the same products, sooner, on a processor in single precision.

torch multiplies float32 matrices on a CPU with MKL, which holds back on processors of other
makes. oneDNN, which torch carries as well, does not, and does best with weights that are laid out
beforehand. torch has operators for that, without public names; its compiler calls them.
"""

import re
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
MAPS = Path("/proc/self/smaps")
MADV_DONTNEED = 4  # of Linux, where MAPS is


class LaidOut(nn.Module):
    """A linear layer whose weights are laid out for oneDNN."""

    def __init__(self, linear: nn.Linear, *, shared: bool = False) -> None:
        """Lay out a copy of the weights of a layer, (out, in).

        Args:
            linear: the layer.
            shared: others use its weights too; they are kept, to be given back.
        """
        super().__init__()
        self._out, self._in = linear.weight.shape
        self._weight = torch.ops.mkldnn._reorder_linear_weight(  # noqa: SLF001 - no public name
            linear.weight.detach(), ROWS
        )
        self._bias = None if linear.bias is None else linear.bias.detach()
        # In a tuple, so that it does not become a parameter of this layer.
        self._shared: tuple[Tensor, ...] = (linear.weight,) if shared else ()

    def forward(self, states: Tensor) -> Tensor:
        """Multiply: (..., in) to (..., out)."""
        return torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001 - no public name
            states, self._weight, self._bias, "none", [], ""
        )

    @property
    def keeps_weights(self) -> bool:
        """Are the weights as they were still there, because others use them?"""
        return bool(self._shared)

    def exactly(self, states: Tensor, outputs: Tensor) -> Tensor:
        """Compute one output of each row in double precision; only a layer that keeps its weights.

        Args:
            states: (rows, in).
            outputs: (rows,) which output of each.

        Returns:
            (rows,), float64.
        """
        products = (states.double() * self._shared[0][outputs].double()).sum(-1)
        return products if self._bias is None else products + self._bias[outputs].double()

    def undo(self) -> nn.Linear:
        """Return the layer as it was, bit for bit: laying out only moves numbers."""
        linear = nn.Linear(self._in, self._out, bias=False, device="meta")
        if self._shared:
            linear.weight = self._shared[0]
        else:
            dense = self._weight.to_dense().contiguous()
            linear.weight = nn.Parameter(dense, requires_grad=False)
        if self._bias is not None:
            linear.bias = nn.Parameter(self._bias, requires_grad=False)
        return linear.eval()


def lay_out(model: Model) -> None:
    """Replace the linear layers of a model, one after another, so that only one is held twice.

    (A head that has the words' own weights stays beside its copy.) Layers on other devices, in
    other precisions, of another class or with hooks are left as they are.
    """
    if not torch.backends.mkldnn.is_available():
        return
    mapped = _Mapped.now()
    words = model.get_input_embeddings().weight
    for owner, name, layer in _children(model):
        if _is_plain(layer):
            shared = layer.weight is words
            setattr(owner, name, LaidOut(layer, shared=shared))
            if not shared:
                mapped.let_go(layer.weight)


def undo(model: Model) -> None:
    """Give a model its own linear layers back."""
    for owner, name, layer in _children(model):
        if isinstance(layer, LaidOut):
            setattr(owner, name, layer.undo())


def is_laid_out(model: Model) -> bool:
    """Say whether any layer of a model is laid out for oneDNN."""
    return any(isinstance(layer, LaidOut) for layer in model.modules())


def say_how(model: Model) -> str:
    """Say how the matrices of a model are computed, for the record of a run."""
    if not is_laid_out(model):
        return "as loaded"
    head = model.get_output_embeddings()
    sharp = isinstance(head, LaidOut) and head.keeps_weights
    return "laid out for onednn" + (", logits of asked tokens in double" if sharp else "")


def _is_plain(layer: nn.Module) -> bool:
    """Is it a linear layer that does nothing else, where oneDNN is faster?"""
    if type(layer) is not nn.Linear or hasattr(layer, "_hf_hook"):
        return False
    if layer._forward_hooks or layer._forward_pre_hooks:  # noqa: SLF001 - no public reader
        return False
    return layer.weight.dtype is torch.float32 and layer.weight.device.type == "cpu"


def _children(model: Model) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    # A list of all layers would keep each of them in memory until the last one is done.
    for owner in [one for one in model.modules() if any(True for _ in one.children())]:
        for name in [name for name, _ in owner.named_children()]:
            yield owner, name, getattr(owner, name)


@dataclass(frozen=True, slots=True)
class _Mapped:
    """Where files lie in this process's memory as they are: first byte and the one behind."""

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def now(cls) -> "_Mapped":
        """Ask the kernel; where it does not say, as outside Linux, nothing is known.

        A mapping of which a page was changed in memory is left out: that page is in no file.
        """
        if not MAPS.is_file():
            return cls(())
        found = []
        for mapping in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", MAPS.read_text("utf-8"))[1:]:
            head, _, rest = mapping.partition("\n")
            fields = head.split(maxsplit=5)
            of_a_file = len(fields) == 6 and fields[5].startswith("/") and "(del" not in fields[5]
            changed = re.findall(r"(?m)^(?:Anonymous|Swap):\s+(\d+)", rest)
            if of_a_file and changed and not any(map(int, changed)):
                first, end = fields[0].split("-")
                found.append((int(first, 16), int(end, 16)))
        return cls(tuple(found))

    def let_go(self, weight: Tensor) -> None:
        """Give back the memory into which a part of a file was read that nobody reads any more.

        A file with weights is mapped as a whole, and stays so while one of them is used. If
        somebody looks after all, the part is read from the file again.
        """
        begin, end = weight.data_ptr(), weight.data_ptr() + weight.nbytes
        inside = any(first <= begin and end <= last for first, last in self.ranges)
        if inside and weight.is_contiguous():
            start = -(-begin // PAGESIZE) * PAGESIZE
            advise = CDLL(None).madvise
            advise.argtypes = (c_void_p, c_size_t, c_int)
            advise(start, max(0, end // PAGESIZE * PAGESIZE - start), MADV_DONTNEED)
