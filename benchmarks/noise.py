"""A noisy objective with nothing set by hand: |x|^2 in 10 dimensions, noise 0.1, 500 SPSA steps from f = 40, 20 seeds.

The noise is drawn from a generator of the objective's own, so no common random numbers can cancel it.
Run: python benchmarks/noise.py
"""

from statistics import median

import torch
import torchzero as tz
from measure import table

import descend as dd

STEPS, SEEDS, SIGMA = 500, 20, 0.1


def noisy(generator):
    return lambda x: x.square().sum() + SIGMA * torch.randn((), generator=generator)


def ours(seed: int) -> float:
    f = noisy(torch.Generator().manual_seed(seed))
    budget = dd.estimate.gains.CALIBRATION + 2 * STEPS + 2
    until = dd.Steps(STEPS) | dd.Evaluations(budget)
    result = dd.minimize(
        dd.Function(f, batched=False), torch.full((10,), 2.0), estimator=dd.SPSA(), until=until, key=seed
    )
    assert result.total <= budget
    return float(torch.as_tensor(result.last_x).square().sum())


def in_optimizer(seed: int) -> float:
    f = noisy(torch.Generator().manual_seed(seed))
    x = torch.full((10,), 2.0)
    optimizer = dd.Optimizer([x], dd.SPSA(), key=seed)
    for _ in range(STEPS):
        optimizer.step(lambda: f(x))
    return float(x.square().sum())


def theirs(seed: int, *modules) -> float:
    f = noisy(torch.Generator().manual_seed(seed))
    x = torch.full((10,), 2.0, requires_grad=True)
    optimizer = tz.Optimizer([x], tz.m.SPSA(seed=seed), *modules)
    for _ in range(STEPS):
        optimizer.step(lambda backward=True: f(x))
    return float(x.detach().square().sum())


def main() -> str:
    runs = {
        "descend, minimize(f, x0, estimator=SPSA())": ours,
        "descend, Optimizer([x], SPSA())": in_optimizer,
        "torchzero, SPSA()": theirs,
        "torchzero, SPSA(), LR(1e-2)": lambda seed: theirs(seed, tz.m.LR(1e-2)),
        "torchzero, SPSA(), Adam(), LR(1e-2)": lambda seed: theirs(seed, tz.m.Adam(), tz.m.LR(1e-2)),
    }
    rows = []
    for name, run in runs.items():
        found = [run(seed) for seed in range(SEEDS)]
        rows.append([name, median(found), max(found), f"{sum(f < 1 for f in found)} of {SEEDS}"])
    return table(
        "Noise 0.1, nothing set by hand: noiseless f after 500 steps", ["what", "median", "worst", "f < 1"], rows
    )


if __name__ == "__main__":
    main()
