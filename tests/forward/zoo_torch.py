"""The zoo's models written in torch alone: modules, fast paths, views, operators and parametrizations."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint
from zoo_exhibit import Exhibit, read

__all__ = ["TORCH"]


class Recurrent(nn.Module):
    """Wraps a recurrent network, whose parameters go into its function as a list, and keeps its outputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)[0]


class Cells(nn.Module):
    """Recurrent cells in a Python loop."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.LSTMCell(5, 6), nn.GRUCell(6, 6), nn.RNNCell(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        h, c = x.new_zeros(len(x), 6), x.new_zeros(len(x), 6)
        g, r = x.new_zeros(len(x), 6), x.new_zeros(len(x), 4)
        for t in range(x.shape[1]):
            h, c = self.first(x[:, t], (h, c))
            g = self.second(h, g)
            r = self.third(g, r)
        return r


class UNet(nn.Module):
    """Down by strided convolutions, up by transposed ones, with skips, group and instance norms."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Conv2d(2, 6, 3, padding=1)
        self.norm = nn.GroupNorm(2, 6)
        self.down = nn.Conv2d(6, 8, 3, stride=2, padding=1, groups=2)
        self.between = nn.InstanceNorm2d(8, affine=True)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.out = nn.Conv2d(12, 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        high = F.silu(self.norm(self.into(x)))
        low = F.gelu(self.between(self.down(high)))
        return self.out(torch.cat([self.up(low), high], 1))


class Attention(nn.Module):
    """nn.MultiheadAttention; with other widths of keys and values it has three projections instead of one."""

    def __init__(self, keys: int | None = None, extra: bool = False) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(
            8, 2, kdim=keys, vdim=keys, batch_first=True, add_bias_kv=extra, bias=not extra
        )
        self.keys = nn.Linear(8, keys or 8)

    def forward(self, x: Tensor) -> Tensor:
        other = self.keys(x)
        return self.attention(x, other, other, need_weights=False)[0]


class Operators(nn.Module):
    """Parameters in operators, methods, views and lists, and in functions that no module calls."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(5, 6) / 2)
        self.b = nn.Parameter(torch.randn(6, 6) / 2)
        self.c = nn.Parameter(torch.randn(2, 6, 3) / 2)
        self.d = nn.Parameter(torch.randn(6))
        self.scale = nn.Parameter(torch.tensor(0.7))
        self.many = nn.ParameterList([nn.Parameter(torch.randn(3)) for _ in range(3)])
        self.named = nn.ParameterDict({"shift": nn.Parameter(torch.randn(3))})

    def forward(self, x: Tensor) -> Tensor:
        y = x @ self.a  # Tensor.__matmul__ with the parameter on the right
        y = (self.b.t() @ y.mT).mT + torch.einsum("bi,ij->bj", y, self.b)  # a view, and a list of operands
        y = torch.addmm(self.d, y, self.b.data.view(6, 6).T) * self.d.detach().exp()
        y = y + self.d[None].expand(len(x), -1) - self.d.unsqueeze(0).clone()[:, [5, 4, 3, 2, 1, 0]]
        z = torch.stack([torch.matmul(y, piece) for piece in self.c.unbind()]).sum(0)  # unbound
        z = z + torch.cat([p[:1] for p in self.many]) + self.named["shift"].masked_fill(z[0] > z[0].mean(), 0.5)
        z = 2 - z / (1 + self.scale**2) + float(self.scale) * self.many[0].tolist()[0]  # leaves torch and comes back
        return torch.lerp(z, self.many[1].broadcast_to(z.shape), self.scale.sigmoid()) + self.many[2].sum()


class Bilinears(nn.Module):
    """nn.Bilinear, PReLU, RMS norm, a layer norm over two axes, a cosine and an embedding bag."""

    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(11, 6, mode="mean")
        self.weighted = nn.EmbeddingBag(11, 6, mode="sum")
        self.bilinear = nn.Bilinear(6, 6, 4)
        self.slope = nn.PReLU(4)
        self.norm = nn.RMSNorm(4)
        self.plane = nn.LayerNorm((2, 2))
        self.anchor = nn.Parameter(torch.randn(1, 4))

    def forward(self, ids: Tensor) -> Tensor:
        first = self.bag(ids)
        weights = torch.linspace(0.5, 1.5, ids.numel(), dtype=first.dtype).view(ids.shape)
        second = self.weighted(ids, per_sample_weights=weights)
        y = self.norm(self.slope(self.bilinear(first, second)))
        y = self.plane(y.view(-1, 2, 2)).flatten(1)
        return y + F.cosine_similarity(y, self.anchor)[:, None]


def parametrized() -> nn.Module:
    """Weight norm, spectral norm (it keeps a vector that every forward improves) and an orthogonal map."""
    return nn.Sequential(
        parametrizations.weight_norm(nn.Linear(6, 8)),
        nn.Tanh(),
        parametrizations.spectral_norm(nn.Linear(8, 8)),
        nn.Tanh(),
        parametrizations.orthogonal(nn.Linear(8, 8)),
    )


def hooked() -> nn.Module:
    """The older weight norm, a hook that sets an attribute before every forward; such a model cannot be deep-copied."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3))  # type: ignore[deprecated]


class Symmetric(nn.Module):
    """A parametrization of one's own."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight.triu() + weight.triu(1).mT


class Cached(nn.Module):
    """A parametrized weight that is used three times and computed once."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)
        parametrize.register_parametrization(self.linear, "weight", Symmetric())

    def forward(self, x: Tensor) -> Tensor:
        with parametrize.cached():
            return self.linear(torch.tanh(self.linear(torch.tanh(self.linear(x)))))


class Tied(nn.Module):
    """One matrix as embedding, as a layer and, transposed, as the way out; and one layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 6, padding_idx=0)
        self.layer = nn.Linear(6, 6)
        self.again = self.layer
        self.out = nn.Linear(6, 9, bias=False)
        self.out.weight = self.embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.again(torch.tanh(self.layer(self.embedding(ids))))
        return self.out(x) @ self.embedding.weight


class Quantized(nn.Module):
    """An int8 matrix with a float scale per row, which is all that can be trained (QZO)."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        weight = torch.randn(rows, columns)
        scale = weight.abs().amax(1) / 127
        self.register_buffer("weight", (weight / scale[:, None]).round().to(torch.int8))
        self.scale = nn.Parameter(scale)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype)) * self.scale  # type: ignore[operator]


def frozen() -> nn.Module:
    """The middle layer is frozen, and a bias of the last one."""
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))
    model[2].requires_grad_(False)
    model[4].bias.requires_grad_(False)
    return model


class Centred(nn.Module):
    """Subtracts a running mean that it assigns anew, and adds to a counter in place, before it uses them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4)
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        self.mean = 0.9 * self.mean + 0.1 * y.detach().mean(0)
        self.count.add_(1)
        return (y - self.mean) / self.count


class Unused(nn.Module):
    """Has a parameter that its loss never sees, as many released models do."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.pooler = nn.Linear(6, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Reused(nn.Module):
    """Activation checkpointing, a call through torch.ops, a functional call, and vmap inside of the model."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 4)
        self.gain = nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        y: Any = checkpoint(self.first, x, use_reentrant=False)
        y = torch.ops.aten.linear(torch.tanh(y), self.second.weight, self.second.bias)
        y = torch.func.functional_call(self.third, dict(self.third.named_parameters()), (torch.tanh(y),))
        return torch.vmap(lambda row: row * self.gain)(y)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 9), nn.LayerNorm(9), nn.GELU(), nn.Dropout(0.1), nn.Linear(9, 4, bias=False))


def volumes() -> nn.Module:
    """Convolutions in one and three dimensions, a transposed one each, batch norms that are training."""
    return nn.Sequential(
        nn.Conv1d(2, 4, 3, padding="same"),
        nn.BatchNorm1d(4),
        nn.ConvTranspose1d(4, 2, 4, stride=2, padding=1),
        nn.Unflatten(2, (4, 2, 2)),
        nn.Conv3d(2, 4, 2, padding=1, padding_mode="circular"),
        nn.BatchNorm3d(4, momentum=None),
        nn.ConvTranspose3d(4, 1, 2),
    )


def transformer_encoder() -> nn.Module:
    """In eval mode the layers hand all of their parameters to one fused function."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
    return nn.TransformerEncoder(layer, 2).eval()


class Translator(nn.Module):
    """nn.Transformer, in training mode."""

    def __init__(self) -> None:
        super().__init__()
        # without dropout: under vmap its mask has other bits where the activations are transposed in memory
        self.network = nn.Transformer(8, 2, 1, 1, 16, batch_first=True, dropout=0.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x, x.flip(1))


def lazy() -> nn.Module:
    """Layers that learned their widths from a first batch, and convolutions in channels-last memory."""
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.BatchNorm2d(4).eval(), nn.Flatten(), nn.LazyLinear(3))
    with torch.no_grad():
        model(torch.randn(1, 2, 5, 5))
    return model.to(memory_format=torch.channels_last)


def transposed() -> nn.Module:
    """A weight whose memory is laid out the other way round."""
    model = nn.Linear(6, 5)
    model.weight = nn.Parameter(torch.randn(6, 5).t())
    return model


def sequences() -> Tensor:
    return torch.randn(3, 5, 8)


def numbers(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(*shape)


def indices(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randint(0, 9, shape)


def squared(model: nn.Module, batch: Tensor) -> Tensor:
    """A loss with a penalty on the parameters themselves."""
    return read(model(batch)) + 0.01 * sum(p.square().sum() for p in model.parameters())


def recurrent(build: Callable[[], nn.Module]) -> Exhibit:
    """Vmap has no rule for these."""
    return Exhibit(lambda: Recurrent(build()), numbers(3, 4, 5), apart=True)


TORCH: dict[str, Exhibit] = {
    "mlp": Exhibit(mlp, numbers(4, 6)),
    "penalty": Exhibit(mlp, numbers(4, 6), squared),
    "leading-dimensions": Exhibit(lambda: nn.Linear(6, 3), numbers(2, 3, 4, 6)),
    "vector": Exhibit(lambda: nn.Linear(6, 3), numbers(6)),
    "lstm": recurrent(lambda: nn.LSTM(5, 6, batch_first=True, proj_size=4)),
    "bidirectional-lstm": recurrent(lambda: nn.LSTM(5, 4, num_layers=2, bidirectional=True, batch_first=True)),
    "gru": recurrent(lambda: nn.GRU(5, 6, num_layers=2, bias=False, batch_first=True)),
    "cells": Exhibit(Cells, numbers(3, 4, 5), apart=True),
    "unet": Exhibit(UNet, numbers(2, 2, 8, 8), idle="down.bias"),  # a norm takes it away
    "volumes": Exhibit(volumes, numbers(3, 2, 8), idle="[024].bias"),  # likewise
    "channels-last": Exhibit(lazy, numbers(3, 2, 5, 5)),
    "transposed-memory": Exhibit(transposed, numbers(4, 6)),
    "attention": Exhibit(Attention, sequences),
    "attention-eval": Exhibit(lambda: nn.Sequential(Attention()).eval(), sequences),
    "attention-three-projections": Exhibit(lambda: Attention(keys=6, extra=True), sequences),
    "encoder-fast-path": Exhibit(transformer_encoder, sequences),
    "translator": Exhibit(Translator, sequences),
    "operators": Exhibit(Operators, numbers(4, 5), apart=True),
    "bilinear": Exhibit(Bilinears, indices(4, 3)),
    "parametrized": Exhibit(parametrized, numbers(4, 6), apart=True),
    "hooked": Exhibit(hooked, numbers(4, 6)),
    "parametrized-cached": Exhibit(Cached, numbers(4, 6)),
    "tied": Exhibit(Tied, indices(4, 3)),
    "renormalised-embedding": Exhibit(lambda: nn.Embedding(9, 6, max_norm=1.0), indices(4, 3)),
    "quantized-scales": Exhibit(lambda: nn.Sequential(Quantized(8, 6), nn.Tanh(), Quantized(3, 8)), numbers(4, 6)),
    "frozen": Exhibit(frozen, numbers(4, 6)),
    "assigned-buffer": Exhibit(Centred, numbers(4, 6)),
    "unused": Exhibit(Unused, numbers(4, 6), idle="pooler"),
    "reused": Exhibit(Reused, numbers(4, 6)),
}
