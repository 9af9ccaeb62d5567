"""Nevergrad's optimizers (Rapin, Teytaud 2018, "Nevergrad - a gradient-free optimization platform")."""

from dataclasses import dataclass

import numpy as np

from descend.errors import InvalidValue
from descend.faces.base import Face, Talk, library, seed, sides, told
from descend.key import Key
from descend.population.base import positive, whole
from descend.space.domain import Domain

__all__ = ["Nevergrad"]


@dataclass(frozen=True)
class Nevergrad(Face):
    """An optimizer of Nevergrad, by its name in its registry.

    Args:
        name: CMA, DE, OnePlusOne, PSO, TBPSA, TwoPointsDE (default), NGOpt or another one. Those that choose among
            others (NGOpt) go by `budget`.
        budget: how many evaluations it may count on; default None, unknown. It is not held to it.
        at_once: at least 1, how many points are asked before the first of them is told; default 1.
        sigma: > 0, its first step size, in typical lengths; default 0.2.

    Some names of the registry need more packages, or fail with some versions of NumPy: the run then ends with
    Nevergrad's own words. Either all coordinates have two sides, or points are moved to the sides there are.

    Raises:
        InvalidValue: there is no such optimizer, or a number outside its range.
        MissingExtra: Nevergrad is not installed.
    """

    name: str = "TwoPointsDE"
    budget: int | None = None
    at_once: int = 1
    sigma: float = 0.2

    def __post_init__(self) -> None:
        whole(self, "at_once", self.at_once, 1, 1)
        positive(self, "sigma", self.sigma, 0.2)
        if self.budget is not None:
            whole(self, "budget", self.budget, 1, 1000)
        if self.name not in library("nevergrad", "nevergrad", "nevergrad").optimizers.registry:
            raise InvalidValue(
                f"Nevergrad has no optimizer {self.name!r}; write 'CMA', or another name of its registry"
            )

    def talk(self, x: np.ndarray, domain: Domain, key: Key) -> Talk:
        ng = library("nevergrad", "nevergrad", "nevergrad")
        scale = told(domain.scale)
        # in typical lengths from the first point, so that one sigma is right for all coordinates
        array = ng.p.Array(init=np.zeros(len(x)))
        if domain.bounded and np.isfinite(told(domain.upper - domain.lower)).all():
            low, high = sides(domain, self)
            array.set_bounds((low - x) / scale, (high - x) / scale)
        array.set_mutation(sigma=self.sigma)
        array.random_state = np.random.RandomState(seed(key))
        make = ng.optimizers.registry[self.name]
        search = make(parametrization=array, budget=self.budget, num_workers=self.at_once)
        while True:
            some = [search.ask() for _ in range(self.at_once)]
            losses = yield x + scale * np.array([one.value for one in some])
            for one, loss in zip(some, losses.tolist(), strict=True):
                search.tell(one, loss)
