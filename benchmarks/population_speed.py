"""Milliseconds a generation of population methods, 1000 points of 1000 coordinates in float32, beside plain torch.

The plain versions are the textbook update with fresh tensors and nothing else: no bounds, no failures, no answers in
another order, nothing that could be saved. One thread, CPU time, interleaved rounds; the objective is left out: losses
are the same numbers for all. Run: python benchmarks/population_speed.py
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median

import torch
from measure import table

from descend.key import Key
from descend.population.differential import DifferentialEvolution
from descend.population.openai_es import OpenAIES
from descend.population.pgpe import PGPE
from descend.population.snes import SNES
from descend.population.success import Fixed
from descend.population.swarm import ParticleSwarm

N = D = 1000
ROUNDS = 41


class Plain:
    """What all plain versions have: a generator and the losses of every generation."""

    def __init__(self, seed: int = 0) -> None:
        self.g = torch.Generator().manual_seed(seed)
        self.x = torch.zeros(D)
        self.sigma = torch.ones(D)
        raw = (math.log(N / 2 + 1) - torch.arange(1.0, N + 1).log()).clamp(min=0)
        self.utilities = raw / raw.sum() - 1 / N

    def ranks(self, losses: torch.Tensor) -> torch.Tensor:
        return losses.argsort().argsort().float() / (N - 1) - 0.5


class RandomNumbers(Plain):
    def generation(self, losses: torch.Tensor) -> None:
        torch.randn(N, D, generator=self.g)


class PlainOpenAIES(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.m, self.v, self.t = torch.zeros(D), torch.zeros(D), 0

    def generation(self, losses: torch.Tensor) -> None:
        z = torch.randn(N // 2, D, generator=self.g)
        self.xs = torch.cat((self.x + 0.1 * z, self.x - 0.1 * z))
        w = self.ranks(losses)
        g = (w[: N // 2] - w[N // 2 :]) @ z / (N * 0.1)
        self.t += 1
        self.m = 0.9 * self.m + 0.1 * g
        self.v = 0.999 * self.v + 0.001 * g * g
        step = (self.m / (1 - 0.9**self.t)) / ((self.v / (1 - 0.999**self.t)).sqrt() + 1e-8)
        self.x = self.x - 0.05 * step


class PlainPGPE(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.v = torch.zeros(D)

    def generation(self, losses: torch.Tensor) -> None:
        z = torch.randn(N // 2, D, generator=self.g)
        e = self.sigma * z
        self.xs = torch.cat((self.x + e, self.x - e))
        w = self.ranks(losses)
        plus, minus = w[: N // 2], w[N // 2 :]
        g = (minus - plus) @ e
        s = -(minus + plus) @ (z * z - 1) / N
        self.v = 0.9 * self.v + 0.01 * g / g.norm()
        self.v = self.v * min(1.0, 0.02 / float(self.v.norm()))
        self.x = self.x + self.v
        self.sigma = self.sigma * (0.1 * s).clamp(-0.2, 0.2).exp()


class PlainSNES(Plain):
    def generation(self, losses: torch.Tensor) -> None:
        z = torch.randn(N, D, generator=self.g)
        self.xs = self.x + self.sigma * z
        u = torch.empty(N)
        u[losses.argsort()] = self.utilities
        self.x = self.x + self.sigma * (u @ z)
        self.sigma = self.sigma * (0.03 * (u @ (z * z - 1))).exp()


class PlainDE(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.pool = torch.randn(N, D, generator=self.g)
        self.losses = torch.full((N,), math.inf, dtype=torch.float64)

    def generation(self, losses: torch.Tensor) -> None:
        a, b, c = torch.randint(N, (3, N), generator=self.g)
        mutant = self.pool[a] + 0.5 * (self.pool[b] - self.pool[c])
        taken = torch.rand(N, D, generator=self.g) < 0.9
        self.xs = torch.where(taken, mutant, self.pool)
        better = losses <= self.losses
        self.pool = torch.where(better[:, None], self.xs, self.pool)
        self.losses = torch.where(better, losses, self.losses)


class PlainPSO(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.xs = torch.randn(N, D, generator=self.g)
        self.own, self.v = self.xs, torch.zeros(N, D)
        self.losses = torch.full((N,), math.inf, dtype=torch.float64)

    def generation(self, losses: torch.Tensor) -> None:
        r, s = torch.rand(2, N, D, generator=self.g)
        best = self.own[self.losses.argmin()]
        self.v = 0.73 * self.v + 1.5 * r * (self.own - self.xs) + 1.5 * s * (best - self.xs)
        self.xs = self.xs + self.v
        better = losses < self.losses
        self.own = torch.where(better[:, None], self.xs, self.own)
        self.losses = torch.where(better, losses, self.losses)


class Ours:
    def __init__(self, method) -> None:
        self.method, self.state = method, method.init(torch.zeros(D), Key(0))

    def generation(self, losses: torch.Tensor) -> None:
        self.state, xs = self.method.ask(self.state)
        self.state = self.method.tell(self.state, xs, losses)


@dataclass
class Row:
    name: str
    ours: Callable[[], object]
    plain: Callable[[], object]


ROWS = [
    Row("OpenAI-ES", lambda: Ours(OpenAIES(popsize=N)), PlainOpenAIES),
    Row("PGPE", lambda: Ours(PGPE(popsize=N)), PlainPGPE),
    Row("SNES", lambda: Ours(SNES(popsize=N)), PlainSNES),
    Row(
        "DE/rand/1/bin",
        lambda: Ours(DifferentialEvolution(popsize=N, mutation="rand/1", adaptation=Fixed(0.5, 0.9))),
        PlainDE,
    ),
    Row("SHADE (beside DE/rand/1/bin)", lambda: Ours(DifferentialEvolution(popsize=N)), PlainDE),
    Row("PSO, global", lambda: Ours(ParticleSwarm(popsize=N, topology="global")), PlainPSO),
    Row("PSO, von Neumann (beside global)", lambda: Ours(ParticleSwarm(popsize=N)), PlainPSO),
]


def milliseconds(runs: dict[str, object], rounds: int = ROUNDS) -> dict[str, float]:
    """The median CPU time of a generation of each, in turns, so that a slow moment hits all alike."""
    generator = torch.Generator().manual_seed(1)
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 3):
        # falling slowly, so that about half of the members improve
        losses = torch.rand(N, generator=generator, dtype=torch.float64) - 0.05 * turn
        for name, run in runs.items():
            start = time.process_time()
            run.generation(losses)
            if turn >= 3:
                taken[name].append((time.process_time() - start) * 1e3)
    return {name: median(times) for name, times in taken.items()}


def evotorch_runs() -> dict[str, object]:
    from evotorch import Problem
    from evotorch.algorithms import PGPE as TheirPGPE
    from evotorch.algorithms import SNES as TheirSNES

    class Search:
        def __init__(self, make) -> None:
            self.losses = torch.zeros(N)
            problem = Problem("min", lambda xs: self.losses, solution_length=D, initial_bounds=(-1, 1), vectorized=True)
            self.search = make(problem)

        def generation(self, losses: torch.Tensor) -> None:
            self.losses = losses.float()
            self.search.step()

    return {
        "EvoTorch SNES": Search(lambda p: TheirSNES(p, popsize=N, stdev_init=1.0)),
        "EvoTorch PGPE": Search(
            lambda p: TheirPGPE(
                p, popsize=N, stdev_init=1.0, center_learning_rate=0.1, stdev_learning_rate=0.1, optimizer="clipup",
                optimizer_config={"max_speed": 0.2}, ranking_method="centered",
            )
        ),
    }  # fmt: skip


def evox_runs() -> dict[str, object]:
    from evox.algorithms import DE, PSO, OpenES
    from evox.algorithms import SNES as TheirSNES

    sides = -torch.ones(D), torch.ones(D)

    class Search:
        def __init__(self, algorithm) -> None:
            self.algorithm, self.begun = algorithm, False

        def generation(self, losses: torch.Tensor) -> None:
            self.algorithm.evaluate = lambda xs: losses.float()[: len(xs)]
            if self.begun:
                self.algorithm.step()
            else:
                self.algorithm.init_step()
                self.begun = True

    return {
        "EvoX OpenES": Search(OpenES(N, torch.zeros(D), 0.05, 0.1, optimizer="adam")),
        "EvoX SNES": Search(TheirSNES(N, torch.zeros(D))),
        "EvoX DE": Search(DE(N, *sides)),
        "EvoX PSO": Search(PSO(N, *sides)),
    }


def pymoo_runs() -> dict[str, object]:
    import numpy as np
    from pymoo.algorithms.soo.nonconvex.de import DE
    from pymoo.core.problem import Problem

    class Search:
        def __init__(self, algorithm) -> None:
            self.algorithm = algorithm
            self.algorithm.setup(Problem(n_var=D, n_obj=1, xl=-5.0, xu=5.0), termination=("n_gen", 10**6), seed=1)

        def generation(self, losses: torch.Tensor) -> None:
            members = self.algorithm.ask()
            members.set("F", losses.numpy()[:, None])
            members.set("CV", np.zeros((len(members), 1)))
            self.algorithm.tell(infills=members)

    return {"pymoo DE": Search(DE(pop_size=N))}


def scipy_de() -> float:
    """Milliseconds a generation: six generations less one, since SciPy's loop cannot be entered."""
    from scipy.optimize import differential_evolution

    losses, first = torch.rand(N, dtype=torch.float64).numpy(), torch.rand(N, D, dtype=torch.float64).numpy()

    def seconds(generations: int) -> float:
        start = time.process_time()
        differential_evolution(
            lambda xs: losses, [(-5.0, 5.0)] * D, init=first, maxiter=generations, tol=0, polish=False, vectorized=True,
            updating="deferred", rng=0,
        )  # fmt: skip
        return time.process_time() - start

    return median((seconds(6) - seconds(1)) / 5 for _ in range(3)) * 1e3


PEERS = {"evotorch": evotorch_runs, "evox": evox_runs, "pymoo": pymoo_runs}


def main() -> str:
    torch.set_num_threads(1)
    rows = []
    for row in ROWS:
        times = milliseconds({"ours": row.ours(), "plain": row.plain()})
        rows.append([row.name, times["ours"], times["plain"], times["ours"] / times["plain"]])
    rows.append(["a million normal numbers", "", milliseconds({"": RandomNumbers()})[""], ""])
    text = table(
        f"A generation of {N} points of {D} coordinates, float32", ["what", "ms", "plain torch, ms", "ratio"], rows
    )
    for package, make in PEERS.items():
        if find_spec(package) is None:
            text += f"\n{package} is left out: it is not installed.\n"
            print(f"{package} is left out: it is not installed.")
            continue
        found = milliseconds(make(), rounds=9)
        text += "\n" + table(f"The same with {package}", ["what", "ms"], [[name, ms] for name, ms in found.items()])
    return text + "\n" + table("The same with scipy", ["what", "ms"], [["SciPy DE, vectorized", scipy_de()]])


if __name__ == "__main__":
    main()
