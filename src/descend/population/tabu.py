"""Tabu search: always on to the best neighbour, a worse one if need be, but not back to where it was of late.

Glover 1989, "Tabu search, part I"; with whole points in the memory, the strict form of Battiti and Tecchiolli 1994,
"The reactive tabu search". Neighbours are those of `Annealing`, a sample of them in every turn.
"""

from collections import deque
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from descend.key import Key
from descend.population.annealing import Annealing
from descend.population.base import positive, whole
from descend.population.breeding import SHUFFLES, check_names
from descend.population.conversation import Conversation, Turns
from descend.population.kinds import keyed, kinds, tours
from descend.space.domain import Domain

__all__ = ["Tabu"]


@dataclass(frozen=True)
class Tabu(Conversation):
    """Tabu search over lists, permutations and numbers. Needs no temperature, and leaves local minima at once.

    Args:
        neighbours: how many are asked about at a time, default 50; the same one counts once.
        tenure: for how many moves a point is tabu, default 1000. Such points are not even evaluated.
        width: > 0, of the steps of numbers in units of their typical lengths, default 0.1.
        shuffles: of permutations, some of `SHUFFLES`; default all.

    Where all neighbours are tabu it goes on from a random point.

    Raises:
        InvalidValue: a number outside its range, or a shuffle that does not exist.

    >>> from descend.run import Evaluations, minimize
    >>> from descend.space import Permutation
    >>> def f(order):
    ...     return sum((place - item) ** 2 for place, item in enumerate(order))
    >>> minimize(f, Permutation(6), start=[5, 4, 3, 2, 1, 0], method=Tabu(), until=Evaluations(600), key=0).fun
    0.0
    """

    neighbours: int = 50
    tenure: int = 1000
    width: float = 0.1
    shuffles: tuple[str, ...] = tuple(SHUFFLES)

    def __post_init__(self) -> None:
        whole(self, "neighbours", self.neighbours, 1, 50)
        whole(self, "tenure", self.tenure, 1, 1000)
        positive(self, "width", self.width, 0.1)
        check_names(self, "shuffles", self.shuffles, SHUFFLES)

    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        moves = Annealing(shuffles=self.shuffles)
        at = _canonical(x[None], domain)
        yield at
        recent = deque([_name(at[0])], maxlen=self.tenure)
        size = torch.full_like(x, self.width).expand(self.neighbours, -1)
        for t in count():
            near = moves.neighbours(at.expand(self.neighbours, -1), size, domain, key.fold("near", t))
            fresh = {_name(point): i for i, point in enumerate(near)}
            rows = [i for name, i in fresh.items() if name not in recent]
            if not rows:
                near, rows = _canonical(domain.uniform(1, key.fold("anew", t), x), domain), [0]
            near = near[rows]
            losses = yield near
            i = int(losses.argmin())
            at = near[i : i + 1]
            recent.append(_name(at[0]))
        return "every point is tabu"


def _canonical(xs: Tensor, domain: Domain) -> Tensor:
    """Points (n, d) in the one form that what they mean has."""
    xs = domain.centre(xs)
    for columns in kinds(domain).orders:
        xs = keyed(xs, columns, tours(xs, columns))
    return xs


def _name(x: Tensor) -> bytes:
    return x.numpy(force=True).tobytes()
