"""pymoo's methods for one objective (Blank, Deb 2020, "pymoo: multi-objective optimization in Python")."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from descend.errors import InvalidValue
from descend.faces.base import Face, Talk, library, seed, sides
from descend.key import Key
from descend.space.domain import Domain

__all__ = ["Pymoo"]

_ROWS = {  # where pymoo keeps it, and whether it begins at x
    "CMAES": ("cmaes", True),
    "DE": ("de", False),
    "DIRECT": ("direct", False),
    "ES": ("es", False),
    "G3PCX": ("g3pcx", False),
    "GA": ("ga", False),
    "ISRES": ("isres", False),
    "NRBO": ("nrbo", False),
    "NicheGA": ("ga_niching", False),
    "PSO": ("pso", False),
    "RandomSearch": ("random_search", False),
    "SRES": ("sres", False),
}


@dataclass(frozen=True)
class Pymoo(Face):
    """A method of pymoo, by its name; it must have bounds.

    Args:
        name: CMAES, which begins at x, or DE (default), DIRECT, ES, G3PCX, GA, ISRES, NRBO, NicheGA, PSO, RandomSearch
            or SRES, which sample.
        options: arguments of its class, as ``{"pop_size": 50}``; default pymoo's own.

    Raises:
        InvalidValue: there is no such method; or, at the start, a coordinate has no two sides.
        MissingExtra: pymoo is not installed.

    >>> import torch
    >>> method, x = Pymoo("DE", {"pop_size": 12}), torch.zeros(4)
    >>> state, xs = method.ask(method.init(x, Key(0), Domain.box(x - 1, x + 1)))
    >>> xs.shape
    torch.Size([12, 4])
    """

    name: str = "DE"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in _ROWS:
            raise InvalidValue(f"pymoo has no method {self.name!r} here; write one of {sorted(_ROWS)}")
        library("pymoo", "pymoo", "pymoo")

    def talk(self, x: np.ndarray, domain: Domain, key: Key) -> Talk:
        def part(name: str) -> Any:
            return library(f"pymoo.{name}", "pymoo", "pymoo")

        low, high = sides(domain, self)
        file, from_x = _ROWS[self.name]
        options = {"x0": x, **self.options} if from_x else self.options
        search = getattr(part(f"algorithms.soo.nonconvex.{file}"), self.name)(**options)
        problem = part("core.problem").Problem(n_var=len(x), n_obj=1, xl=low, xu=high)
        search.setup(problem, termination=part("core.termination").NoTermination(), seed=seed(key))
        evaluate = part("core.evaluator").Evaluator().eval
        while search.has_next():
            some = search.ask()
            if some is None or len(some) == 0:
                break
            losses = yield np.atleast_2d(some.get("X").astype(float))
            evaluate(part("problems.static").StaticProblem(problem, F=losses[:, None]), some)
            search.tell(infills=some)
        return f"pymoo's {self.name} has nothing more to ask"
