"""What can be asked of an objective, and the base class of everything that answers.

Every question carries a key: the same key means the same minibatch and the same noise. All probes of one gradient
are asked with one key, so common random numbers hold by construction.

Values are Python floats and float64 tensors on the CPU whatever the objective computes in: every consumer compares
or subtracts them, and a difference of two float32 losses must not be rounded once more.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any

import torch
from torch import Tensor

from descend.direction import Combination, Directions
from descend.errors import MissingAnswer
from descend.key import Key
from descend.layout import Layout
from descend.oracle.ledger import Ledger
from descend.space.domain import Domain

__all__ = ["Asks", "Oracle", "Slope", "check_answers", "probes"]


class Asks(Flag):
    """The kinds of questions. An oracle declares which it `answers`, a method which it `needs`."""

    VALUE = auto()
    VALUES = auto()
    GRADIENT = auto()
    JVP = auto()
    HVP = auto()
    RESIDUALS = auto()
    JACOBIAN = auto()
    EXAMPLES = auto()

    def words(self) -> str:
        """The kinds as a list in words, for messages: 'VALUE, GRADIENT'."""
        return ", ".join(kind.name or "" for kind in Asks if kind in self) or "nothing"


_REMEDY = {
    Asks.VALUE: "An objective that returns a number answers it: Function(f).",
    Asks.VALUES: "An objective that returns a number answers it: Function(f).",
    Asks.GRADIENT: "Estimate it, `estimator=SPSA()` or `oracle | FiniteDifference()`, "
    "or let autograd answer: Differentiable(f).",
    Asks.JVP: "Let forward-mode autograd answer, Differentiable(f), "
    "or difference values: ForwardGradient(jvp='central').",
    Asks.HVP: "Difference the gradient, `oracle | DifferencedHvp()`, or let autograd answer: Differentiable(f).",
    Asks.RESIDUALS: "State the problem as residuals: Residuals(forward, data).",
    Asks.JACOBIAN: "State the problem as differentiable residuals, Residuals(forward, data), "
    "or difference them: `oracle | DifferencedJacobian()`.",
    Asks.EXAMPLES: "A loss that returns one number per example answers it: Optimizer(model, ...).step(loss, batch).",
}


def check_answers(asker: object, needs: Asks, oracle: "Oracle") -> None:
    """Raise `MissingAnswer` if the oracle does not answer all that the asker needs."""
    missing = needs & ~oracle.answers
    if missing:
        remedies = " ".join(_REMEDY[kind] for kind in Asks if kind in missing)
        raise MissingAnswer(
            f"{asker!r} asks for {missing.words()}, which {oracle!r} cannot answer "
            f"(it answers {oracle.answers.words()}). {remedies}"
        )


@dataclass(frozen=True, slots=True)
class Slope:
    """What an oracle says about the gradient at x.

    Args:
        gradient: (d,) tensor, or a lazily held combination of directions.
        value: f(x) where it was learned on the way, else NaN.
        nearby: the mean of the values at the probes where probes were made, else NaN; a smoothed f(x).
    """

    gradient: Tensor | Combination
    value: float = math.nan
    nearby: float = math.nan

    @property
    def loss(self) -> float:
        """f(x) if it is known, else the mean of the probes around x."""
        return self.nearby if math.isnan(self.value) else self.value

    def is_finite(self) -> bool:
        """Whether every number of the gradient is finite."""
        if not isinstance(self.gradient, Tensor):
            return self.gradient.is_finite()
        # one reduction in the common case; a sum of finite numbers that overflows is looked at again
        return math.isfinite(float(self.gradient.sum())) or bool(torch.isfinite(self.gradient).all())


def probes(scales: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The distinct points that a matrix of scales names: a scale of zero is the centre, whatever its row.

    Args:
        scales: (n, m) float64.

    Returns:
        (rows, scales, back): p rows int64, p scales, and an (n, m) int64 map from each entry to its probe.

    >>> probes(torch.tensor([[0.0, 1.0], [0.0, 2.0]], dtype=torch.float64))
    (tensor([0, 0, 1]), tensor([0., 1., 2.], dtype=torch.float64), tensor([[0, 1],
            [0, 2]]))
    """
    flat = scales.reshape(-1)
    central = flat == 0
    kept = ~central
    first = int(central.int().argmax()) if bool(central.any()) else 0
    kept[first] = True  # the first centre is asked for all of them
    back = kept.cumsum(0) - 1
    back[central] = back[first].clone()
    chosen = kept.nonzero()[:, 0]
    return chosen // scales.shape[1], flat[chosen], back.reshape(scales.shape)


class Oracle:
    """Base of all oracles: refuses every question, in words, until a subclass answers it.

    Attributes:
        answers: the kinds of questions it answers.
        memory: bytes that one batch of probe points may take; a larger batch is asked in chunks.
        ledger: where its evaluations are counted; everything that wraps an oracle passes its ledger on.
        cost: evaluations that one value takes.
        varies: the kinds of questions to which another key may give another answer. An answer of any other kind
            still holds at the next step; one of these is only to be compared with answers under its own key.
        layout: names and shapes of the parameters that a point is made of, None where it is just a vector.
        domain: where points may lie, None where nobody said.
        batch: the examples of the present question where the oracle knows them, else None.
    """

    answers: Asks = Asks(0)
    memory: int = 2**19
    ledger: Ledger
    cost: int = 1
    varies: Asks = Asks(0)
    layout: Layout | None = None
    domain: Domain | None = None
    batch: Any = None

    def value(self, x: Tensor, key: Key) -> float:
        """f(x) for a point x (d,)."""
        raise self._refuse(Asks.VALUE)

    def values(self, xs: Tensor, key: Key) -> Tensor:
        """f of every row of xs (n, d): (n,) float64 on the CPU."""
        return torch.tensor([self.value(x, key) for x in xs], dtype=torch.float64)

    def consume(self, points: Tensor, key: Key) -> Tensor:
        """As `values`, of points (n, d) that nobody needs afterwards: the objective may overwrite them."""
        return self.values(points, key)

    def along(self, x: Tensor, directions: Directions, scales: Tensor, key: Key) -> Tensor:
        """Values at x + scales[i, k] * directions[i].

        Args:
            x: (d,).
            directions: a block of n.
            scales: (n, m) float64 on the CPU; every zero means the same one evaluation at x.

        Returns:
            (n, m) float64 on the CPU.
        """
        rows, kept, back = probes(scales)
        chunk = max(1, self.memory // max(1, x.numel() * x.element_size()))
        amounts, answers = kept.to(x), []
        points = x.new_empty(min(chunk, len(rows)), x.numel())
        for first in range(0, len(rows), chunk):
            some = slice(first, min(len(rows), first + chunk))
            if first and _is_kept(points):  # by an objective that collects what it is given
                points = torch.empty_like(points)
            batch = points[: some.stop - first].copy_(x)
            directions.perturb(batch, rows[some], amounts[some])
            answers.append(self.consume(batch, key))
            del batch
        return torch.cat(answers)[back]

    def examples(self, x: Tensor, directions: Directions, scales: Tensor, key: Key) -> Tensor:
        """As `along`, before the mean over the examples of the batch is taken: (n, m, b) float64 on the CPU."""
        raise self._refuse(Asks.EXAMPLES)

    def apart(self, x: Tensor, directions: Directions, scales: Tensor, key: Key) -> Tensor:
        """The loss of one example each: of example i mod b of the batch at x + scales[i, k] * directions[i].

        Args:
            x: (d,).
            directions: n of them, n a multiple of the number b of examples.
            scales: (n, m) float64 on the CPU.

        Returns:
            (n, m) float64 on the CPU. It costs n m / b evaluations of the batch.
        """
        raise self._refuse(Asks.EXAMPLES)

    def over(self, batch: Any) -> AbstractContextManager[None]:
        """While it is open, every question is about another batch."""
        raise self._refuse(Asks.EXAMPLES)

    def gradient(self, x: Tensor, key: Key) -> Slope:
        """The gradient at x (d,), exact or estimated, with f(x) where it comes for free."""
        raise self._refuse(Asks.GRADIENT)

    def gradient_outside(self, x: Tensor, stretches: Sequence[tuple[int, int]], key: Key) -> Slope:
        """As `gradient`, where nobody looks at the elements start..stop of these stretches: they may be anything."""
        return self.gradient(x, key)

    def jvp(self, x: Tensor, directions: Directions, key: Key) -> Tensor:
        """Directional derivatives <gradient(x), z_i> of a block of n directions: (n,) float64 on the CPU."""
        raise self._refuse(Asks.JVP)

    def hvp(self, x: Tensor, direction: Tensor, key: Key) -> Tensor:
        """The Hessian at x times a direction (d,): (d,)."""
        raise self._refuse(Asks.HVP)

    def residuals(self, x: Tensor, key: Key) -> Tensor:
        """The residual vector r(x) of a least-squares objective f = |r|^2 / 2: (m,)."""
        raise self._refuse(Asks.RESIDUALS)

    def jacobian(self, x: Tensor, key: Key) -> Tensor:
        """The derivative of the residuals at x: (m, d)."""
        raise self._refuse(Asks.JACOBIAN)

    def at(self, t: int) -> "Oracle":
        """This oracle at step t of a method: estimators put the step's radius for their schedule."""
        return self

    def project(self, x: Tensor) -> Tensor:
        """The nearest point to x that may be asked about; x itself unless there are bounds."""
        return x

    def free(self, x: Tensor, gradient: Tensor) -> Tensor | None:
        """A (d,) bool mask of the coordinates that descent may move at x, or None for all (see `Bounded`)."""
        return None

    def __or__(self, lift: Callable[["Oracle"], "Oracle"]) -> "Oracle":
        """oracle | estimator: the lifted oracle."""
        return lift(self)

    def _refuse(self, kind: Asks) -> MissingAnswer:
        return MissingAnswer(
            f"{self!r} was asked for {kind.words()}, which it cannot answer "
            f"(it answers {self.answers.words()}). {_REMEDY[kind]}"
        )


def _is_kept(points: Tensor) -> bool:
    """Whether anything but `points` itself refers to its memory; what nobody keeps is used again, which is quicker."""
    count = getattr(torch._C, "_storage_Use_Count", None)
    return count is None or count(points.untyped_storage()._cdata) > 2  # the tensor, and the storage asked here
