"""The solvers side by side: descend's default and CMA-ES, and the peers, each imported where it is used."""

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from coco.harness import Ended, Solver

__all__ = ["available"]


def descend_default(f: Any, lower: np.ndarray, upper: np.ndarray, x0: np.ndarray, budget: int, seed: int) -> None:
    """`minimize` without a method; where some coordinates are integers, over a space that says so."""
    import descend as dd

    until = dd.Evaluations(budget)
    if not f.integers.any():
        result = dd.minimize(f, x0, bounds=(lower, upper), until=until, key=seed, progress=False)
        return f.recommend(result.x)
    sides = zip(lower.tolist(), upper.tolist(), f.integers, strict=True)
    space = dd.Space({f"x{i}": dd.Int(int(a), int(b)) if n else dd.Float(a, b) for i, (a, b, n) in enumerate(sides)})
    begin = {name: int(x) if n else float(x) for name, x, n in zip(space.names, x0, f.integers, strict=True)}
    dd.minimize(lambda x: f(list(x.values())), space, start=begin, until=until, key=seed, progress=False)


def descend_noisy(f: Any, lower: np.ndarray, upper: np.ndarray, x0: np.ndarray, budget: int, seed: int) -> None:
    """The same, told that f is noisy."""
    import descend as dd

    method, until = dd.Portfolio(noisy=True), dd.Evaluations(budget)
    result = dd.minimize(f, x0, method=method, bounds=(lower, upper), until=until, key=seed, progress=False)
    f.recommend(result.x)


def descend_cmaes(f: Any, lower: np.ndarray, upper: np.ndarray, x0: np.ndarray, budget: int, seed: int) -> None:
    """CMA-ES without bounds, with restarts, as the peers have it."""
    import descend as dd
    from descend.population.cma import CMAES
    from descend.population.restarts import Restarts

    method = Restarts(CMAES(sigma=0.2 * float((upper - lower).mean())))
    dd.minimize(f, x0, method=method, until=dd.Evaluations(budget), key=seed, progress=False)


def restarted(solve: Solver) -> Solver:
    """A solver that begins again at uniform points of the middle 80 % of the box until the budget is spent."""

    def again(f: Any, lower: np.ndarray, upper: np.ndarray, x0: np.ndarray, budget: int, seed: int) -> None:
        random, centre, half = np.random.default_rng(seed), (lower + upper) / 2, (upper - lower) / 2
        while True:
            solve(f, lower, upper, x0, budget, seed)
            x0 = centre + 0.8 * half * random.uniform(-1, 1, len(x0))
            seed += 7919

    return again


def pycma(f: Any, lower: np.ndarray, upper: np.ndarray, x0: np.ndarray, budget: int, seed: int) -> None:
    import cma

    options = {"maxfevals": budget, "seed": seed + 1, "verbose": -9, "verb_log": 0, "verb_disp": 0}
    random = np.random.default_rng(seed)
    starts = iter([x0])

    def start() -> np.ndarray:
        return next(starts, lower + (upper - lower) * random.uniform(0.1, 0.9, len(x0)))

    cma.fmin2(f, start, 0.2 * float((upper - lower).mean()), options, restarts=9)


def pycma_mixed(f: Any, lower: np.ndarray, upper: np.ndarray, x0: np.ndarray, budget: int, seed: int) -> None:
    """With its handling of integers, bounds and BIPOP restarts."""
    import cma

    options = {"maxfevals": budget, "seed": seed + 1, "verbose": -9, "verb_log": 0, "verb_disp": 0}
    sides = [list(lower - 0.49 * f.integers), list(upper + 0.49 * f.integers)]
    whole = {"integer_variables": np.flatnonzero(f.integers).tolist()} if f.integers.any() else {}
    lengths = np.maximum((upper - lower) / 5, 0.4)
    random = np.random.default_rng(seed)
    while True:
        cma.fmin2(f, x0, 1.0, {**options, **whole, "CMA_stds": lengths, "bounds": sides}, restarts=9, bipop=True)
        x0, options["seed"] = lower + (upper - lower) * random.uniform(size=len(x0)), options["seed"] + 1


def pycma_separable(f: Any, lower: np.ndarray, upper: np.ndarray, x0: np.ndarray, budget: int, seed: int) -> None:
    import cma

    options = {"maxfevals": budget, "seed": seed + 1, "verbose": -9, "verb_log": 0, "verb_disp": 0}
    cma.fmin2(f, x0, 0.2 * float((upper - lower).mean()), {**options, "CMA_diagonal": True}, restarts=9)


@restarted
def pycma_noise(f: Any, lower: np.ndarray, upper: np.ndarray, x0: np.ndarray, budget: int, seed: int) -> None:
    """With its uncertainty handling, which re-evaluates points and enlarges steps; it recommends the mean."""
    import cma

    options = {"maxfevals": budget, "seed": seed + 1, "verbose": -9, "verb_log": 0, "verb_disp": 0}
    search = cma.CMAEvolutionStrategy(x0, 0.2 * float((upper - lower).mean()), options)
    handler = cma.NoiseHandler(len(x0), maxevals=[1, 1, 30])
    while not search.stop():
        points, losses = search.ask_and_eval(f, evaluations=handler.evaluations)
        search.tell(points, losses)
        search.sigma *= handler(points, losses, f, search.ask)
        search.countevals += handler.evaluations_just_done
        f.recommend(search.mean)


def cmaes_mixed(f: Any, lower: np.ndarray, upper: np.ndarray, x0: np.ndarray, budget: int, seed: int) -> None:
    """CMA-ES with margin, which has no restarts of its own: it begins again elsewhere."""
    from cmaes import CMAwM

    @restarted
    def solve(f: Any, lower: np.ndarray, upper: np.ndarray, x0: np.ndarray, budget: int, seed: int) -> None:
        steps = np.where(f.integers, 1.0, 0.0)
        search = CMAwM(mean=x0, sigma=1.0, bounds=np.stack([lower, upper], 1), steps=steps, seed=seed % 2**31)
        while not search.should_stop():
            told = []
            for _ in range(search.population_size):
                asked, drawn = search.ask()
                told.append((drawn, f(asked)))
            search.tell(told)

    solve(f, lower, upper, x0, budget, seed)


@restarted
def cmaes_adaptive(f: Any, lower: np.ndarray, upper: np.ndarray, x0: np.ndarray, budget: int, seed: int) -> None:
    """With learning rates that adapt to noise; it recommends the mean."""
    from cmaes import CMA

    search = CMA(mean=x0, sigma=0.2 * float((upper - lower).mean()), seed=seed % 2**31, lr_adapt=True)
    while not search.should_stop():
        search.tell([(x, f(x)) for x in (search.ask() for _ in range(search.population_size))])
        f.recommend(search.mean)


def cmaes(f: Any, lower: np.ndarray, upper: np.ndarray, x0: np.ndarray, budget: int, seed: int) -> None:
    from cmaes import CMA

    random, popsize = np.random.default_rng(seed), None
    while True:
        search = CMA(mean=x0, sigma=0.2 * float((upper - lower).mean()), seed=seed, population_size=popsize)
        while not search.should_stop():
            points = [search.ask() for _ in range(search.population_size)]
            search.tell([(x, f(x)) for x in points])
        popsize, seed = 2 * search.population_size, seed + 1
        x0 = lower + (upper - lower) * random.uniform(0.1, 0.9, len(x0))


def scipy(method: str, options: dict[str, Any], bounded: bool = False) -> Solver:
    @restarted
    def solve(f: Any, lower: np.ndarray, upper: np.ndarray, x0: np.ndarray, budget: int, seed: int) -> None:
        from scipy.optimize import minimize

        limits = list(zip(lower, upper, strict=True)) if bounded else None
        minimize(f, x0, method=method, bounds=limits, options=options)

    return solve


@restarted
def scipy_de(f: Any, lower: np.ndarray, upper: np.ndarray, x0: np.ndarray, budget: int, seed: int) -> None:
    from scipy.optimize import differential_evolution

    sides = list(zip(lower, upper, strict=True))
    whole = {"integrality": f.integers, "popsize": 5, "polish": False} if f.integers.any() else {}
    differential_evolution(f, sides, x0=np.clip(x0, lower, upper), rng=seed, maxiter=10**7, **whole)


@restarted
def nlopt_bobyqa(f: Any, lower: np.ndarray, upper: np.ndarray, x0: np.ndarray, budget: int, seed: int) -> None:
    import nlopt

    ended = []

    def objective(x: np.ndarray, gradient: np.ndarray) -> float:
        try:
            return f(x)
        except Ended as end:  # nlopt turns what is raised here into something else
            ended.append(end)
            raise nlopt.ForcedStop from end

    search = nlopt.opt(nlopt.LN_BOBYQA, len(x0))
    search.set_lower_bounds(lower)
    search.set_upper_bounds(upper)
    search.set_min_objective(objective)
    search.set_xtol_abs(1e-9)
    search.set_ftol_abs(1e-11)
    search.set_initial_step(1.0)
    try:
        search.optimize(np.clip(x0, lower, upper))
    except Exception:
        if not ended:  # a failure of rounding ends a descent, which begins again elsewhere
            return
    if ended:
        raise ended[0]


@restarted
def pymoo_cmaes(f: Any, lower: np.ndarray, upper: np.ndarray, x0: np.ndarray, budget: int, seed: int) -> None:
    from pymoo.algorithms.soo.nonconvex.cmaes import CMAES
    from pymoo.core.problem import Problem
    from pymoo.optimize import minimize

    class Wrapped(Problem):
        def __init__(self) -> None:
            super().__init__(n_var=len(x0), n_obj=1, xl=lower, xu=upper)

        def _evaluate(self, x: np.ndarray, out: dict[str, np.ndarray], *args: object, **kwargs: object) -> None:
            out["F"] = np.asarray(f(x)).reshape(-1, 1)

    minimize(Wrapped(), CMAES(), ("n_eval", 10**9), seed=seed, verbose=False)


_BFGS = {"maxiter": 10**6, "gtol": 1e-10}
_LBFGSB = {"maxfun": 10**9, "maxiter": 10**6, "ftol": 1e-14, "gtol": 1e-10}
_COBYQA = {"maxfev": 10**6, "initial_tr_radius": 1.0, "final_tr_radius": 1e-8}
_ROWS: tuple[tuple[str, str, Callable[..., object]], ...] = (
    ("descend", "descend", descend_default),
    ("descend CMAES", "descend", descend_cmaes),
    ("descend noisy", "descend", descend_noisy),
    ("pycma IPOP", "cma", pycma),
    ("pycma mixed", "cma", pycma_mixed),
    ("pycma separable", "cma", pycma_separable),
    ("pycma noise", "cma", pycma_noise),
    ("cmaes mixed", "cmaes", cmaes_mixed),
    ("cmaes adaptive", "cmaes", cmaes_adaptive),
    ("cmaes IPOP", "cmaes", cmaes),
    ("scipy BFGS", "scipy", scipy("BFGS", _BFGS)),
    ("scipy L-BFGS-B", "scipy", scipy("L-BFGS-B", _LBFGSB, bounded=True)),
    ("scipy COBYQA", "scipy", scipy("COBYQA", _COBYQA, bounded=True)),
    ("scipy DE", "scipy", scipy_de),
    ("nlopt BOBYQA", "nlopt", nlopt_bobyqa),
    ("pymoo CMAES", "pymoo", pymoo_cmaes),
)
"""Name, the package that it needs, and the solver."""


def available(names: list[str]) -> tuple[dict[str, Solver], list[str]]:
    """The solvers of these names (all, if there are none), and a line for each whose package is not installed."""
    warnings.filterwarnings("ignore", module="(cma|scipy|pymoo)")
    unknown = set(names) - {name for name, _, _ in _ROWS}
    if unknown:
        raise SystemExit(f"no solver {sorted(unknown)}; there are: {', '.join(name for name, _, _ in _ROWS)}")
    solvers, absent = {}, []
    for name, package, solve in _ROWS:
        if names and name not in names:
            continue
        if find_spec(package) is None:
            absent.append(f"{name} is left out: {package} is not installed")
        else:
            solvers[name] = solve
    return solvers, absent
