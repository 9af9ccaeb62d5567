"""Some examples of the batch forward-only, the others by autograd, in one gradient.

    g = a g_forward + (1 - a) g_autograd        (1)

Long examples are what makes backpropagation large; there, values alone are asked. The short ones give the exact
gradient of their own loss, with activations that fit.

Li, Zhang, Yuan and others (2025), "Addax: utilizing zeroth-order gradients to improve memory efficiency and performance
of SGD for fine-tuning language models", arXiv 2410.06441.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from descend.direction import as_dense
from descend.errors import InvalidValue, MissingAnswer
from descend.estimate.base import Estimator
from descend.key import Key
from descend.oracle import Asks, Oracle, Slope

__all__ = ["ByExample"]


def _as_pair(batch: Any) -> Any:
    return batch


@dataclass(frozen=True)
class ByExample(Estimator):
    """The gradient (1), for a loss of a model over a batch.

    Args:
        estimator: of the forward-only part, such as ``SPSA(radius=1e-3)``.
        share: a in [0, 1], the weight of the forward-only part; default 0.5. It is the whole gradient where there is
            only one part.
        split: batch -> (forward-only, autograd), two batches, of which one may be None. Cut the padding of the short
            ones off there. By default the batch is that pair already.

    The memory is that of backpropagation through the second part, and one gradient.

    Raises:
        InvalidValue: share is not in [0, 1], the estimator needs gradients, or split returns no pair.
        MissingAnswer: the oracle knows no batch.

    >>> import torch
    >>> from torch import nn
    >>> from descend.estimate import SPSA
    >>> from descend.torch_optim import Optimizer
    >>> model = nn.Linear(2, 1)
    >>> optimizer = Optimizer(model, ByExample(SPSA(radius=1e-3), share=0.2), lr=0.1, key=0)
    >>> long, short = torch.ones(3, 2), torch.zeros(5, 2)
    >>> for _ in range(50):
    ...     loss = optimizer.step(lambda m, x: (m(x) - 1).square().mean(), (long, short))
    >>> bool(loss < 1e-3)
    True
    """

    estimator: Estimator
    share: float = 0.5
    split: Callable[[Any], tuple[Any, Any]] = _as_pair

    needs = Asks.EXAMPLES | Asks.VALUES | Asks.GRADIENT

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise InvalidValue(
                f"share is the weight of the forward-only part, in [0, 1], got {self.share!r}; write 0.5"
            )
        if Asks.GRADIENT in self.estimator.needs or Asks.GRADIENT not in self.estimator.gives:
            raise InvalidValue(
                f"ByExample needs an estimator of gradients from values, such as SPSA(), got {self.estimator!r}"
            )

    def at(self, t: int) -> "ByExample":
        estimator = self.estimator.at(t)
        return self if estimator is self.estimator else replace(self, estimator=estimator)

    def gradient(self, oracle: Oracle, x: Tensor, key: Key) -> Slope:
        forward, autograd = self._parts(oracle)
        found: list[tuple[float, Slope]] = []
        if forward is not None:
            with oracle.over(forward):
                found.append((self.share, self.estimator(oracle).gradient(x, key)))
        if autograd is not None:
            with oracle.over(autograd):
                found.append((1 - self.share, oracle.gradient_outside(x, (), key)))
        if len(found) == 1:
            return found[0][1]
        (a, one), (b, other) = found
        nearby = a * one.loss + b * other.loss
        if isinstance(one.gradient, Tensor) or isinstance(other.gradient, Tensor):
            whole = a * as_dense(one.gradient, x) + b * as_dense(other.gradient, x)
            return Slope(whole, nearby=nearby)
        return Slope(one.gradient.scaled(a) + other.gradient.scaled(b), nearby=nearby)

    def _parts(self, oracle: Oracle) -> tuple[Any, Any]:
        if oracle.batch is None:
            raise MissingAnswer(
                f"{self!r} parts the examples of a batch, and {oracle!r} knows none; write "
                "Optimizer(model, ...).step(loss, batch) with loss(model, batch)"
            )
        parts = self.split(oracle.batch)
        if not isinstance(parts, tuple | list) or len(parts) != 2 or all(part is None for part in parts):
            raise InvalidValue(
                f"ByExample parts a batch in two, (forward-only, autograd), got {type(parts).__name__}; pass such a "
                "pair as the batch, or split=function(batch) -> pair"
            )
        return parts[0], parts[1]
