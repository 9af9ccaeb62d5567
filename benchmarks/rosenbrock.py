"""Rosenbrock's valley from (-1.1, 2.5): our last iterate beside torchzero's best one, at the same evaluations.

torchzero gets the compositions of its own tutorial and the best learning rate of a few for each; its luckiest iterate
counts. Of ours the last iterate counts, whatever came before. Both compute in float64, medians are over 20 seeds (its
MeZO ignores seeds, and finite differences have none to use). The compositions of ours are those of
docs/without-gradients.md; "one sample" are the ones nearest to torchzero's.
Run: python benchmarks/rosenbrock.py
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
import torchzero as tz
from measure import table

import descend as dd
from descend import problems

SEEDS = 20
START = (-1.1, 2.5)
ROSENBROCK = problems.rosenbrock.at(2)
RATES = (0.05, 0.1, 0.2, 0.5, 1.0)


def start() -> torch.Tensor:
    return torch.tensor(START, dtype=torch.float64)


@dataclass(frozen=True)
class Theirs:
    """A composition of torchzero: seed and learning rate -> modules; and how many steps it takes."""

    modules: Callable[[int, float], list]
    steps: int
    rates: Sequence[float] = RATES
    seeds: int = SEEDS

    def best(self, seed: int, lr: float) -> tuple[float, int]:
        """The loss of the best iterate, and the evaluations that were made."""
        x, calls, least = start().requires_grad_(), 0, float("inf")

        def closure(backward: bool = True) -> torch.Tensor:
            nonlocal calls
            calls += 1
            loss = ROSENBROCK(x)
            if backward:
                x.grad = None
                loss.backward()
            return loss

        optimizer = tz.Optimizer([x], *self.modules(seed, lr))
        for _ in range(self.steps):
            optimizer.step(closure)
            least = min(least, float(ROSENBROCK(x.detach())))
        return least, calls

    def median_at_its_best(self) -> tuple[float, int, float]:
        """Median over the seeds at the learning rate that makes it least, the evaluations, and that learning rate."""
        found = []
        for lr in self.rates:
            runs = [self.best(seed, lr) for seed in range(self.seeds)]
            found.append((median(least for least, _ in runs), runs[0][1], lr))
        return min(found)


@dataclass(frozen=True)
class Ours:
    """A composition of descend."""

    name: str
    method: dd.Descent
    estimator: dd.estimate.Estimator | None = None
    oracle: Callable[[Callable], dd.Oracle] = dd.Function

    def last(self, seed: int, evaluations: int) -> float:
        """The loss of the last iterate within the budget."""
        result = dd.minimize(
            self.oracle(ROSENBROCK), start(), estimator=self.estimator, method=self.method,
            until=dd.Evaluations(evaluations), key=seed,
        )  # fmt: skip
        assert result.total <= evaluations, f"{self.name} made {result.total} of {evaluations} evaluations"
        return result.last_fun


def differenced(f: Callable) -> dd.Oracle:
    """Gradients by forward differences, and products with the Hessian by differences of those."""
    return dd.Function(f) | dd.FiniteDifference("forward") | dd.DifferencedHvp()


SEARCH = dd.Descent(dd.BFGS(), dd.Backtracking())
ADAM = dd.Adam(betas=(0.9, 0.95))
BLUR = dd.GaussianSmoothing(samples=10)

ROWS: list[tuple[str, Theirs, list[Ours]]] = [
    (
        "forward differences",
        Theirs(lambda s, r: [tz.m.FDM(formula="forward2"), tz.m.BFGS(), tz.m.Backtracking()], 50, (1.0,), 1),
        [Ours("BFGS", SEARCH, dd.FiniteDifference("forward"))],
    ),
    (
        "central differences",
        Theirs(lambda s, r: [tz.m.FDM(formula="central"), tz.m.BFGS(), tz.m.Backtracking()], 50, (1.0,), 1),
        [Ours("BFGS", SEARCH, dd.FiniteDifference("central"))],
    ),
    (
        "differenced Hvp",
        Theirs(lambda s, r: [tz.m.FDM(), tz.m.NewtonCG(hvp_method="fd_central"), tz.m.Backtracking()], 20, (1.0,), 1),
        [Ours("Newton-CG in a trust region", dd.Descent(dd.TrustRegion()), oracle=differenced)],
    ),
    (
        "SPSA",
        Theirs(lambda s, r: [tz.m.SPSA(seed=s), tz.m.Adam(), tz.m.LR(r)], 500),
        [
            Ours("one sample, Adam", dd.Descent(ADAM, lr=dd.Polynomial(0.1, steps=750)), dd.SPSA()),
            Ours("4 quasi-random, BFGS", SEARCH, dd.SPSA(samples=4, coupling="quasi")),
        ],
    ),
    (
        "RDSA",
        Theirs(lambda s, r: [tz.m.RDSA(seed=s), tz.m.Adam(), tz.m.LR(r)], 500),
        [
            Ours("one sample, Adam", dd.Descent(ADAM, lr=dd.Cosine(0.3, steps=750)), dd.RDSA()),
            Ours("2 orthogonal, BFGS", SEARCH, dd.RDSA(samples=2, coupling="orthogonal")),
        ],
    ),
    (
        "Gaussian smoothing, 10 samples",
        Theirs(lambda s, r: [tz.m.GaussianSmoothing(n_samples=10, seed=s), tz.m.Adam(), tz.m.LR(r)], 500),
        [
            Ours("independent, Adam", dd.Descent(ADAM, lr=dd.Polynomial(0.1, steps=500)), BLUR),
            Ours("orthogonal, BFGS", SEARCH, dd.GaussianSmoothing(samples=10, coupling="orthogonal")),
        ],
    ),
    (
        "MeZO",
        Theirs(lambda s, r: [tz.m.MeZO(), tz.m.LR(r)], 2000, (2e-4, 5e-4, 1e-3, 2e-3), 1),
        [Ours("one sample, clipped", dd.Descent(dd.ClipNorm(30.0), lr=1.5e-3), dd.MeZO())],
    ),
    (
        "forward gradient",
        Theirs(lambda s, r: [tz.m.ForwardGradient(seed=s), tz.m.Adam(), tz.m.LR(r)], 500),
        [
            Ours(
                "one tangent, Adam", dd.Descent(ADAM, lr=dd.Cosine(0.5, steps=500)), dd.ForwardGradient(),
                oracle=dd.Differentiable,
            ),
            Ours(
                "2 orthonormal, BFGS", SEARCH, dd.ForwardGradient(samples=2, orthonormal=True),
                oracle=dd.Differentiable,
            ),
        ],
    ),
]  # fmt: skip


def main() -> str:
    torch.set_num_threads(1)
    lines = []
    for name, theirs, ours in ROWS:
        best, evaluations, lr = theirs.median_at_its_best()
        rate = f" (lr {lr:g})" if len(theirs.rates) > 1 else ""
        for mine in ours:
            last = median(map(partial(mine.last, evaluations=evaluations), range(SEEDS)))
            lines.append([name, evaluations, f"{best:.2g}{rate}", mine.name, last, last / best])
            print(*lines[-1], sep="  ", flush=True)
    heads = ["estimator", "evaluations", "torchzero, best iterate", "descend", "last iterate", "ratio"]
    return table("Rosenbrock from (-1.1, 2.5): loss, median of 20 seeds", heads, lines)


if __name__ == "__main__":
    main()
