"""What CMA-ES itself takes an evaluation, beside pycma and cmaes: CPU time of asking and telling without the objective.

Run: OMP_NUM_THREADS=1 python benchmarks/search_overhead.py
Every row is measured in turns in one process, a slice of generations of each library at a time, and its median is kept;
only the ratios of a row mean anything on a shared machine. A peer that is not installed is left out.
"""

import importlib.util
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from measure import table

from descend.key import Key
from descend.population.cma import CMAES

ROUNDS = 9
SLICES = {10: 60, 100: 12, 1000: 25}  # generations at a time; at d = 1000 more than between two decompositions
TARGETS = {("full", 10): 6, ("full", 100): 20, ("full", 1000): 700}
TARGETS |= {("separable", 10): 6, ("separable", 100): 6, ("separable", 1000): 16}


def sphere(xs):
    return (xs * xs).sum(-1)


def descend(d, covariance):
    """One generation: the seconds that asking and telling took, and how many points."""
    method = CMAES(sigma=0.5, covariance=covariance)
    state = method.init(torch.full((d,), 1.5, dtype=torch.float64), Key(0))

    def generation():
        nonlocal state
        begin = time.process_time()
        state, xs = method.ask(state)
        asked = time.process_time()
        losses = sphere(xs)
        told = time.process_time()
        state = method.tell(state, xs, losses)
        return asked - begin + time.process_time() - told, len(xs)

    return generation


def pycma(d, covariance):
    import cma

    options = {"verbose": -9, "seed": 1, "CMA_diagonal": covariance == "separable"}
    search = cma.CMAEvolutionStrategy(d * [1.5], 0.5, options)

    def generation():
        begin = time.process_time()
        xs = search.ask()
        asked = time.process_time()
        losses = [float(sphere(x)) for x in xs]
        told = time.process_time()
        search.tell(xs, losses)
        return asked - begin + time.process_time() - told, len(xs)

    return generation


def cmaes(d, covariance):
    from cmaes import CMA, SepCMA

    search = (CMA if covariance == "full" else SepCMA)(mean=np.full(d, 1.5), sigma=0.5, seed=1)

    def generation():
        begin = time.process_time()
        xs = [search.ask() for _ in range(search.population_size)]
        asked = time.process_time()
        answers = [(x, float(sphere(x))) for x in xs]
        told = time.process_time()
        search.tell(answers)
        return asked - begin + time.process_time() - told, len(xs)

    return generation


def microseconds(
    generations: dict[str, Callable[[], tuple[float, int]]], d: int, skipped: set[str]
) -> dict[str, float]:
    """An evaluation of each, the median of slices measured in turns."""
    taken: dict[str, list[float]] = {name: [] for name in generations}
    for _ in range(ROUNDS if d < 1000 else 2):
        for name, generation in generations.items():
            count = 1 if name in skipped else SLICES[d]  # one generation of it takes longer than all of the others
            parts = [generation() for _ in range(count)]
            taken[name].append(1e6 * sum(s for s, _ in parts) / sum(n for _, n in parts))
    return {name: median(times) for name, times in taken.items()}


def main() -> str:
    torch.set_num_threads(1)
    peers = {"pycma": ("cma", pycma), "cmaes": ("cmaes", cmaes)}
    here = {name: make for name, (package, make) in peers.items() if importlib.util.find_spec(package)}
    for name in peers.keys() - here.keys():
        print(f"{name} is not installed and is left out")
    rows = []
    for covariance in ("full", "separable"):
        for d in SLICES:
            makes = {"descend": descend, **here}
            generations = {name: make(d, covariance) for name, make in makes.items()}
            slow = {"cmaes"} if covariance == "full" and d == 1000 else set()
            each = microseconds(generations, d, slow)
            own = each["descend"]
            cells = [cell for name in here for cell in (each[name], f"{own / each[name]:.2f}")]
            rows.append([f"{covariance}, d = {d}", own, TARGETS[covariance, d], *cells])
    heads = [head for name in here for head in (name, "descend / it")]
    return table("Microseconds an evaluation", ["covariance and dimension", "descend", "target", *heads], rows)


if __name__ == "__main__":
    main()
