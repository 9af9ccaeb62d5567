"""The CMA-ES of pycma (Hansen, Akimoto, Baudis 2019, "CMA-ES/pycma on Github")."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from descend.faces.base import Face, Talk, library, seed, told
from descend.key import Key
from descend.population.base import positive
from descend.space.domain import Domain

__all__ = ["PyCMA"]


@dataclass(frozen=True)
class PyCMA(Face):
    """CMA-ES by its author: one run, without restarts.

    Args:
        sigma: > 0, the first step size, in typical lengths; default 0.2.
        options: of `cma.CMAOptions`; default pycma's own, with bounds if there are any, and with `integer_variables`
            for discrete coordinates that have an order.

    Raises:
        InvalidValue: sigma is not positive and finite.
        MissingExtra: pycma is not installed.

    >>> import torch
    >>> method, x = PyCMA(), torch.zeros(4)
    >>> state, xs = method.ask(method.init(x, Key(0), Domain.box(x - 1, x + 1)))
    >>> xs.shape
    torch.Size([8, 4])
    """

    sigma: float = 0.2
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        positive(self, "sigma", self.sigma, 0.2)
        library("cma", "pycma", "pycma")

    def talk(self, x: np.ndarray, domain: Domain, key: Key) -> Talk:
        cma = library("cma", "pycma", "pycma")
        low, high, scale = told(domain.lower), told(domain.upper), told(domain.scale)
        # pycma takes integers as such: cell i of a discrete coordinate is i, and a cell has the length 1
        whole = told((domain.cells > 0) & ~domain.unordered) > 0
        cells = np.maximum(told(domain.cells), 1)
        unit = np.where(whole, np.where(whole, high - low, 1.0) / cells, 1.0)
        zero = np.where(whole, np.where(whole, low, 0.0) + 0.5 * unit, 0.0)
        random = np.random.RandomState(seed(key))  # pycma would seed the one that is everybody's
        options = {"verbose": -9, "seed": np.nan, "randn": random.randn, "CMA_stds": scale / unit}
        if domain.bounded:
            ends = ((low - zero) / unit, (high - zero) / unit)
            options["bounds"] = [[float(s) if np.isfinite(s) else None for s in side] for side in ends]
        if whole.any():
            options["integer_variables"] = np.flatnonzero(whole).tolist()
        search = cma.CMAEvolutionStrategy((x - zero) / unit, self.sigma, {**options, **self.options})
        while not search.stop():
            us = search.ask()
            losses = yield zero + unit * np.array(us)
            search.tell(us, losses)
        reasons = ", ".join(f"{name}={value}" for name, value in search.stop().items())
        return f"pycma stopped: {reasons}"
