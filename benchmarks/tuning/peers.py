"""Tuners side by side: the peers, each imported where it is used, with the settings that it has by default.

A tuner is a function (parameters, objective, trials, seed), which may call the objective at most so often.
"""

import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from tuning.problem import Parameter, Params, decoded, encoded, shown

__all__ = ["PEERS", "Objective", "Tuner", "available"]

Objective = Callable[[Params], float]
Tuner = Callable[[Sequence[Parameter], Objective, int, int], None]


def suggested(trial: Any, parameters: Sequence[Parameter]) -> Params:
    """The parameters of a trial of Optuna's kind, written as `if`s would be."""
    found: Params = {}
    for p in parameters:
        if not p.there(found):
            continue
        if p.kind == "float":
            found[p.name] = trial.suggest_float(p.name, p.low, p.high, log=p.log)
        elif p.kind == "int":
            found[p.name] = trial.suggest_int(p.name, int(p.low), int(p.high), log=p.log)
        else:
            found[p.name] = trial.suggest_categorical(p.name, p.options)
    return found


def optuna(sampler: str) -> Tuner:
    """One of Optuna's samplers, with its defaults."""

    def tune(parameters: Sequence[Parameter], objective: Objective, trials: int, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(sampler=getattr(optuna.samplers, sampler)(seed=seed))
        study.optimize(lambda trial: objective(suggested(trial, parameters)), n_trials=trials)

    return tune


def rustuna(parameters: Sequence[Parameter], objective: Objective, trials: int, seed: int) -> None:
    import rustuna

    study = rustuna.create_study(sampler=rustuna.samplers.TPESampler(seed=seed))
    study.optimize(lambda trial: objective(suggested(trial, parameters)), n_trials=trials)


def hyperopt(parameters: Sequence[Parameter], objective: Objective, trials: int, seed: int) -> None:
    from hyperopt import Trials, fmin, hp, tpe

    def leaf(p: Parameter) -> Any:
        if p.kind == "choice":
            kids = {option: [q for q in parameters if (q.parent, q.value) == (p.name, option)] for option in p.options}
            inside = [{"": option, **{q.name: leaf(q) for q in kids[option]}} for option in p.options]
            return hp.choice(p.name, inside)
        low, high = (math.log(p.low), math.log(p.high)) if p.log else (p.low, p.high)
        if p.kind == "float":
            return (hp.loguniform if p.log else hp.uniform)(p.name, low, high)
        return hp.qloguniform(p.name, low, high, 1) if p.log else hp.uniformint(p.name, p.low, p.high)

    kinds = {p.name: p for p in parameters}

    def flat(nested: Params) -> Params:
        found: Params = {}
        for name, value in nested.items():
            if isinstance(value, dict):
                found[name] = value[""]
                found |= flat({key: inner for key, inner in value.items() if key})
            elif kinds[name].kind == "int":
                found[name] = int(min(max(value, kinds[name].low), kinds[name].high))
            else:
                found[name] = value
        return found

    space = {p.name: leaf(p) for p in parameters if not p.parent}
    fmin(
        lambda nested: objective(shown(parameters, flat(nested))), space, algo=tpe.suggest, max_evals=trials,
        trials=Trials(), rstate=np.random.default_rng(seed), show_progressbar=False, verbose=False,
    )  # fmt: skip


def skopt(parameters: Sequence[Parameter], objective: Objective, trials: int, seed: int) -> None:
    """scikit-optimize has no conditions: what is not there is searched all the same."""
    from skopt import gp_minimize
    from skopt.space import Categorical, Integer, Real

    dimensions: list[Any] = []
    for p in parameters:
        prior = "log-uniform" if p.log else "uniform"
        if p.kind == "choice":
            dimensions.append(Categorical(p.options, name=p.name))
        else:
            dimensions.append((Real if p.kind == "float" else Integer)(p.low, p.high, prior, name=p.name))

    def f(row: list[Any]) -> float:
        every = {p.name: getattr(v, "item", lambda v=v: v)() for p, v in zip(parameters, row, strict=True)}
        return objective(shown(parameters, every))

    gp_minimize(f, dimensions, n_calls=trials, n_initial_points=10, random_state=seed, n_jobs=1)


def botorch(parameters: Sequence[Parameter], objective: Objective, trials: int, seed: int) -> None:
    """The loop of BoTorch's tutorials: a single-task process, noisy log expected improvement, choices by one hot each.

    A fit that fails gives a random point.
    """
    import torch
    from botorch.acquisition.logei import qLogNoisyExpectedImprovement
    from botorch.exceptions import ModelFittingError
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Standardize
    from botorch.optim import optimize_acqf
    from botorch.sampling import SobolQMCNormalSampler
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.manual_seed(seed)
    d = sum(max(1, len(p.options)) for p in parameters)
    sides = torch.tensor([[0.0] * d, [1.0] * d], dtype=torch.float64)
    rows: list[list[float]] = []
    losses: list[float] = []

    def evaluate(u: torch.Tensor) -> None:
        every = decoded(parameters, u.tolist())
        losses.append(-objective(shown(parameters, every)))
        rows.append(encoded(parameters, every))

    for u in torch.quasirandom.SobolEngine(d, scramble=True, seed=seed).draw(min(10, trials), dtype=torch.float64):
        evaluate(u)
    for i in range(10, trials):
        xs, ys = torch.tensor(rows, dtype=torch.float64), torch.tensor(losses, dtype=torch.float64)[:, None]
        model = SingleTaskGP(xs, ys, outcome_transform=Standardize(1))
        try:
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        except ModelFittingError:
            evaluate(torch.rand(d, dtype=torch.float64))
            continue
        draws = SobolQMCNormalSampler(torch.Size([64]), seed=seed + i)
        gain = qLogNoisyExpectedImprovement(model, xs, sampler=draws, prune_baseline=True)
        options = {"maxiter": 100, "batch_limit": 8}
        found, _ = optimize_acqf(gain, sides, q=1, num_restarts=4, raw_samples=64, options=options)
        evaluate(found[0].detach())


PEERS: dict[str, tuple[str, Tuner]] = {
    "optuna random": ("optuna", optuna("RandomSampler")),
    "optuna tpe": ("optuna", optuna("TPESampler")),
    "optuna gp": ("optuna", optuna("GPSampler")),
    "optuna cma-es": ("optuna", optuna("CmaEsSampler")),
    "rustuna tpe": ("rustuna", rustuna),
    "hyperopt tpe": ("hyperopt", hyperopt),
    "scikit-optimize gp": ("skopt", skopt),
    "botorch": ("botorch", botorch),
}
"""By name: the package that is needed, and the tuner."""


def available(names: Sequence[str]) -> tuple[dict[str, Tuner], list[str]]:
    """The peers of these names that are installed, and a sentence about each that is not."""
    here = {name: PEERS[name] for name in names}
    absent = [f"{name} is left out: {package} is not installed" for name, (package, _) in here.items()
              if find_spec(package) is None]  # fmt: skip
    return {name: tune for name, (package, tune) in here.items() if find_spec(package) is not None}, absent
