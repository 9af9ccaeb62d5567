"""NLopt's derivative-free minimizers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from descend.errors import InvalidValue
from descend.faces.base import Face, Talk, in_thread, library, seed, sides, told
from descend.key import Key
from descend.space.domain import Domain

__all__ = ["NLopt"]

_WITH_LOCAL = ("G_MLSL", "LN_AUGLAG")  # names of those that run another algorithm begin so
_UNBOUNDED = {"LN_NEWUOA"}


@dataclass(frozen=True)
class NLopt(Face):
    """An algorithm of NLopt, by its name.

    Args:
        name: of an algorithm without derivatives: LN_BOBYQA (default), LN_COBYLA, LN_NELDERMEAD, LN_NEWUOA, LN_PRAXIS,
            LN_SBPLX; GN_CRS2_LM, GN_DIRECT, GN_ESCH, GN_ISRES, GN_MLSL, G_MLSL_LDS and others, which need bounds.
        size: the first step, in typical lengths; default None, NLopt's own choice.
        local: the algorithm that those which run another one run, default LN_BOBYQA.
        options: setters of NLopt by name with their values, ``{"xtol_rel": 1e-8, "population": 50}``; default
            `xtol_rel` 1e-12, so that local algorithms come to an end.

    It runs in a thread of its own. NLopt has one random generator for all, so only one stochastic algorithm at a time
    repeats itself under its key. Some algorithms (LN_NEWUOA_BOUND) have been seen to hang inside of NLopt.

    Raises:
        InvalidValue: there is no such algorithm; or, at the start, it needs bounds and has none.
        MissingExtra: NLopt is not installed.

    >>> from descend.oracle import Function
    >>> import torch
    >>> method, x = NLopt("LN_BOBYQA"), torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> state, f = method.init(x, Key(0)), Function(lambda x: (x - 3).square().sum())
    >>> while not state.done:
    ...     state = method.advance(f, state)
    >>> [round(x, 6) for x in state.x.tolist()]
    [3.0, 3.0]
    """

    name: str = "LN_BOBYQA"
    size: float | None = None
    local: str = "LN_BOBYQA"
    options: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        nlopt = library("nlopt", "nlopt", "nlopt")
        names = [name for name in dir(nlopt) if name.startswith(("LN_", "GN_", "G_"))]
        for name in (self.name, self.local):
            if name not in names:
                raise InvalidValue(f"NLopt has no algorithm {name!r} without derivatives; write one of {names}")
        setters = [name.removeprefix("set_") for name in dir(nlopt.opt) if name.startswith("set_")]
        for name in self.options:
            if name not in setters:
                raise InvalidValue(f"NLopt has no option {name!r}; write some of {setters}")

    def talk(self, x: np.ndarray, domain: Domain, key: Key) -> Talk:
        nlopt = library("nlopt", "nlopt", "nlopt")
        search = nlopt.opt(getattr(nlopt, self.name), len(x))
        if self.name.startswith("G"):
            sides(domain, self)
        if domain.bounded:
            if self.name in _UNBOUNDED:
                raise InvalidValue(f"NLopt's {self.name} knows no bounds; write NLopt('LN_BOBYQA')")
            search.set_lower_bounds(told(domain.lower))
            search.set_upper_bounds(told(domain.upper))
        if self.name.startswith(_WITH_LOCAL) or self.name.startswith("GN_MLSL"):
            local = nlopt.opt(getattr(nlopt, self.local), len(x))
            local.set_xtol_rel(1e-8)
            search.set_local_optimizer(local)
        if self.size is not None:
            search.set_initial_step(self.size * told(domain.scale))
        for name, value in {"xtol_rel": 1e-12, **self.options}.items():
            getattr(search, f"set_{name}")(value)

        def run(objective: Callable[[np.ndarray], np.ndarray]) -> str:
            search.set_min_objective(lambda x, gradient: float(objective(x[None].copy())[0]))
            nlopt.srand(seed(key))
            try:
                search.optimize(x)
            except nlopt.RoundoffLimited:
                return f"{self.name}: progress is limited by rounding"
            return f"{self.name}: NLopt's result {search.last_optimize_result()}"

        return in_thread(run)
