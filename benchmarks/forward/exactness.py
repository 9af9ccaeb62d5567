"""After a thousand estimates without an update parameters and buffers are as they were; the recipe of MeZO drifts."""

from collections.abc import Callable

import torch
from measure import table
from torch import Tensor, nn

import descend as dd
from forward.asking import asking
from forward.peers import Recipe

ESTIMATES = 1000
EPS = 1e-3
WAYS = {
    "dense signs": dd.SPSA(radius=EPS),
    "rank one": dd.SPSA(radius=EPS, rank=1),
    "8 members": dd.Evolution(pairs=4, rank=1, radius=EPS),
}


class Net(nn.Module):
    """An embedding, a convolution, a batch norm that is training, a layer norm and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.conv, self.batch = nn.Embedding(32, 16), nn.Conv1d(16, 16, 3), nn.BatchNorm1d(16)
        self.norm, self.out = nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, words: Tensor) -> Tensor:
        """(B, T) words -> (B, 4)."""
        x = self.batch(self.conv(self.words(words).transpose(1, 2)))
        return self.out(self.norm(x.mean(2)))


def _fresh(dtype: torch.dtype) -> tuple[Net, Callable[[], Tensor], list[Tensor]]:
    """A net, its loss, and copies of everything in it."""
    torch.manual_seed(0)
    net, words = Net().to(dtype).train(), torch.randint(0, 32, (4, 8))
    return net, lambda: net(words).float().square().mean(), [v.clone() for v in net.state_dict().values()]


def _different(net: Net, before: list[Tensor]) -> int:
    return sum(not torch.equal(a, b) for a, b in zip(net.state_dict().values(), before, strict=True))


def _ours(estimator: dd.estimate.Estimator, dtype: torch.dtype) -> int:
    """How many tensors differ afterwards."""
    net, loss, before = _fresh(dtype)
    ask = asking(net, loss, estimator)
    for _ in range(ESTIMATES):
        ask()
    return _different(net, before)


def _recipe(dtype: torch.dtype) -> tuple[int, float]:
    """The same, and the drift of the parameters in units of eps, root mean square."""
    net, loss, before = _fresh(dtype)
    recipe = Recipe(net, EPS, lr=0.0)
    for _ in range(ESTIMATES):
        recipe.step(loss)
    names = {name for name, _ in net.named_parameters()}
    moved = [
        (a.double() - b.double()).flatten()
        for (name, a), b in zip(net.state_dict().items(), before, strict=True)
        if name in names
    ]
    return _different(net, before), float(torch.cat(moved).square().mean().sqrt()) / EPS


def main() -> str:
    torch.set_num_threads(1)
    rows = []
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        name = str(dtype).removeprefix("torch.")
        for way, estimator in WAYS.items():
            wrong = _ours(estimator, dtype)
            rows.append(
                [way, name, f"{wrong} of {len(Net().state_dict())}", "0", "≤ 0", "yes" if wrong == 0 else "**no**"]
            )
        wrong, drift = _recipe(dtype)
        rows.append(["recipe of MeZO", name, f"{wrong} of {len(Net().state_dict())}", f"{drift:.2g} eps", "", ""])
    heads = ["estimates", "dtype", "tensors that differ", "drift of the parameters", "target", "met"]
    return table(
        f"After {ESTIMATES} estimates without an update, a network with a batch norm that is training", heads, rows
    )
