"""Optuna's samplers (Akiba, Sano, Yanase, Ohta, Koyama 2019, "Optuna: a next-generation hyperparameter optimization
framework")."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from descend.errors import InvalidValue
from descend.faces.base import Face, Talk, library, seed, sides, told
from descend.key import Key
from descend.population.base import whole
from descend.space.domain import Domain

__all__ = ["Optuna"]


@dataclass(frozen=True)
class Optuna(Face):
    """A sampler of Optuna, by its name; it must have bounds.

    Args:
        name: TPESampler (default), CmaEsSampler, GPSampler, QMCSampler, RandomSampler, NSGAIISampler or another one.
        at_once: at least 1, how many points are asked before the first of them is told; default 1.
        options: arguments of its class, as ``{"multivariate": True}``; default Optuna's own.

    The first question is the first point. Discrete coordinates are integers to Optuna, or categories where they have no
    order; a failure is a failed trial.

    Raises:
        InvalidValue: there is no such sampler, or at_once is no whole number >= 1; or, at the start, a coordinate has
            no two sides.
        MissingExtra: Optuna is not installed.

    >>> import torch
    >>> method, x = Optuna("RandomSampler"), torch.zeros(2)
    >>> state, xs = method.ask(method.init(x, Key(0), Domain.box(x - 1, x + 1)))
    >>> xs
    tensor([[0., 0.]])
    """

    name: str = "TPESampler"
    at_once: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        whole(self, "at_once", self.at_once, 1, 1)
        samplers = library("optuna", "optuna", "optuna").samplers
        names = sorted(name for name in dir(samplers) if name.endswith("Sampler") and name != "BaseSampler")
        if self.name not in names:
            raise InvalidValue(f"Optuna has no sampler {self.name!r}; write one of {names}")

    def talk(self, x: np.ndarray, domain: Domain, key: Key) -> Talk:
        optuna = library("optuna", "optuna", "optuna")
        parameters = _Parameters(optuna.distributions, domain, self)
        sampler = getattr(optuna.samplers, self.name)(**{"seed": seed(key), **self.options})
        loud = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces every study
        study = optuna.create_study(sampler=sampler)
        optuna.logging.set_verbosity(loud)
        study.enqueue_trial(parameters.named(x))
        while True:
            trials = [study.ask(parameters.of) for _ in range(self.at_once)]
            losses = yield np.array([parameters.point(trial.params) for trial in trials])
            for trial, loss in zip(trials, losses.tolist(), strict=True):
                failed = optuna.trial.TrialState.FAIL if loss == np.inf else None
                study.tell(trial, None if failed else loss, state=failed)


class _Parameters:
    """The coordinates as Optuna's parameters x0, x1, ..."""

    def __init__(self, distributions: Any, domain: Domain, who: object) -> None:
        self.low, high = sides(domain, who)
        self.cells = told(domain.cells).astype(int)
        self.width = (high - self.low) / np.maximum(self.cells, 1)
        self.of = {}
        for i, (k, loose) in enumerate(zip(self.cells.tolist(), domain.unordered.tolist(), strict=True)):
            if k == 0:
                row = distributions.FloatDistribution(float(self.low[i]), float(high[i]))
            elif loose:
                row = distributions.CategoricalDistribution(list(range(k)))
            else:
                row = distributions.IntDistribution(0, k - 1)
            self.of[f"x{i}"] = row

    def point(self, values: Mapping[str, Any]) -> np.ndarray:
        """What Optuna suggests as a point (d,)."""
        given = np.array([values[name] for name in self.of], dtype=float)
        return np.where(self.cells > 0, self.low + (given + 0.5) * self.width, given)

    def named(self, x: np.ndarray) -> dict[str, Any]:
        """A point (d,) as Optuna writes it."""
        cell = np.clip((x - self.low) // self.width, 0, np.maximum(self.cells - 1, 0)).astype(int)
        return {name: int(cell[i]) if self.cells[i] else float(x[i]) for i, name in enumerate(self.of)}
