"""An ensemble moves to where its residuals vanish, by how its points and their residuals vary together: no derivatives.

Iglesias, Law, Stuart (2013), "Ensemble Kalman methods for inverse problems", section 2:

    u_j <- u_j - C^uw (C^ww + alpha I)^-1 r(u_j)        (1)

with C^uw the covariance of members and residuals, C^ww that of the residuals. The noise of the data, alpha, is the
regularization: it follows the ensemble (Iglesias, Yang 2021, "Adaptive regularisation for ensemble Kalman inversion",
let it follow the misfit), alpha = damping * the mean eigenvalue of C^ww, so that what is known best contracts first and
the rest follows. Symbols: u_j = rows of `members`, r = `r`, deviations from their means = `du`, `dr`.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descend.errors import BudgetExhausted
from descend.key import Key
from descend.oracle import Asks, Oracle
from descend.population.base import check_point, positive
from descend.population.sampling import check_popsize, check_spread, collapsed, first_spread
from descend.space.domain import Domain
from descend.tree import state

__all__ = ["EnsembleKalman", "EnsembleKalmanState", "kalman_step"]


@state
class EnsembleKalmanState:
    """x (d,), the best member so far; value, f there; loss, the best of the last; rejected, how often all had failed;
    t; key; domain; done, why there is nothing more to do, else ""; members (n, d)."""

    x: Tensor
    value: float
    loss: float
    rejected: int
    t: int
    key: Key
    domain: Domain
    done: str
    members: Tensor


@dataclass(frozen=True)
class EnsembleKalman:
    """Ensemble Kalman inversion of least squares f = |r|^2 / 2, where r is a simulator that has no derivatives.

    It learns from whole residual vectors and not from f alone, so it needs far fewer evaluations than any method of
    this package where there are many residuals. The objective must answer them: `Residuals(forward, data)`.

    Args:
        members: n >= 2 points; default 2 d + 2, at least 10. With fewer than d + 1, the search stays in the plane
            that the first ones span.
        sigma: > 0, the standard deviation of the first members in typical lengths of the domain; default 0.2 between
            two sides, else 0.3.
        damping: > 0, alpha in units of the residuals' variance; default 1. More is slower, and sturdier where r bends.

    Members whose evaluation fails begin again at another one's place. A step takes n evaluations of the residuals.

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.oracle import Residuals
    >>> from descend.run import Evaluations, minimize
    >>> times, data = torch.linspace(0, 2, 20), 3 * torch.exp(-1.5 * torch.linspace(0, 2, 20))
    >>> fit = Residuals(lambda x: x[0] * torch.exp(-x[1] * times), data)
    >>> result = minimize(fit, torch.tensor([1.0, 0.5]), method=EnsembleKalman(), until=Evaluations(400), key=0)
    >>> result.x.round(decimals=3)
    tensor([3.0000, 1.5000])
    """

    members: int | None = None
    sigma: float | None = None
    damping: float = 1.0

    def __post_init__(self) -> None:
        check_popsize(self, self.members)
        check_spread(self, self.sigma)
        positive(self, "damping", self.damping, 1.0)

    @property
    def needs(self) -> Asks:
        """The residuals."""
        return Asks.RESIDUALS

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> EnsembleKalmanState:
        """Members around x (d,), itself among them."""
        domain, nan = check_point(x, domain), math.nan
        n = self.members or max(10, 2 * x.numel() + 2)
        away = first_spread(domain, self.sigma) * key.fold("first").normal(n, x.numel(), like=x)
        away[0] = 0
        return EnsembleKalmanState(x, nan, nan, 0, 0, key, domain, "", domain.centre(domain.mirror(x + away)))

    def advance(self, oracle: Oracle, state: EnsembleKalmanState) -> EnsembleKalmanState:
        """Ask for the residuals of all members, as far as the budget goes, and move them by (1)."""
        key, domain, ledger = state.key.fold(state.t), state.domain, oracle.ledger
        left = len(state.members) if ledger.limit is None else ledger.limit - ledger.total
        if left < 1:
            raise BudgetExhausted(f"the budget of {ledger.limit} evaluations is spent")
        answers = [oracle.residuals(u, key.fold("values")) for u in state.members[:left]]
        fine = [j for j, r in enumerate(answers) if bool(r.isfinite().all())]
        if len(fine) < 2:
            again = domain.mirror(
                state.x + first_spread(domain, self.sigma) * key.normal(*state.members.shape, like=state.x)
            )
            return replace(
                state, loss=math.nan, rejected=state.rejected + 1, t=state.t + 1, members=domain.centre(again)
            )
        u, r = state.members[fine], torch.stack([answers[j] for j in fine])
        losses = r.double().square().sum(1).div_(2)
        loss, best = losses.min(0)
        better = math.isnan(state.value) or float(loss) < state.value
        moved = kalman_step(u, r, self.damping)
        # those that failed begin again where others are now
        places = torch.arange(len(state.members)).remainder_(len(fine))
        spread = moved.std(0)
        return EnsembleKalmanState(
            u[int(best)].clone() if better else state.x, float(loss) if better else state.value, float(loss),
            state.rejected, state.t + 1, state.key, domain, collapsed(moved.mean(0), spread, domain.scale),
            domain.centre(domain.mirror(moved[places])),
        )  # fmt: skip


def kalman_step(u: Tensor, r: Tensor, damping: float) -> Tensor:
    """Members u (n, d) with residuals r (n, m) after (1), solved among the n members: m may be as large as it likes.

    With deviations R = dr / sqrt(n - 1) and U alike, U^T R (R^T R + alpha I)^-1 = U^T (R R^T + alpha I)^-1 R.
    """
    n, m = r.shape
    du, dr = ((t - t.mean(0)) / math.sqrt(n - 1) for t in (u, r))
    gram = dr @ dr.T
    variance = float(gram.trace()) / min(n - 1, m)
    if not variance > 0:
        return u
    gram.diagonal().add_(damping * variance)
    return u - (torch.linalg.solve(gram, dr @ r.T)).T @ du
