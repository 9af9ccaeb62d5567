"""What every estimator of gradients promises.

Each contract takes the estimator and raises an AssertionError with a sentence if the promise is broken. `CONTRACTS` are
those that hold for all; `right_mean`, `right_second_moment` and `right_count` need to be told what is right.

Estimators that differentiate (a forward gradient, a hybrid) are tried on an objective whose derivatives are true, all
others on one with a planted wrong gradient that notes whoever asks for it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from descend.direction import Directions, as_dense
from descend.errors import MissingAnswer
from descend.estimate.base import Estimator
from descend.key import Key
from descend.oracle import Asks, Differentiable, Function, Oracle, Slope
from descend.oracle.wrap import Wrapped
from descend.testing.objectives import Failing, Planted, wavy

__all__ = [
    "CONTRACTS",
    "Only",
    "asks_what_it_needs",
    "counts_every_evaluation",
    "hides_what_it_does_not_give",
    "keeps_dtype_and_size",
    "leaves_everything_as_it_was",
    "never_differentiates",
    "rejects_what_failed",
    "repeats_under_a_key",
    "right_count",
    "right_mean",
    "right_second_moment",
]

_VALUES = Asks.VALUE | Asks.VALUES
_EXACT = Asks.GRADIENT | Asks.JVP | Asks.HVP
_D = 6


@dataclass(frozen=True, eq=False)
class Only(Wrapped):
    """An oracle that answers some kinds of questions and refuses all others, values too."""

    kinds: Asks

    @property
    def answers(self) -> Asks:  # type: ignore[override]
        return self.kinds

    def value(self, x: Tensor, key: Key) -> float:
        return self._inside(Asks.VALUE).value(x, key)

    def values(self, xs: Tensor, key: Key) -> Tensor:
        return self._inside(Asks.VALUES).values(xs, key)


def _start(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.linspace(-1.0, 1.7, _D, dtype=torch.float64).to(dtype)


def _gradient(estimator: Estimator, f: Callable[..., Any], x: Tensor, key: int = 0) -> Slope:
    base = Differentiable(f, batched=False) if estimator.needs & _EXACT else Function(f, batched=False)
    return (base | estimator).at(0).gradient(x, Key(key))


def _dense(slope: Slope, x: Tensor) -> Tensor:
    return as_dense(slope.gradient, x)


def asks_what_it_needs(estimator: Estimator) -> None:
    """It lifts an oracle that answers just what it needs, asks nothing else, and refuses one that answers less."""
    needs = estimator.needs | (_VALUES if estimator.needs & _VALUES else Asks(0))
    Only(Differentiable(wavy, batched=False), needs).__or__(estimator).at(0).gradient(_start(), Key(0))
    for kind in estimator.needs:
        try:
            Only(Differentiable(wavy), needs & ~kind) | estimator
        except MissingAnswer as refusal:
            assert kind.words() in str(refusal), f"{estimator!r} does not say that it misses {kind.words()}: {refusal}"
        else:
            raise AssertionError(f"{estimator!r} needs {kind.words()} and lifts an oracle that cannot answer it")


def hides_what_it_does_not_give(estimator: Estimator) -> None:
    """Questions that it neither gives nor keeps are refused, though the oracle below could answer them."""
    lifted = Differentiable(wavy, batched=False) | estimator
    assert Asks.GRADIENT in lifted.answers, f"{estimator!r} gives {estimator.gives.words()}, no gradient"
    x, key = _start(), Key(0)
    questions: dict[Asks, Callable[[], object]] = {
        Asks.JVP: lambda: lifted.jvp(x, _one_direction(x), key),
        Asks.HVP: lambda: lifted.hvp(x, x, key),
    }
    for kind, ask in questions.items():
        if kind in lifted.answers:
            ask()
            continue
        try:
            ask()
        except MissingAnswer:
            continue
        raise AssertionError(f"{estimator!r} lets {kind.words()} pass to the oracle below without giving it")


def _one_direction(x: Tensor) -> Directions:
    from descend.direction import Dense

    return Dense(x[None])


def never_differentiates(estimator: Estimator) -> None:
    """An estimator that needs values only sees nothing of autograd, and no probe builds a graph."""
    if estimator.needs & _EXACT:
        return
    planted, graphs = Planted(wavy), []

    def f(x: Tensor) -> Tensor:
        graphs.append(torch.is_grad_enabled() or x.requires_grad)
        return planted(x)

    (Differentiable(f, batched=False) | estimator).at(0).gradient(_start().requires_grad_(), Key(0))
    assert planted.seen == 0, f"{estimator!r} differentiated an objective of which it may ask values only"
    assert not any(graphs), f"{estimator!r} evaluates with a graph, which costs the memory that it is to save"


def repeats_under_a_key(estimator: Estimator) -> None:
    """The same key gives the same bits, whatever torch's global seed."""
    x = _start()
    first, again = _gradient(estimator, wavy, x), _gradient(estimator, wavy, x)
    assert torch.equal(_dense(first, x), _dense(again, x)), f"{estimator!r} is another one when asked again"
    assert _same(first.value, again.value), f"{estimator!r} reports another value when asked again"
    assert _same(first.nearby, again.nearby), f"{estimator!r} reports other probes when asked again"


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def leaves_everything_as_it_was(estimator: Estimator) -> None:
    """Neither the point nor torch's global random state is changed, even where f writes to what it is given."""
    x = _start()
    before, random = x.clone(), torch.get_rng_state()

    def f(given: Tensor) -> Tensor:
        value = wavy(given) + 0 * torch.rand(())
        if not given.requires_grad and not torch.is_grad_enabled() and not (estimator.needs & _EXACT):
            given.zero_()
        return value

    _gradient(estimator, f, x)
    assert torch.equal(x, before), f"{estimator!r} changed the point that it was asked about"
    assert torch.equal(torch.get_rng_state(), random), f"{estimator!r} changed torch's global random state"


def keeps_dtype_and_size(estimator: Estimator) -> None:
    """A gradient has the dtype and the size of the point, and points in the right way."""
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        x = _start(dtype)
        slope = _gradient(estimator, lambda y: y.square().sum(), x)
        gradient = _dense(slope, x)
        assert gradient.shape == x.shape, f"{estimator!r} gives shape {tuple(gradient.shape)} for {tuple(x.shape)}"
        assert gradient.dtype == dtype, f"{estimator!r} gives {gradient.dtype} at a {dtype} point"
        assert slope.is_finite(), f"{estimator!r} is not finite at a {dtype} point"
        assert float(gradient.double() @ x.double()) >= 0, f"{estimator!r} points uphill where it should not, in {dtype}"


def counts_every_evaluation(estimator: Estimator) -> None:
    """The ledger shows as many values as were asked for."""
    f = Failing(wavy)
    base = Differentiable(f, batched=False) if estimator.needs & _EXACT else Function(f, batched=False)
    (base | estimator).at(0).gradient(_start(), Key(0))
    if not estimator.needs & Asks.JVP:  # forward mode may run several tangents in one call
        assert base.ledger.total == f.calls, f"{estimator!r} made {f.calls} evaluations, the ledger shows {base.ledger.counts}"
    assert base.ledger.total > 0, f"{estimator!r} evaluated nothing"


def rejects_what_failed(estimator: Estimator) -> None:
    """Whichever evaluation fails, the slope is not finite, so the step is rejected; it is never a wrong number."""
    count = Failing(wavy)
    _gradient(estimator, count, _start())
    if estimator.needs & Asks.JVP:
        return
    for how in (math.nan, math.inf):
        for k in range(count.calls):
            if _spare(estimator, k):
                continue
            slope = _gradient(estimator, _Spoiled(k, how), _start())
            assert not slope.is_finite(), f"{estimator!r} hides that evaluation {k} of {count.calls} was {how}"


@dataclass
class _Spoiled:
    """`wavy`, except that one evaluation is not finite; differentiable all the same."""

    k: int
    how: float
    calls: int = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        return wavy(x) * self.how if self.calls - 1 == self.k else wavy(x)


def _spare(estimator: Estimator, k: int) -> bool:
    """Whether evaluation k only helps to choose a step, so that it can be done without."""
    look = getattr(estimator, "look", None)
    return bool(look) and k < 1 + 16 * look


def right_mean(
    estimator: Estimator, *, draws: int = 600, bias: float = 1e-3, f: Callable[[Tensor], Tensor] = wavy
) -> None:
    """Its mean is the gradient of f, within 3 standard errors and a small bias relative to the gradient's length.

    Args:
        draws: estimates under as many keys; 600 by default.
        bias: what a finite radius may add, relative.
        f: the objective; it must be differentiable by autograd, which says what is right.
    """
    x = _start()
    truth = _dense(Differentiable(f).gradient(x, Key(0)), x)
    found = torch.stack([_dense(_gradient(estimator, f, x, key), x) for key in range(draws)])
    error = float((found.mean(0) - truth).norm())
    standard = float((found.var(0, correction=1) / draws).sum().sqrt())
    allowed = 3 * standard + bias * float(truth.norm())
    assert error <= allowed, f"the mean of {estimator!r} is off by {error:.3g}, more than {allowed:.3g} after {draws} draws"


def right_second_moment(estimator: Estimator, factor: float, *, draws: int = 3000) -> None:
    """E |g_hat|^2 / |g|^2 is `factor`, within 5 percent, on a linear function.

    Args:
        factor: in theory; for the mean of n independent samples 1 + (m - 1) / n, with m that of one sample, see
            `RandomLaw.second_moment`.
        draws: estimates under as many keys.
    """
    slope = torch.linspace(0.5, 1.5, _D, dtype=torch.float64)
    x = torch.zeros(_D, dtype=torch.float64)
    total = math.fsum(
        float(_dense(_gradient(estimator, lambda y: slope @ y, x, key), x).square().sum()) for key in range(draws)
    )
    found = total / draws / float(slope.square().sum())
    assert abs(found / factor - 1) < 0.05, f"the second moment of {estimator!r} is {found:.4g}, in theory {factor:.4g}"


def right_count(estimator: Estimator, evaluations: int) -> None:
    """One gradient in 6 dimensions takes exactly this many evaluations."""
    base: Oracle = Differentiable(wavy, batched=False)
    (base | estimator).at(0).gradient(_start(), Key(0))
    made = base.ledger.total
    assert made == evaluations, f"{estimator!r} made {made} evaluations for one gradient instead of {evaluations}"


CONTRACTS: tuple[Callable[[Estimator], None], ...] = (
    asks_what_it_needs,
    hides_what_it_does_not_give,
    never_differentiates,
    repeats_under_a_key,
    leaves_everything_as_it_was,
    keeps_dtype_and_size,
    counts_every_evaluation,
    rejects_what_failed,
)
"""What holds for every estimator of gradients."""
