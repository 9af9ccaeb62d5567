"""The mutations of differential evolution: each is a row that says where a mutant begins and what it is drawn by.

    v_i = b + F (t - b) + F sum over pairs of (x_r - x_s)        (1)

with the base b and the target t of the row. Storn, Price (1997), "Differential evolution: a simple and efficient
heuristic for global optimization over continuous spaces"; current-to-pbest: Zhang, Sanderson (2009), JADE.
"""

from dataclasses import dataclass

from descend.errors import InvalidValue

__all__ = ["MUTATIONS", "Mutation", "as_mutation"]

MEMBERS = ("current", "random", "best", "good")


@dataclass(frozen=True)
class Mutation:
    """A row of the table: equation (1).

    Args:
        base: b: the "current" member x_i, a "random" one, the "best", or a "good" one: one of the best by chance.
        target: t, one of the same; default None, the base itself, so that there is no pull.
        pairs: how many differences of random members are added, >= 1; default 1.
        archive: whether the second member of a pair may be one that was replaced before; default False.

    Raises:
        InvalidValue: an unknown name, or a number of pairs < 1.

    >>> MUTATIONS["rand/1"]
    Mutation(base='random', target=None, pairs=1, archive=False)
    """

    base: str
    target: str | None = None
    pairs: int = 1
    archive: bool = False

    def __post_init__(self) -> None:
        for name in (self.base, self.target):
            if name is not None and name not in MEMBERS:
                raise InvalidValue(f"a mutation begins at or is drawn to one of {', '.join(MEMBERS)}, not {name!r}")
        if type(self.pairs) is not int or self.pairs < 1:
            raise InvalidValue(f"a mutation needs a whole number pairs >= 1, got {self.pairs!r}; write pairs=1")

    @property
    def strangers(self) -> int:
        """How many random members a mutant needs, all different from each other and from the current one."""
        return 2 * self.pairs + (self.base == "random") + (self.target == "random")


MUTATIONS = {
    "rand/1": Mutation("random"),
    "rand/2": Mutation("random", pairs=2),
    "best/1": Mutation("best"),
    "best/2": Mutation("best", pairs=2),
    "rand-to-best/1": Mutation("random", "best"),
    "current-to-best/1": Mutation("current", "best"),
    "current-to-rand/1": Mutation("current", "random"),
    "current-to-pbest/1": Mutation("current", "good", archive=True),
}
"""By the names of the field: base, pull and the number of pairs."""


def as_mutation(mutation: "Mutation | str") -> Mutation:
    """A row, or the row of a name.

    Raises:
        InvalidValue: an unknown name.
    """
    if isinstance(mutation, Mutation):
        return mutation
    if mutation not in MUTATIONS:
        raise InvalidValue(f"there is no mutation {mutation!r}; write one of {', '.join(MUTATIONS)}, or Mutation(...)")
    return MUTATIONS[mutation]
