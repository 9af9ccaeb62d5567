"""A solver meets a test function: the harness counts, notes when which target is first met, and ends the run.

A solver is a function solve(f, lower, upper, x0, budget, seed). What it returns or claims does not matter: evaluations
are counted where they are made, and the exception that ends a run is raised again on every further call.
"""

import json
import math
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from coco.noise import NOISES, Noise

Solver = Callable[[Callable[[Any], Any], np.ndarray, np.ndarray, np.ndarray, int, int], object]

TARGETS = tuple(10.0 ** (2 - k / 5) for k in range(51))
"""Precisions above the optimum, 1e2 to 1e-8."""


class Ended(BaseException):
    """The budget is spent or the last target is met. No Exception, so that no optimizer takes it for a failure."""


@dataclass
class Run:
    """One solver on one function: where, and the evaluation at which each target was first met, or None.

    `best` is what the best evaluated point was above the optimum, `recommended` the last one that the solver named as
    its answer, both without noise.
    """

    solver: str
    suite: str
    function: int
    dim: int
    instance: int
    hits: list[int | None] = field(default_factory=lambda: [None] * len(TARGETS))
    evaluations: int = 0
    best: float = math.inf
    recommended: float = math.inf
    outside: int = 0
    seconds: float = 0.0
    error: str = ""

    @property
    def place(self) -> tuple[str, str, int, int, int]:
        """What the run is a run of."""
        return self.solver, self.suite, self.function, self.dim, self.instance


class Observed:
    """The function as a solver sees it: a point (d,) gives a float, points (n, d) an array (n,).

    `integers` (d,) bool says which coordinates the suite rounds. Targets are met by values without noise, which the
    solver does not see.
    """

    def __init__(self, problem: Any, optimum: float, budget: int, run: Run, noise: Noise | None = None) -> None:
        self._problem, self._optimum, self._budget, self._run, self._noise = problem, optimum, budget, run, noise
        self._lower, self._upper = np.array(problem.lower_bounds), np.array(problem.upper_bounds)
        self._next, self._ended = 0, False
        self.integers = np.arange(run.dim) < int(getattr(problem, "number_of_integer_variables", 0) or 0)

    def __call__(self, x: Any) -> Any:
        x = np.array(x.detach() if hasattr(x, "detach") else x, dtype=np.float64)
        return np.array([self._one(row) for row in x]) if x.ndim == 2 else self._one(x)

    def recommend(self, x: Any) -> None:
        """Note a point (d,) as the solver's answer so far; no evaluation."""
        self._run.recommended = float(self._problem(np.array(x, dtype=np.float64))) - self._optimum

    def _one(self, x: np.ndarray) -> float:
        run = self._run
        if self._ended or run.evaluations >= self._budget:
            self._ended = True
            raise Ended
        run.evaluations += 1
        if x.shape != self._lower.shape or not np.isfinite(x).all():
            return math.inf
        run.outside += bool((x < self._lower).any() or (x > self._upper).any())
        value = float(self._problem(x))
        run.best = min(run.best, value - self._optimum)
        while self._next < len(TARGETS) and run.best <= TARGETS[self._next]:
            run.hits[self._next] = run.evaluations
            self._next += 1
        if self._next == len(TARGETS):
            self._ended = True
            raise Ended
        return value if self._noise is None else self._optimum + self._noise(value - self._optimum)


def least(problem: Any) -> float:
    """The value at the optimum, which COCO tells only through a file."""
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            problem._best_parameter("print")
            file = next(Path(folder).glob("*best_parameter*"))
            best = np.loadtxt(file).reshape(-1)[: problem.dimension]
        finally:
            os.chdir(here)
    return float(problem(best))


def _price(problem: Any, x: np.ndarray) -> float:
    """Seconds of an evaluation; the clock itself costs more than one, so it is read around many."""
    f = Observed(problem, -math.inf, 10**9, Run("", "", 0, len(x), 0))
    began = time.process_time()
    for _ in range(300):
        f(x)
    return (time.process_time() - began) / 300


def attempt(name: str, solve: Solver, suite: Any, place: tuple[str, int, int, int], budget: int) -> Run:
    """Let a solver run on the function (suite's name, function, dimension, instance) for `budget` evaluations."""
    suite_name, function, dim, instance = place
    problem = suite.get_problem_by_function_dimension_instance(function, dim, instance)
    run = Run(name, suite_name, function, dim, instance)
    seed = zlib.crc32(repr((suite_name, function, dim, instance, 0)).encode()) % (2**31 - 1)
    model = NOISES.get(suite_name)
    f = Observed(problem, least(problem), budget, run, model and model(np.random.default_rng(seed + 1)))
    lower, upper = np.array(problem.lower_bounds), np.array(problem.upper_bounds)
    x0 = np.random.default_rng(seed).uniform(-4, 4, dim)
    if f.integers.any():
        x0 = lower + (upper - lower) * np.random.default_rng(seed).uniform(0.1, 0.9, dim)
        x0[f.integers] = x0[f.integers].round()
    price = _price(problem, x0)
    began = time.process_time()
    try:
        solve(f, lower, upper, x0, budget, seed)
    except Ended:
        pass
    except Exception as error:  # an optimizer that breaks is a result, and the study goes on
        run.error = f"{type(error).__name__}: {error}"[:200]
    run.seconds = time.process_time() - began - price * run.evaluations
    if run.best <= TARGETS[-1]:  # the solver was ended before it could answer
        run.recommended = run.best
    problem.free()
    return run


def study(
    solvers: dict[str, Solver],
    suite_name: str,
    dims: Iterable[int],
    functions: Iterable[int],
    instances: Iterable[int],
    budget: int,
    file: Path,
) -> Iterator[Run]:
    """Every run that is asked for; those that the file has are taken from it, the others appended to it."""
    import cocoex

    cocoex.log_level("warning")
    known = {run.place: run for run in read(file)}
    for dim in dims:
        chosen = ",".join(map(str, instances))
        suite = cocoex.Suite("bbob" if suite_name in NOISES else suite_name, f"instances:{chosen}", f"dimensions:{dim}")
        for name, solve in solvers.items():
            for instance in instances:
                for function in functions:
                    run = known.get((name, suite_name, function, dim, instance))
                    if run is None:
                        run = attempt(name, solve, suite, (suite_name, function, dim, instance), budget * dim)
                        with file.open("a") as lines:
                            lines.write(json.dumps(asdict(run)) + "\n")
                    yield run


def read(file: Path) -> list[Run]:
    """The runs of a file, none if there is no such file."""
    return [Run(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def profile(runs: list[Run], budget: int) -> tuple[float, float]:
    """The fraction of targets met within budget * d evaluations, and the area under the run-time profile.

    The area is that of the fraction over log10(evaluations / d) from 0 to log10(budget), divided by log10(budget): one
    target counts 1 - log10(max(hit / d, 1)) / log10(budget).
    """
    met, area, n = 0, 0.0, 0
    for run in runs:
        n += len(run.hits)
        for hit in run.hits:
            if hit is not None and hit <= budget * run.dim:
                met += 1
                area += 1 - math.log10(max(hit / run.dim, 1.0)) / math.log10(budget)
    return met / n, area / n
