"""Where to ask when losses are noisy: what would tell most about where the least mean is, and now and then that place.

Expected improvement asks ever nearer to the best point, where noise hides all differences. The knowledge gradient asks
where the answer would lower the least mean of the process most, wherever that is: mostly on the slopes about a minimum,
which pin it down (Frazier, Powell and Dayanik 2009, "The knowledge-gradient policy for correlated normal beliefs").
Points that were evaluated before are preferred where they tell nearly as much.

As it is visited points that are recommended, every fourth question is for the best of them, or for where the mean is
least, if that is better by more than half the deviation of the difference. Steps that noise could have suggested are
not taken.

Symbols: mean_a the means of the points a that may be best; c_xa the covariance of x and a; y an answer at x, of
variance v_x + noise; z = (y - mean_x) / sqrt(v_x + noise); the gain of x is min_a mean_a - E min_a (mean_a + s_xa z)
with s_xa = c_xa / sqrt(v_x + noise), where x is one of the a.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from descend.key import Key
from descend.model.gp.features import Features
from descend.model.gp.process import Process
from descend.model.gp.score import Score
from descend.model.gp.seek import Seek

__all__ = ["Knowledge", "knowledge_gain"]

_TURN = 4
"""Every so many questions one is for the best point."""
_SURE = 0.5
"""Deviations of a difference of means by which a new best point has to be better than those that were visited."""
_NEARLY = 0.8
"""The part of the highest gain that is enough for a point that was evaluated before."""
_TRIES = 200
_RIVALS = 96
"""Points that may be best."""
_KNOWN = 300
"""Visited points, the best ones, that may be asked again."""
_LEVELS = 16
"""Equally likely z of which means are taken."""


def knowledge_gain(process: Process, phi: Tensor, rivals: Tensor) -> Tensor:
    """By how much the least mean is expected to fall by an answer at features phi (k, p), of rivals (a, p) and of that
    point itself: (k,).

    >>> from descend.model.gp.process import condition
    >>> phi, owner = torch.tensor([[0.0], [1.0]], dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    >>> theta = torch.log(torch.tensor([0.5, 0.1], dtype=torch.float64))
    >>> process = condition(theta, phi, owner, torch.tensor([1.0, -1.0], dtype=torch.float64), 2.0)
    >>> worst, between = knowledge_gain(process, torch.tensor([[0.0], [0.6]], dtype=torch.float64), phi).tolist()
    >>> between > 10 * worst
    True
    """
    z = torch.special.ndtri((torch.arange(_LEVELS, dtype=phi.dtype) + 0.5) / _LEVELS)
    z = z / z.square().mean().sqrt()
    means, (mean, deviation) = process.means(rivals), process(phi)
    spread = (deviation.square() + process.noise).sqrt()
    steps, own = process.covariances(phi, rivals) / spread[:, None], deviation.square() / spread
    least = [torch.minimum((means + steps * level).amin(1), mean + own * level) for level in z.tolist()]
    return torch.minimum(means.min(), mean) - torch.stack(least).mean(0)


@dataclass(frozen=True, eq=False)
class Knowledge:
    """The next question of a search under noise.

    Fields: features; process, of the losses as they are, not warped; known (n, d), centred points that were evaluated
    and may be recommended; seen (m, d), those and all others that were asked for; turn, the number of the question.
    """

    features: Features
    process: Process
    known: Tensor
    seen: Tensor
    turn: int

    def __call__(self, key: Key) -> Tensor:
        """A point (d,)."""
        known = self.known.unique(dim=0)
        known = known[self.process.means(self.features.at(known)).argsort(stable=True)[:_KNOWN]]
        zeros, ones = torch.zeros_like(known[0]), torch.ones_like(known[0])
        lowest = Seek(Score(self.features, (self.process,), _low), self.seen, known[:8], zeros, ones)
        if self.turn % _TURN == 0:
            return self._best(known[0], lowest(key, 64, 3, 20))
        us = torch.cat([known, lowest.tries(_TRIES, key)])
        phi = self.features.at(us)
        rivals = phi[self.process.means(phi).argsort(stable=True)[:_RIVALS]]
        gains = knowledge_gain(self.process, phi, rivals)
        again = gains[: len(known)]
        return us[int((again if float(again.max()) >= _NEARLY * float(gains.max()) else gains).argmax())]

    def _best(self, old: Tensor, new: Tensor) -> Tensor:
        """The new point (d,), or the old one, if it is not surely worse."""
        phi = self.features.at(torch.stack([old, new]))
        worse, better = self.process.means(phi).tolist()
        (a, b), (_, c) = self.process.covariances(phi, phi).tolist()
        return new if worse - better > _SURE * max(0.0, a + c - 2 * b) ** 0.5 else old


def _low(means: Tensor, deviations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The promise of a low mean."""
    return -means[0], -torch.ones_like(means), torch.zeros_like(deviations)
