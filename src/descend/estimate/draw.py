"""How a block of random directions is drawn. All have mean zero and E z z^T = I, so they serve one estimator alike.

Independent elementwise laws stay lazy (`Seeded`); those that need all elements or all directions at once
(sphere: their lengths; orthogonal and quasi-random: each other) hold a length each, or a dense block.
"""

import math
from enum import Enum

import torch
from torch import Tensor

from descend.direction import BLOCK, Dense, Directions, LowRank, Rows, Seeded, mirrored
from descend.errors import InvalidValue
from descend.key import Key
from descend.layout import Layout
from descend.noise import Law

__all__ = ["Coupling", "RandomLaw", "check_rank", "draw", "layout_of", "low_rank"]

_SOBOL_DIMENSIONS = 21201


class RandomLaw(Enum):
    """The law of one direction z in R^d.

    SIGN: independent +-1 (Rademacher). NORMAL: independent standard normal. UNIFORM: independent on
    [-sqrt 3, sqrt 3]. SPHERE: uniform on the sphere of radius sqrt d.
    """

    SIGN = "sign"
    NORMAL = "normal"
    UNIFORM = "uniform"
    SPHERE = "sphere"

    def second_moment(self, d: int) -> float:
        """E |(g.z) z|^2 / |g|^2 in d dimensions: what one sample of an estimator costs in variance.

        For independent elements with fourth moment m4 it is d - 1 + m4, on the sphere d.
        """
        return float(d) if self is RandomLaw.SPHERE else d - 1.0 + self.element.fourth_moment

    @property
    def element(self) -> Law:
        """The law of one element where elements are independent; the sphere starts from normal ones."""
        return {"sign": Law.SIGN, "normal": Law.NORMAL, "uniform": Law.UNIFORM, "sphere": Law.NORMAL}[self.value]


class Coupling(Enum):
    """How the directions of one block depend on each other.

    INDEPENDENT: not at all. ANTITHETIC: in pairs z, -z. ORTHOGONAL: mutually orthogonal within every d of them, each
    uniform on the sphere of radius sqrt d whatever the law (Choromanski et al. 2018). QUASI: a scrambled Sobol
    sequence through the law's inverse distribution function.
    """

    INDEPENDENT = "independent"
    ANTITHETIC = "antithetic"
    ORTHOGONAL = "orthogonal"
    QUASI = "quasi"


def draw(law: RandomLaw, coupling: Coupling, count: int, x: Tensor, key: Key) -> Directions:
    """`count` directions at a point x (d,), lazily where the law allows."""
    d = x.numel()
    if coupling is Coupling.ANTITHETIC:
        return mirrored(draw(law, Coupling.INDEPENDENT, count // 2, x, key))
    if coupling is Coupling.ORTHOGONAL:
        return Dense(_orthogonal(count, x, key))
    if coupling is Coupling.QUASI:
        return Dense(_quasi(law, count, x, key))
    seeded = Seeded(key, law.element, count, d)
    return _on_sphere(seeded, x) if law is RandomLaw.SPHERE else seeded


def check_rank(rank: int | None, hold: int, law: RandomLaw, coupling: Coupling) -> None:
    """Raise `InvalidValue` for what low-rank directions cannot be."""
    if rank is None:
        if hold != 1:
            raise InvalidValue(f"only low-rank directions have a subspace to hold, got hold={hold!r}; write rank=1 too")
        return
    if type(rank) is not int or rank < 1:
        raise InvalidValue(f"rank must be an integer of at least 1, got {rank!r}; write rank=1, or None for dense ones")
    if type(hold) is not int or hold < 1:
        raise InvalidValue(f"hold must be a number of steps, at least 1, got {hold!r}; write hold=50, or 1")
    if law is RandomLaw.SPHERE or coupling not in (Coupling.INDEPENDENT, Coupling.ANTITHETIC):
        raise InvalidValue(
            f"low-rank directions are independent or antithetic, with elements of a law of their own; got law="
            f"{law.value!r}, coupling={coupling.value!r}; write law='sign', or leave out rank={rank}"
        )


def low_rank(
    law: RandomLaw, coupling: Coupling, count: int, rank: int, key: Key, layout: Layout, right: Key | None = None
) -> Directions:
    """`count` low-rank directions over the matrices of a layout."""
    if coupling is Coupling.ANTITHETIC:
        return mirrored(LowRank(key, law.element, count // 2, rank, layout, right))
    return LowRank(key, law.element, count, rank, layout, right)


def layout_of(x: Tensor, layout: Layout | None) -> Layout:
    """The layout of a point; where nobody knows of one, it is a vector, which has no matrices."""
    return Layout(("x",), ((x.numel(),),)) if layout is None else layout


def _on_sphere(base: Directions, x: Tensor) -> Rows:
    """Every row brought to length sqrt d; only the factors are held."""
    like = x.new_empty(0, dtype=torch.promote_types(x.dtype, torch.float32))
    squares = torch.zeros(base.count, dtype=torch.float64, device=x.device)
    width = max(1, BLOCK // base.count)
    for start in range(0, base.size, width):
        squares += base.tile(0, base.count, start, min(base.size, start + width), like).double().square().sum(1)
    factors = (base.size / squares).sqrt()
    return Rows(base, tuple(range(base.count)), tuple(factors.tolist()))


def _orthogonal(count: int, x: Tensor, key: Key) -> Tensor:
    """Blocks of at most d rows of sqrt(d) times a Haar-distributed orthogonal matrix."""
    d = x.numel()
    like = x.new_empty(0, dtype=torch.promote_types(x.dtype, torch.float32))
    blocks = []
    for block, first in enumerate(range(0, count, d)):
        rows = min(d, count - first)
        gaussian = key.fold("orthogonal", block).normal(d, rows, like=like)
        q, r = torch.linalg.qr(gaussian)
        blocks.append((q * r.diagonal().sign()).T)  # the signs make it Haar (Mezzadri 2007)
    return math.sqrt(d) * torch.cat(blocks).to(x.dtype)


def _quasi(law: RandomLaw, count: int, x: Tensor, key: Key) -> Tensor:
    d = x.numel()
    if d > _SOBOL_DIMENSIONS:
        raise InvalidValue(
            f"quasi-random directions exist up to {_SOBOL_DIMENSIONS} dimensions, the point has {d}; "
            "write coupling='orthogonal' or 'independent'"
        )
    engine = torch.quasirandom.SobolEngine(d, scramble=True, seed=key.seed & (2**31 - 1))
    u = engine.draw(count, dtype=torch.float64).clamp(2.0**-40, 1 - 2.0**-40)
    if law is RandomLaw.SIGN:
        z = (u < 0.5).double() * 2 - 1
    elif law is RandomLaw.UNIFORM:
        z = (2 * u - 1) * math.sqrt(3.0)
    else:
        z = math.sqrt(2.0) * torch.erfinv(2 * u - 1)
    if law is RandomLaw.SPHERE:
        z *= math.sqrt(d) / z.norm(dim=1, keepdim=True)
    return z.to(x)
