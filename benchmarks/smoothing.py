"""Gaussian smoothing with 100 samples on a small network: one batched question instead of a loop.

Run: python benchmarks/smoothing.py
"""

import torch
import torchzero as tz
from measure import interleaved, table
from torch import nn

import descend as dd


def network():
    """676 parameters."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 4))
    batch = torch.randn(64, 16), torch.randn(64, 4)
    return model, batch


def mse(model, batch):
    return (model(batch[0]) - batch[1]).square().mean()


def main() -> str:
    torch.set_num_threads(1)
    model, batch = network()
    other, _ = network()
    oracle = dd.Module(model, mse, batch)
    x = oracle.point()
    lifted = oracle | dd.GaussianSmoothing(1e-2, 100)
    method = dd.Descent(lr=1e-4)
    state = method.init(x, dd.Key(0))
    theirs = tz.Optimizer(other.parameters(), tz.m.GaussianSmoothing(h=1e-2, n_samples=100, seed=0), tz.m.LR(1e-4))
    looped = dd.Optimizer(model, dd.GaussianSmoothing(1e-2, 100), lr=1e-4, key=0)
    seconds = interleaved(
        {
            "descend": lambda: method.advance(lifted, state),
            "closure": lambda: looped.step(lambda: mse(model, batch)),
            "torchzero": lambda: theirs.step(lambda backward=False: mse(other, batch)),
        },
        rounds=15,
        budget=0.1,
    )
    rows = [
        ["as a Module oracle (one batch)", seconds["torchzero"] / seconds["descend"]],
        ["as a closure in Optimizer (a loop)", seconds["torchzero"] / seconds["closure"]],
    ]
    return table("Gaussian smoothing, 100 samples, 676-parameter MLP", ["descend", "torchzero / descend"], rows)


if __name__ == "__main__":
    main()
