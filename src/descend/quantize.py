"""Linear layers with int8 weights that are trained through their scales: a quarter of float32's memory, forward only.

Each row of a weight is a scale times integers, W[i, :] = s_i * q[i, :] / 128 with q in [-127, 127] and
s_i = max |W[i, :]| * 128 / 127, and y = (x (q / 128)^T) * s + b. The integers are frozen, the scales are ordinary
parameters that forward passes train, as in Shang, Zhou, Lin, Li, Zhou (2025), "Fine-tuning quantized neural networks
with zeroth-order optimization", arXiv:2505.13430. Dividing by 128 is exact, keeps x q^T within float16's range, and
makes a scale as large as its row's largest weight. Symbols: q = `codes`, s = `scale`.
"""

import sys
from collections import Counter
from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from descend.errors import InvalidValue

__all__ = ["Int8Linear", "quantize_int8"]

_PART = 2**20  # weights that a forward turns into floating point at a time: 4 MB, which a cache holds


class Int8Linear(nn.Module):
    """y = (x (q / 128)^T) * scale + bias, with q int8.

    Args:
        weight: (out, in) floating point, quantized row by row; not kept.
        bias: (out,) parameter, taken over, or None.

    Parameters are `scale` (out,), float32, and `bias`; the buffer `codes` (out, in) is int8. The answer has the type
    `torch.nn.functional.linear` gives for x, also under autocast; the product with the scale is made in float32.

    >>> layer = Int8Linear(torch.tensor([[1.0, -0.5], [0.0, 0.25]]), None)
    >>> layer.codes
    tensor([[127, -64],
            [  0, 127]], dtype=torch.int8)
    >>> layer(torch.tensor([1.0, 1.0]))
    tensor([0.4961, 0.2500])
    """

    codes: Tensor

    def __init__(self, weight: Tensor, bias: nn.Parameter | None) -> None:
        super().__init__()
        with torch.no_grad():
            w = weight.detach().float()
            scale = w.abs().amax(1) * (128 / 127)
            scale[scale == 0] = 1.0  # a row of zeros stays one, whatever its scale
            codes = (w / scale[:, None]).mul_(128).round_().clamp_(-127, 127).to(torch.int8)
        self.register_buffer("codes", codes)
        self.scale = nn.Parameter(scale, requires_grad=weight.requires_grad)
        self.bias = bias
        self.out_features, self.in_features = weight.shape

    @property
    def weight(self) -> Tensor:
        """The floating point weight (out, in), made anew each time, for code that reads it instead of calling."""
        return self.codes * (self.scale / 128)[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        rows = max(1, _PART // self.in_features)
        parts = [F.linear(x, part.to(x.dtype).mul_(1 / 128)) for part in self.codes.split(rows)]
        y = parts[0] if len(parts) == 1 else torch.cat(parts, -1)
        scaled = y * self.scale
        return (scaled if self.bias is None else scaled + self.bias).to(y.dtype)

    def extra_repr(self) -> str:
        """As in the printed form of a linear layer."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def quantize_int8(model: nn.Module, *, skip: Collection[str] = ()) -> nn.Module:
    """Replace the linear layers of a model, in place, by `Int8Linear`: int8 weights, trainable float32 scales.

    Layers are `nn.Linear` and Hugging Face's `Conv1D`. Left as they are: subclasses of these (the attention of torch
    reads its projections' weights itself), layers whose weight is shared with another module (a tied output
    embedding), and what `skip` names. Other parameters stay trainable as they were: freeze what should not be trained.

    The forward makes floating point weights a part of 4 MB at a time. Backpropagation to the inputs would keep all
    parts: train with forward passes.

    torch's own quantized modules do not serve: `torch.ao.nn.quantized.Linear` and its dynamic variant hold weight and
    scales in one packed object that is no tensor (no parameters, no buffers, and only a float for the output's scale),
    so nothing can be perturbed. Those that simulate keep tensors, beside a float32 weight that saves no memory:
    `torch.ao.nn.quantized.reference.Linear` as the buffer `weight_scale` (per channel; its forward follows a change of
    it, but a buffer is no parameter), `FakeQuantize` as the buffer `scale`, and `_LearnableFakeQuantize` as a parameter
    `scale`, which is perturbed like any other.

    Args:
        model: changed in place, unless it is a linear layer itself.
        skip: names of modules, as in `named_modules`, that are left alone with all below them.

    Returns:
        The model.

    Raises:
        InvalidValue: `skip` names no module.

    >>> model = nn.Sequential(nn.Linear(300, 200), nn.ReLU(), nn.Linear(200, 10))
    >>> quantize_int8(model, skip=["2"])
    Sequential(
      (0): Int8Linear(in_features=300, out_features=200, bias=True)
      (1): ReLU()
      (2): Linear(in_features=200, out_features=10, bias=True)
    )
    >>> [(name, tuple(p.shape)) for name, p in model[0].named_parameters()]
    [('scale', (200,)), ('bias', (200,))]
    """
    names = dict(model.named_modules(remove_duplicate=False))
    for name in skip:
        if name not in names:
            raise InvalidValue(f"skip names the module {name!r}, which the model does not have; it has {list(names)}")
    modules = list(model.modules())
    left = {id(module) for name in skip for module in names[name].modules()}
    owners = Counter(id(p) for module in modules for p in module._parameters.values())
    kinds = _linear_kinds()
    made: dict[int, nn.Module] = {}
    for layer in modules:
        if type(layer) in kinds and id(layer) not in left and owners[id(layer.weight)] == 1:
            weight: Tensor = layer.weight.t() if kinds[type(layer)] else layer.weight  # type: ignore[assignment]
            made[id(layer)] = Int8Linear(weight, layer.bias).train(layer.training)  # type: ignore[arg-type]
    for parent in modules:
        for name, child in list(parent._modules.items()):
            if id(child) in made:
                setattr(parent, name, made[id(child)])
    return made.get(id(model), model)


def _linear_kinds() -> dict[type, bool]:
    """Classes of linear layers, and whether their weight is (in, out)."""
    kinds: dict[type, bool] = {nn.Linear: False}
    transformers = sys.modules.get("transformers.pytorch_utils")  # where it is not loaded, no model has its layers
    if transformers is not None:
        kinds[transformers.Conv1D] = True
    return kinds
