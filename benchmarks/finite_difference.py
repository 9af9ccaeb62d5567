"""Finite differences on Rosenbrock in 1000 dimensions: all probes in one batched question instead of a loop.

The second column is the time of the objective's own batched evaluation of the same 2 n (or n + 1) points, so that the
overhead of the estimator can be read off. Run: python benchmarks/finite_difference.py
"""

import torch
import torchzero as tz
from measure import interleaved, table

import descend as dd

N = 1000


def rosenbrock(x):
    """(..., n) -> (...)."""
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)


def theirs(start, formula):
    """A call that makes torchzero compute one gradient; the step of length zero costs one addition."""
    x = start.clone().requires_grad_()
    optimizer = tz.Optimizer([x], tz.m.FDM(h=1e-3, formula=formula), tz.m.LR(0.0))

    def closure(backward=False):
        return rosenbrock(x)

    return lambda: optimizer.step(closure)


def ours(start, formula, radius, batched):
    oracle = dd.Function(rosenbrock, batched=batched) | dd.FiniteDifference(formula, radius=radius)
    return lambda: oracle.gradient(start, dd.Key(0))


def main() -> str:
    torch.set_num_threads(1)
    start = torch.randn(N, generator=torch.Generator().manual_seed(0))
    rows = []
    for formula, probes in (("central", 2 * N), ("forward", N + 1)):
        chunks = start.repeat(probes, 1).split(dd.Oracle.memory // (4 * N))
        seconds = interleaved(
            {
                "bare": lambda chunks=chunks: [rosenbrock(chunk) for chunk in chunks],
                "batched": ours(start, formula, 1e-3, True),
                "vmapped": ours(start, formula, 1e-3, None),
                "automatic": ours(start, formula, None, True),
                "torchzero": theirs(start, formula),
            },
            rounds=9,
            budget=0.05,
        )
        for name, title in (
            ("batched", "batched=True"),
            ("vmapped", "found by vmap"),
            ("automatic", "batched=True, automatic steps"),
        ):
            rows.append([f"{formula}, {title}", seconds[name] / seconds["bare"], seconds["torchzero"] / seconds[name]])
        rows.append([f"{formula}, torchzero FDM", seconds["torchzero"] / seconds["bare"], 1.0])
    heads = ["one gradient", "time / bare batched objective", "torchzero / this"]
    return table(f"Finite differences, Rosenbrock n={N}, float32", heads, rows)


if __name__ == "__main__":
    main()
