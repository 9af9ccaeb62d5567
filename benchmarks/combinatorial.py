"""Tours, knapsacks and job shops: the best loss and the CPU seconds, for several keys, beside what is known.

Local search has to solve berlin52 in less than 10 s with every key, and kroA100 to within 0.5 % in less than 60 s. The
other rows say what the general methods reach. One thread. Run: python benchmarks/combinatorial.py
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from measure import table

from descend.key import Key
from descend.oracle import Function
from descend.population.annealing import Annealing
from descend.population.base import AskTell
from descend.population.breeding import Breeding
from descend.population.genetic import Genetic
from descend.population.local_search import LocalSearch
from descend.problems.combinatorial import ft06, ft10, knapsack
from descend.problems.tours import berlin52, kroA100

TOURS = Annealing(chains=20, steps=8000, shuffles=("inversion", "insertion"))
EDGES = Genetic(breeding=Breeding(ordering="edges", shuffles=("inversion",)))


@dataclass(frozen=True)
class Row:
    """A method on a problem.

    Fields: within, how far above the optimum it has to come, as a share of it; seconds, how long it may take; keys, how
    often it is tried; wanted, whether it has to succeed with all of them.
    """

    name: str
    problem: Any
    method: AskTell[Any]
    within: float
    seconds: float
    keys: int
    wanted: bool = False


ROWS = (
    Row("berlin52", berlin52, LocalSearch(), 0.0, 10.0, 10, wanted=True),
    Row("berlin52", berlin52, TOURS, 0.0, 10.0, 3),
    Row("berlin52", berlin52, EDGES, 0.0, 10.0, 3),
    Row("kroA100", kroA100, LocalSearch(), 0.005, 60.0, 3, wanted=True),
    Row("knapsack of 100", knapsack(100), Genetic(), 0.0, 5.0, 3),
    Row("ft06", ft06, Annealing(steps=1000), 0.0, 5.0, 3),
    Row("ft06", ft06, Genetic(), 0.0, 5.0, 3),
    Row("ft10", ft10, Annealing(steps=6000), 0.0, 10.0, 3),
    Row("ft10", ft10, Genetic(), 0.0, 10.0, 3),
)


def run(row: Row, key: int) -> tuple[float, int, float]:
    """The best loss, the evaluations and the CPU seconds until it was good enough, or until the time was over."""
    oracle = Function(row.problem.keyed, batched=True, memory=2**24)
    enough = row.problem.optimum + row.within * abs(row.problem.optimum)
    begun = time.process_time()
    state = row.method.init(row.problem.space.middle, Key(key), row.problem.space.domain)
    while not state.value <= enough and time.process_time() - begun < row.seconds:
        state = row.method.advance(oracle, state)
    return state.value, state.asked, time.process_time() - begun


def main() -> str:
    torch.set_num_threads(1)
    lines = []
    for row in ROWS:
        runs = [run(row, key) for key in range(row.keys)]
        losses, asked, seconds = zip(*runs, strict=True)
        enough = row.problem.optimum + row.within * abs(row.problem.optimum)
        met = sum(loss <= enough for loss in losses)
        lines.append(
            [
                row.name, type(row.method).__name__, f"{row.problem.optimum:g}",
                f"{100 * row.within:g} % in {row.seconds:g} s", f"{met} of {row.keys}",
                "all" if row.wanted else "", f"{median(losses):g}", f"{max(losses):g}",
                f"{median(asked):,.0f}", f"{median(seconds):.1f}", f"{max(seconds):.1f}",
            ]
        )  # fmt: skip
    heads = [
        "problem",
        "method",
        "optimum",
        "good enough",
        "met",
        "wanted",
        "median",
        "worst",
        "evaluations",
        "s",
        "most s",
    ]
    return table(__doc__.splitlines()[0] if __doc__ else "", heads, lines)


if __name__ == "__main__":
    main()
