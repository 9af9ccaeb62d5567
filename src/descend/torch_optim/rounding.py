"""How a float32 step is written into bfloat16 or float16 parameters, which would swallow most of it.

A step of 1e-6 on weights of size 0.05 is a hundredth of bfloat16's spacing there: rounded to nearest, 99 % of it is
lost. `Stochastic` rounds up with the probability that keeps the mean (Forsythe 1950; Gupta, Agrawal, Gopalakrishnan,
Narayanan 2015, "Deep learning with limited numerical precision", arXiv:1502.02551); `Feedback` keeps what rounding cut
off and adds it to the next step (Kahan 1965; Zamirai, Zhang, Aberger, De Sa 2020, arXiv:2010.06192).

The sum p + step is made in float32 and rounded once. Random bits belong to (step key, global offset), so replays and
replicas agree bit for bit on every device and however the parameters are cut: see `descend.noise.rounding`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.layout import add_all, copy_all
from descend.noise import round_stochastically

__all__ = ["Feedback", "Nearest", "Rounding", "Stochastic", "as_rounding"]

_NARROW = frozenset((torch.bfloat16, torch.float16))


class Rounding(ABC):
    """How steps are written into parameters narrower than float32; wider parameters take them as they are."""

    def working(self, dtype: torch.dtype) -> torch.dtype:
        """The type in which directions, and transforms' memories, of parameters of this type are held."""
        return torch.float32 if dtype in _NARROW else dtype

    def rounds(self, pieces: Sequence[Tensor]) -> bool:
        """Whether it has to see a step on these tensors; if not, they may be added to directly."""
        return any(piece.dtype in _NARROW for piece in pieces)

    def init(self, tensors: Sequence[Tensor]) -> Tensor | None:
        """What it remembers of these parameters before the first step: one number for each of theirs, (d,), or None."""
        return None

    def add(
        self, pieces: Sequence[Tensor], direction: Tensor, scale: float, key: Key, start: int, residual: Tensor | None
    ) -> None:
        """pieces += scale * direction, in place.

        Args:
            pieces: tensors of any shapes, strides and dtypes that lie one after another in the flat point.
            direction: (len,), their elements in logical order, in the `working` type; not changed.
            scale: of the direction.
            key: the step's.
            start: global flat offset of the first element.
            residual: the (len,) stretch of what `init` made, written in place.
        """
        for dtype, run, a, b in _runs(pieces):
            if dtype in _NARROW:
                step = (direction[a:b] * scale).float()  # a new tensor: a direction may be a transform's memory
                self._add_narrow(
                    run, step, key.fold("rounding").seed, start + a, None if residual is None else residual[a:b]
                )
            else:
                add_all(run, _shaped(direction[a:b], run), scale)

    @abstractmethod
    def _add_narrow(self, pieces: list[Tensor], step: Tensor, seed: int, start: int, residual: Tensor | None) -> None:
        """pieces += step (len,), which is float32 and consumed; the pieces have one narrow dtype."""


@dataclass(frozen=True)
class Nearest(Rounding):
    """To the nearest, ties to even, as torch does: a step below half the spacing of a parameter is lost.

    Directions and memories have the parameters' own type, as in torch's optimizers.

    >>> p = torch.ones(1000, dtype=torch.bfloat16)
    >>> Nearest().add([p], torch.ones(1000, dtype=torch.bfloat16), 1e-3, Key(0), 0, None)
    >>> p.float().mean().item()
    1.0
    """

    def working(self, dtype: torch.dtype) -> torch.dtype:
        return dtype

    def rounds(self, pieces: Sequence[Tensor]) -> bool:
        return False

    def add(
        self, pieces: Sequence[Tensor], direction: Tensor, scale: float, key: Key, start: int, residual: Tensor | None
    ) -> None:
        add_all(list(pieces), _shaped(direction, pieces), scale)

    def _add_narrow(self, pieces: list[Tensor], step: Tensor, seed: int, start: int, residual: Tensor | None) -> None:
        add_all(pieces, _shaped(step, pieces), 1.0)


@dataclass(frozen=True)
class Stochastic(Rounding):
    """Up or down with the probabilities that keep the mean; no memory.

    The expected parameter moves by exactly the float32 step, whatever its size; each step adds rounding noise of at
    most half a spacing (standard deviation), which averages out over steps as the noise of an estimate does.

    >>> p = torch.ones(100_000, dtype=torch.bfloat16)
    >>> Stochastic().add([p], torch.ones(100_000), 1e-3, Key(0), 0, None)
    >>> round(p.float().mean().item(), 4)
    1.001
    """

    def _add_narrow(self, pieces: list[Tensor], step: Tensor, seed: int, start: int, residual: Tensor | None) -> None:
        views = _shaped(step, pieces)
        add_all(views, pieces, 1.0)
        round_stochastically(step, pieces[0].dtype, seed, start=start)
        copy_all(pieces, views)


@dataclass(frozen=True)
class Feedback(Rounding):
    """To the nearest, and what was cut off is kept and added to the next step: 2 bytes a parameter.

    The remainder is held in the parameters' own type and is itself rounded stochastically, so that no step is too
    small for it either: the sum of parameter and remainder moves by the step on average, with less noise than under
    `Stochastic` by the factor by which the remainder's spacing is finer than the parameter's, mostly more than 100.

    >>> p = torch.ones(1000, dtype=torch.bfloat16)
    >>> feedback = Feedback()
    >>> residual = feedback.init([p])
    >>> for t in range(100):
    ...     feedback.add([p], torch.ones(1000), 1e-3, Key(t), 0, residual)
    >>> round(p.float().mean().item(), 2)
    1.1
    """

    def init(self, tensors: Sequence[Tensor]) -> Tensor | None:
        narrow = {p.dtype for p in tensors if p.dtype in _NARROW}
        if not narrow:
            return None
        dtype = narrow.pop() if len(narrow) == 1 else torch.float32
        return torch.zeros(sum(p.numel() for p in tensors), dtype=dtype, device=tensors[0].device)

    def _add_narrow(self, pieces: list[Tensor], step: Tensor, seed: int, start: int, residual: Tensor | None) -> None:
        assert residual is not None
        step.add_(residual)
        before, after = torch.empty_like(step), torch.empty_like(step)
        copy_all(_shaped(before, pieces), pieces)
        copy_all(pieces, _shaped(torch.add(before, step, out=after), pieces))
        copy_all(_shaped(after, pieces), pieces)
        step.sub_(after.sub_(before))  # what is left of it; where nothing moved, that is exactly all of it
        step.nan_to_num_(0.0, 0.0, 0.0)  # nothing is carried over from a parameter that overflowed
        if residual.dtype in _NARROW:
            round_stochastically(step, residual.dtype, seed, start=start)
        residual.copy_(step)


def as_rounding(rounding: Rounding) -> Rounding:
    """The object a user gave, or a sentence if it is none.

    >>> as_rounding(Stochastic())
    Stochastic()
    """
    if not isinstance(rounding, Rounding):
        raise InvalidValue(f"rounding must be an object such as Stochastic(), got {rounding!r}; call the class")
    return rounding


def _shaped(flat: Tensor, pieces: Sequence[Tensor]) -> list[Tensor]:
    """A flat tensor as views shaped like the pieces, one after another."""
    if len(pieces) == 1:
        return [flat.view(pieces[0].shape)]
    return [part.view(piece.shape) for part, piece in zip(flat.split([p.numel() for p in pieces]), pieces, strict=True)]


def _runs(pieces: Sequence[Tensor]) -> Iterator[tuple[torch.dtype, list[Tensor], int, int]]:
    """Neighbours of one dtype: (dtype, pieces, where they begin and end in the flat stretch)."""
    a = 0
    for dtype, group in groupby(pieces, key=lambda piece: piece.dtype):
        run = list(group)
        b = a + sum(piece.numel() for piece in run)
        yield dtype, run, a, b
        a = b
