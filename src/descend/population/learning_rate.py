"""Learning rates that adapt to the signal: a generation counts for less where the last ones pulled in different ways.

Nomura, Akimoto and Ono 2023, "CMA-ES with learning rate adaptation" (LRA-CMA-ES, arXiv:2304.03473). It solves noisy and
multimodal problems with the default population. Symbols: for theta = m (the mean) and Sigma = sigma^2 C, the averages
E and V of an update and of its square, both in coordinates where Sigma is the identity, and the rate eta.
"""

import math

import torch
from torch import Tensor

from descend.population.cma_update import Gaussian
from descend.population.covariance import Whole
from descend.tree import state

__all__ = ["Signal", "slowed"]

_ALPHA = 1.4
"""The signal-to-noise ratio that is aimed at, in units of eta."""
_BETA_MEAN, _BETA_COVARIANCE, _GAMMA = 0.1, 0.03, 0.1


@state
class Signal:
    """What the last updates had in common: mean (d,) and covariance (d, d) are E, their sizes V, their rates eta."""

    mean: Tensor
    covariance: Tensor
    mean_size: float
    covariance_size: float
    mean_rate: float
    covariance_rate: float

    @staticmethod
    def begin(like: Tensor) -> "Signal":
        """Nothing yet, for points like `like` (d,)."""
        d = like.shape[0]
        return Signal(torch.zeros_like(like), like.new_zeros(d, d), 0.0, 0.0, 1.0, 1.0)


def slowed(old: Gaussian, old_matrix: Tensor, new: Gaussian, signal: Signal) -> tuple[Gaussian, Signal]:
    """The distribution, of an update only as much as it is worth.

    Args:
        old: before the update; its covariance was decomposed when it was made.
        old_matrix: its C (d, d), which the update may have overwritten.
        new: after the update.
        signal: of the updates so far.
    """
    d, vectors, roots = len(old.mean), old.held.vectors, old.held.roots
    root = (vectors / roots) @ vectors.T / old.sigma  # Sigma^-1/2
    before = old_matrix * old.sigma**2
    change = new.held.matrix * new.sigma**2 - before
    step = new.mean - old.mean
    local_step = root @ (step / old.scale)
    local_change = (root @ change @ root) / math.sqrt(2)
    mean, mean_size, mean_rate = _adapted(signal.mean, signal.mean_size, signal.mean_rate, local_step, _BETA_MEAN)
    covariance, covariance_size, covariance_rate = _adapted(
        signal.covariance, signal.covariance_size, signal.covariance_rate, local_change, _BETA_COVARIANCE
    )
    values, vectors = torch.linalg.eigh(before + covariance_rate * change)
    values = values.clamp_min(torch.finfo(values.dtype).tiny)
    sigma = math.exp(float(values.log().sum()) / (2 * d))
    values = values / sigma**2
    roots = values.sqrt()
    held = Whole((vectors * values) @ vectors.T, vectors, roots, 0, (float(roots[0]), float(roots[-1])))
    # the best sigma is inversely proportional to the rate of the mean
    sigma *= signal.mean_rate / mean_rate
    after = Gaussian(old.mean + mean_rate * step, sigma, old.scale, held, new.path_sigma, new.path, new.g)
    return after, Signal(mean, covariance, mean_size, covariance_size, mean_rate, covariance_rate)


def _adapted(average: Tensor, size: float, rate: float, update: Tensor, beta: float) -> tuple[Tensor, float, float]:
    """The averages with one more update, and the rate that the signal-to-noise ratio asks for."""
    average = torch.lerp(average, update, beta)
    size = (1 - beta) * size + beta * float((update * update).sum())
    signal = float((average * average).sum())
    noise = size - signal
    ratio = (signal - beta / (2 - beta) * size) / noise if noise > 0 else math.inf
    relative = min(1.0, max(-1.0, ratio / _ALPHA / rate - 1))
    return average, size, min(1.0, rate * math.exp(min(_GAMMA * rate, beta) * relative))
