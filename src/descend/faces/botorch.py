"""Bayesian optimization by BoTorch (Balandat et al. 2020, "BoTorch: a framework for efficient Monte-Carlo Bayesian
optimization"): its single-task Gaussian process and its log noisy expected improvement.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.faces.base import Face, Talk, library, seed, sides, told
from descend.key import Key
from descend.population.base import whole
from descend.space.domain import Domain

__all__ = ["BoTorch"]


@dataclass(frozen=True)
class BoTorch(Face):
    """BoTorch's `SingleTaskGP` and `qLogNoisyExpectedImprovement`, one point at a time, between finite sides.

    Args:
        startup: scrambled Sobol points to begin with, the start among them, >= 2; default 10.
        restarts: climbs of the acquisition, >= 1; default 4.
        tries: points from which these begin, >= 1; default 64.
        draws: Monte Carlo samples, >= 1; default 64.

    Unordered coordinates are one-hot to its model. It draws from torch's global generator, which is set for each
    question and put back.

    Raises:
        InvalidValue: a hyperparameter that is too small.
        MissingExtra: BoTorch is not installed.

    ``minimize(f, space, method=BoTorch(), until=Evaluations(50))``, where BoTorch is installed.
    """

    startup: int = 10
    restarts: int = 4
    tries: int = 64
    draws: int = 64

    def __post_init__(self) -> None:
        whole(self, "startup", self.startup, 2, 10)
        for name, usual in (("restarts", 4), ("tries", 64), ("draws", 64)):
            whole(self, name, getattr(self, name), 1, usual)
        library("botorch", "botorch", "botorch")

    def talk(self, x: np.ndarray, domain: Domain, key: Key) -> Talk:
        low, high = sides(domain, self)
        columns = _Columns(told(domain.cells).astype(int), told(domain.unordered) > 0)
        sobol = torch.quasirandom.SobolEngine(len(x), scramble=True, seed=seed(key))
        us, losses = [(x - low) / (high - low)], list[float]()
        while True:
            answers = yield low + us[-1:] * (high - low)
            losses.append(float(answers[0]))
            if len(us) < self.startup:
                us.append(sobol.draw(1, dtype=torch.float64)[0].numpy())
                continue
            known = np.array([loss if np.isfinite(loss) else np.nan for loss in losses])
            known = np.where(np.isnan(known), np.nanmax(known) if not np.isnan(known).all() else 0.0, known)
            with torch.random.fork_rng(devices=[]):
                torch.random.set_rng_state(key.fold("question", len(us)).generator().get_state())
                spread = columns.spread(torch.from_numpy(np.array(us)))
                best = self._best(spread, torch.from_numpy(-known), seed(key.fold("draws", len(us))))
            us.append(columns.gather(best).numpy())

    def _best(self, points: Tensor, gains: Tensor, number: int) -> Tensor:
        """The point (p,) that promises most after gains (n,) at points (n, p)."""
        parts: Any = {
            name: library(f"botorch.{name}", "botorch", "botorch")
            for name in ("models", "models.transforms", "fit", "acquisition.logei", "sampling", "optim")
        }
        mlls = library("gpytorch.mlls", "botorch", "botorch")
        scale = parts["models.transforms"].Standardize(1)
        model = parts["models"].SingleTaskGP(points, gains[:, None], outcome_transform=scale)
        parts["fit"].fit_gpytorch_mll(mlls.ExactMarginalLogLikelihood(model.likelihood, model))
        sampler = parts["sampling"].SobolQMCNormalSampler(torch.Size([self.draws]), seed=number)
        promise = parts["acquisition.logei"].qLogNoisyExpectedImprovement(
            model, points, sampler=sampler, prune_baseline=True
        )
        box = torch.stack([torch.zeros_like(points[0]), torch.ones_like(points[0])])
        found, _ = parts["optim"].optimize_acqf(promise, box, 1, self.restarts, self.tries)
        return found[0].detach()


@dataclass(frozen=True)
class _Columns:
    """Between points of the unit cube and rows in which unordered coordinates are one-hot. Fields: cells, unordered."""

    cells: np.ndarray
    unordered: np.ndarray

    def spread(self, us: Tensor) -> Tensor:
        """The rows (n, p) of points (n, d)."""
        parts = []
        for i, (k, hot) in enumerate(zip(self.cells, self.unordered, strict=True)):
            place = (us[:, i] * int(k)).long().clamp(0, max(int(k) - 1, 0))
            parts.append(torch.nn.functional.one_hot(place, int(k)).to(us) if hot else us[:, i, None])
        return torch.cat(parts, 1)

    def gather(self, row: Tensor) -> Tensor:
        """The point (d,) of a row (p,)."""
        u, first = [], 0
        for k, hot in zip(self.cells.tolist(), self.unordered, strict=True):
            u.append((row[first : first + k].argmax() + 0.5) / k if hot else row[first])
            first += k if hot else 1
        return torch.stack(u)
