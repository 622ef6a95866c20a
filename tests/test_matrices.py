"""Matrices laid out for oneDNN: the same products, the same weights back, the memory let go."""

from pathlib import Path
from weakref import ref

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from toetssteen.candidates.engines import matrices
from toetssteen.candidates.engines.matrices import LaidOut, is_laid_out, lay_out, undo


class Tiny(nn.Module):
    """As much of a model as laying out asks about."""

    device = torch.device("cpu")

    def __init__(self, *, dtype: torch.dtype = torch.float32, bias: bool = False) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 16, dtype=dtype)
        self.inner = nn.Sequential(nn.Linear(16, 24, bias=bias, dtype=dtype), nn.SiLU())
        self.head = nn.Linear(16, 50, bias=False, dtype=dtype)
        self.tie_weights()

    def get_input_embeddings(self) -> nn.Module:
        return self.words

    def tie_weights(self) -> None:
        self.head.weight = self.words.weight


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [1, 7, 300])
@torch.inference_mode()
def test_the_products_are_the_same(rows: int, bias: bool) -> None:  # noqa: FBT001
    made = torch.Generator().manual_seed(1)
    linear = nn.Linear(96, 80, bias=bias)
    states = torch.randn(2, rows, 96, generator=made)
    exact = nn.functional.linear(
        states.double(), linear.weight.double(), linear.bias.double() if bias else None
    )
    assert (LaidOut(linear)(states).double() - exact).abs().max() < 1e-5


@pytest.mark.parametrize("bias", [False, True])
@torch.inference_mode()
def test_one_output_a_row_is_added_up_in_double(bias: bool) -> None:  # noqa: FBT001
    """Closer than a sum in single precision comes, and right where that loses everything."""
    made = torch.Generator().manual_seed(1)
    linear = nn.Linear(96, 80, bias=bias)
    states = torch.randn(40, 96, generator=made)
    states[:, 0], states[:, 95] = 3e8, -3e8  # what is between them is lost in single precision
    linear.weight[:, 95] = linear.weight[:, 0]
    outputs = torch.randint(80, (40,), generator=made)
    every = nn.functional.linear(
        states.double(), linear.weight.double(), linear.bias.double() if bias else None
    )
    exact = every[torch.arange(40), outputs]
    layer = LaidOut(linear, shared=True)
    assert layer.exactly(states, outputs).numpy() == pytest.approx(exact.numpy(), abs=1e-6)
    single = layer(states)[torch.arange(40), outputs].double()
    assert (single - exact).abs().max() > 0.1


def test_only_a_layer_whose_weights_others_use_keeps_them() -> None:
    """A second copy of a large head is not worth the last digit."""
    model = Tiny()
    lay_out(model)
    assert model.head.keeps_weights
    assert not model.inner[0].keeps_weights


@pytest.mark.parametrize("bias", [False, True])
def test_undone_it_is_what_it_was(bias: bool) -> None:  # noqa: FBT001
    model = Tiny(bias=bias)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lay_out(model)
    assert is_laid_out(model)
    assert isinstance(model.inner[0], LaidOut)
    undo(model)
    assert not is_laid_out(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.head.weight is model.words.weight


def test_a_head_of_its_own_is_given_back_whatever_the_config_says_of_ties() -> None:
    """Whoever loads a model leaves a head alone that differs from the words; so must we."""
    model = Tiny()
    own = model.head.weight = nn.Parameter(torch.randn(50, 16))
    lay_out(model)
    undo(model)
    assert torch.equal(model.head.weight, own)
    assert not torch.equal(model.head.weight, model.words.weight)


def test_a_layer_is_let_go_before_the_next_is_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one is held twice: an earlier one is gone when a later one's turn comes."""
    model = Tiny()
    model.pair = nn.Sequential(nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 16))
    first, last = ref(model.pair[0].weight), model.pair[2].weight.data_ptr()
    gone = []

    class Watching(LaidOut):
        def __init__(self, linear: nn.Linear, *, shared: bool) -> None:
            if linear.weight.data_ptr() == last:
                gone.append(first() is None)
            super().__init__(linear, shared=shared)

    monkeypatch.setattr(matrices, "LaidOut", Watching)
    lay_out(model)
    assert gone == [True]


def test_what_onednn_does_not_speed_up_stays() -> None:
    """Half precision has kernels of its own, and a layer of another class may do more."""

    class Louder(nn.Linear):
        def forward(self, states: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(states)

    half = Tiny(dtype=torch.bfloat16)
    lay_out(half)
    assert not is_laid_out(half)
    model = Tiny()
    model.inner[0] = Louder(16, 24)
    model.hooked = nn.Linear(16, 16)
    model.hooked.register_forward_hook(lambda *_: None)
    lay_out(model)
    assert isinstance(model.inner[0], Louder)
    assert type(model.hooked) is nn.Linear
    assert isinstance(model.head, LaidOut)


def resident(weight: torch.Tensor) -> int:
    """Return the KiB of the mapping around a weight that lie in memory."""
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        first, _, rest = line.partition("-")
        if rest and " " in rest:
            try:
                span = int(first, 16), int(rest.split(maxsplit=1)[0], 16)
            except ValueError:
                pass
            else:
                inside = span[0] <= weight.data_ptr() < span[1]
                continue
        if inside and line.startswith("Rss:"):
            return int(line.split()[1])
    raise AssertionError("the weight lies nowhere")


@pytest.mark.skipif(not matrices.MAPS.is_file(), reason="the kernel does not say what is mapped")
def test_the_file_that_was_copied_from_leaves_memory_and_can_be_read_again(
    tmp_path: Path,
) -> None:
    file = tmp_path / "weights.safetensors"
    wanted = torch.randn(512, 1024)
    save_file({"words": torch.randn(64, 1024), "inner": wanted}, file)
    loaded = load_file(file)
    model = Tiny()
    model.words.weight = nn.Parameter(loaded["words"])
    model.tie_weights()
    model.inner[0] = nn.Linear(1024, 512, bias=False)
    weight = model.inner[0].weight = nn.Parameter(loaded["inner"], requires_grad=False)
    assert torch.equal(weight, wanted)  # read: all of it lies in memory now
    full = resident(weight)
    lay_out(model)
    assert full - resident(weight) > 1700  # of its 2,048 KiB; the neighbour is read meanwhile
    assert torch.equal(weight, wanted)
