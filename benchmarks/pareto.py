"""Methods for several objectives beside pymoo's: hypervolume, and CPU time as a multiple of ours.

Population 100, 250 generations, simulated binary crossover (15, 0.9) and polynomial mutation (20) for both, the
problem evaluated a generation at a time, reference point 1.1, median of five keys; in turns, one thread.

Run: python benchmarks/pareto.py    (needs pymoo and moocore)
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # NumPy's too, before it is imported

import time
from collections.abc import Callable
from statistics import median

import torch
from measure import table
from pymoo.algorithms.moo.moead import MOEAD as TheirMOEAD
from pymoo.algorithms.moo.nsga2 import NSGA2 as TheirNSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3 as TheirNSGA3
from pymoo.algorithms.moo.sms import SMSEMOA as TheirSMSEMOA
from pymoo.optimize import minimize as their_minimize
from pymoo.problems import get_problem

from descend.pareto import MOEAD, NSGA2, NSGA3, SMSEMOA, Many
from descend.pareto.directions import spread
from descend.pareto.indicators import hypervolume
from descend.problems.multi import MultiProblem, dtlz2, zdt1
from descend.run.minimize_many import minimize_many
from descend.run.until import Steps

GENERATIONS, SIZE, KEYS = 250, 100, range(5)
PROBLEMS: list[tuple[MultiProblem, dict[str, int]]] = [(zdt1(), {}), (dtlz2(), {"n_var": 12, "n_obj": 3})]
METHODS: list[tuple[str, Many, Callable[[int], object]]] = [
    ("NSGA-II", NSGA2(), lambda m: TheirNSGA2(pop_size=SIZE)),
    ("NSGA-II, thinned at once", NSGA2(thinning=False), lambda m: TheirNSGA2(pop_size=SIZE)),
    ("NSGA-III", NSGA3(), lambda m: TheirNSGA3(pop_size=SIZE, ref_dirs=spread(m, SIZE).numpy())),
    ("MOEA/D", MOEAD(), lambda m: TheirMOEAD(spread(m, SIZE).numpy(), n_neighbors=20)),
    ("SMS-EMOA", SMSEMOA(), lambda m: TheirSMSEMOA(pop_size=SIZE)),
]


def ours(problem: MultiProblem, method: Many, key: int) -> torch.Tensor:
    front = minimize_many(
        problem, problem.start, bounds=problem.bounds, method=method, until=Steps(GENERATIONS), batched=True, key=key
    )
    return front.values


def main() -> str:
    torch.set_num_threads(1)
    rows = []
    for problem, sizes in PROBLEMS:
        theirs = get_problem(problem.name, **sizes)
        for name, method, make in METHODS:
            volumes: list[list[float]] = [[], []]
            seconds: list[list[float]] = [[], []]
            for key in KEYS:
                for who in (0, 1):
                    start = time.process_time()
                    if who == 0:
                        values = ours(problem, method, key)
                    else:
                        made = their_minimize(theirs, make(problem.m), ("n_gen", GENERATIONS), seed=key)
                        values = torch.from_numpy(made.F)
                    seconds[who].append(time.process_time() - start)
                    volumes[who].append(hypervolume(values, [1.1] * problem.m))
            ratio = median(seconds[1]) / median(seconds[0])
            rows.append([problem.name, name, f"{median(volumes[0]):.4f}", f"{median(volumes[1]):.4f}", f"{ratio:.1f}x"])
    return table(
        "Several objectives: hypervolume, ours and pymoo's, and pymoo's CPU time as a multiple of ours",
        ["problem", "method", "descend", "pymoo", "pymoo's time"],
        rows,
    )


if __name__ == "__main__":
    main()
