"""SMS-EMOA: of the last front the points go whose absence costs least hypervolume.

Beume, Naujoks and Emmerich 2007, "SMS-EMOA: multiobjective selection based on dominated hypervolume". There every
child is judged alone; here a generation of them is, and the points go one after the other.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from descend.pareto.base import Crowd, Many, Selection
from descend.pareto.indicators import contributions
from descend.pareto.nsga2 import ranked_selection
from descend.pareto.thinning import by_area, scaled

__all__ = ["SMSEMOA"]


@dataclass(frozen=True, kw_only=True)
class SMSEMOA(Many):
    """Non-dominated sorting and contributions to the hypervolume (Beume et al. 2007).

    Args:
        popsize: points in the population and in a generation, at least 4; default 100.
        mating: how parents make children, default simulated binary crossover (15, 0.9) and polynomial mutation (20).
        archive: how many points that nobody dominates are kept beside the population, default 0.

    The method where the hypervolume is what counts, for two or three objectives; from four on it becomes slow. From
    three on it needs moocore: pip install 'descend[pareto]'.

    Raises:
        InvalidValue: a number outside its range.
        MissingExtra: moocore is not there, at the first answer with three or more objectives.

    >>> from descend.key import Key
    >>> method = SMSEMOA(popsize=20)
    >>> state = method.init(torch.zeros(3), Key(0))
    >>> for _ in range(5):
    ...     state, xs = method.ask(state)
    ...     state = method.tell(state, xs, torch.stack([xs.square().sum(1), (xs - 1).square().sum(1)], 1))
    >>> state.values.shape
    torch.Size([20, 2])
    """

    def select(self, values: Tensor, violations: Tensor, old: int, state: Crowd) -> Selection:
        return ranked_selection(values, violations, self.popsize, _thinned)


def _thinned(v: np.ndarray, k: int) -> np.ndarray:
    if not np.isfinite(v).all() or v.shape[1] == 1:  # they failed, or were not evaluated; or are all alike
        return np.arange(k)
    if v.shape[1] == 2:
        return by_area(v, k)
    u, left = scaled(v), np.arange(len(v))
    while len(left) > k:
        worth = contributions(torch.from_numpy(u[left]), [1.1] * v.shape[1]).numpy()
        left = np.delete(left, worth.argmin())
    return left
