"""A forward operator and data: the objective is half the squared norm of the residuals."""

from collections.abc import Callable

import torch
from torch import Tensor

from descend.key import Key
from descend.oracle.core import Asks
from descend.oracle.differentiable import Differentiable
from descend.oracle.failure import OnFailure, derive
from descend.oracle.leaf import with_randomness
from descend.oracle.ledger import Ledger

__all__ = ["Residuals"]


class Residuals(Differentiable):
    """Answers about f(x) = |r(x)|^2 / 2 with r(x) = forward(x) - data.

    Beside what `Differentiable` answers: the residuals (m,), and their Jacobian (m, d) by autograd, forward mode if
    there are more residuals than parameters, reverse mode otherwise.

    Args:
        forward: (d,) -> (m,), in torch.
        data: (m,), default zero.
        on_failure, ledger: as in `Function`.

    >>> import torch
    >>> fit = Residuals(lambda x: torch.stack([x[0], 2 * x[1]]), torch.tensor([1.0, 2.0]))
    >>> fit.value(torch.zeros(2), Key(0)), fit.residuals(torch.zeros(2), Key(0))
    (2.5, tensor([-1., -2.]))
    """

    answers = Asks.VALUE | Asks.VALUES | Asks.GRADIENT | Asks.JVP | Asks.HVP | Asks.RESIDUALS | Asks.JACOBIAN

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        data: Tensor | float = 0.0,
        *,
        on_failure: OnFailure | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.forward, self.data = forward, data
        super().__init__(self._half_square, on_failure=on_failure, ledger=ledger)

    def __repr__(self) -> str:
        return f"Residuals({getattr(self.forward, '__name__', type(self.forward).__name__)})"

    def residuals(self, x: Tensor, key: Key) -> Tensor:
        def ask(k: Key) -> Tensor:
            with torch.no_grad():
                return with_randomness(k, lambda: self._misfit(x.detach().clone()))

        # how many there are is not known where the forward failed: one NaN says enough
        return derive(ask, x.new_empty(1), key, self.ledger, self.on_failure, "residuals")

    def jacobian(self, x: Tensor, key: Key) -> Tensor:
        tall = self.residuals(x, key).numel() > x.numel()  # one forward more tells its shape
        by_mode = torch.func.jacfwd if tall else torch.func.jacrev

        def ask(k: Key) -> Tensor:
            return with_randomness(k, lambda: by_mode(self._misfit)(x.detach()))

        return derive(ask, x.new_empty(1, x.numel()), key, self.ledger, self.on_failure, "jacobian")

    def _misfit(self, x: Tensor) -> Tensor:
        return self.forward(x) - self.data

    def _half_square(self, x: Tensor) -> Tensor:
        return self._misfit(x).square().sum() / 2
