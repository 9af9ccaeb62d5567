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

from descend.direction import Dense, Directions, as_dense
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
    "refusal",
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


def refusal(ask: Callable[[], object]) -> str | None:
    """What an oracle says when it refuses a question; None if it answers."""
    try:
        ask()
    except MissingAnswer as error:
        return str(error)
    return None


def _true(f: Callable[..., Any]) -> Oracle:
    """An oracle that answers everything about f."""
    return Differentiable(f, batched=False)


def _start(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.linspace(-1.0, 1.7, _D, dtype=torch.float64).to(dtype)


def _lifted(estimator: Estimator, f: Callable[..., Any], batched: bool = False) -> Oracle:
    base = Differentiable(f, batched=batched) if estimator.needs & _EXACT else Function(f, batched=batched)
    return (base | estimator).at(0)


def _gradient(estimator: Estimator, f: Callable[..., Any], x: Tensor) -> Slope:
    return _lifted(estimator, f).gradient(x, Key(0))


def _dense(slope: Slope, x: Tensor) -> Tensor:
    return as_dense(slope.gradient, x)


def asks_what_it_needs(estimator: Estimator) -> None:
    """It lifts an oracle that answers just what it needs, asks nothing else, and refuses one that answers less."""
    needs = estimator.needs | (_VALUES if estimator.needs & _VALUES else Asks(0))
    said = refusal(lambda: (Only(_true(wavy), needs) | estimator).at(0).gradient(_start(), Key(0)))
    assert said is None, f"{estimator!r} asks for more than the {needs.words()} that it needs: {said}"
    for kind in estimator.needs:
        said = refusal(lambda kind=kind: estimator(Only(Differentiable(wavy), needs & ~kind)))
        assert said is not None, f"{estimator!r} needs {kind.words()} and lifts an oracle that cannot answer it"
        assert kind.words() in said, f"{estimator!r} does not say that it misses {kind.words()}: {said}"


def hides_what_it_does_not_give(estimator: Estimator) -> None:
    """Questions that it neither gives nor keeps are refused, though the oracle below could answer them."""
    below = _true(wavy)
    lifted = below | estimator
    expected = (below.answers & estimator.keeps) | estimator.gives
    assert lifted.answers == expected, f"{estimator!r} answers {lifted.answers.words()} instead of {expected.words()}"
    assert Asks.GRADIENT in lifted.answers, f"{estimator!r} gives {estimator.gives.words()}, no gradient"
    x, key = _start(), Key(0)
    questions: dict[Asks, Callable[[], object]] = {
        Asks.JVP: lambda: lifted.jvp(x, _one_direction(x), key),
        Asks.HVP: lambda: lifted.hvp(x, x, key),
    }
    for kind, ask in questions.items():
        said = refusal(ask)
        if kind in lifted.answers:
            assert said is None, f"{estimator!r} declares {kind.words()} and refuses it: {said}"
        else:
            assert said, f"{estimator!r} lets {kind.words()} pass to the oracle below without giving it"


def _one_direction(x: Tensor) -> Directions:
    return Dense(x[None])


def never_differentiates(estimator: Estimator) -> None:
    """An estimator that needs values only sees nothing of autograd, and no probe builds a graph."""
    if estimator.needs & _EXACT:
        return
    planted, graphs = Planted(wavy), []

    def f(x: Tensor) -> Tensor:
        graphs.append(torch.is_grad_enabled() or x.requires_grad)
        return planted(x)

    (_true(f) | estimator).at(0).gradient(_start().requires_grad_(), Key(0))
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
        value = wavy(given) + 0 * torch.dropout(given, 0.5, True).sum()  # draws from torch's global generator
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
        along = float(gradient.double() @ x.double())
        assert along >= 0, f"{estimator!r} points downhill as a gradient of |x|^2, in {dtype}"


def counts_every_evaluation(estimator: Estimator) -> None:
    """The ledger shows as many values as were asked for."""
    f = Failing(wavy)
    oracle = _lifted(estimator, f)
    oracle.gradient(_start(), Key(0))
    shown = oracle.ledger.total
    if not estimator.needs & Asks.JVP:  # forward mode may run several tangents in one call
        assert shown == f.calls, f"{estimator!r} made {f.calls} evaluations, the ledger shows {shown}"
    assert shown > 0, f"{estimator!r} evaluated nothing"


def rejects_what_failed(estimator: Estimator) -> None:
    """Whichever evaluation fails, the slope is not finite, so the step is rejected; it is never a wrong number."""
    count = Failing(wavy)
    _gradient(estimator, count, _start())
    if estimator.needs & Asks.JVP or estimator.forgives:
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
        f: the objective of many points, (n, d) -> (n,), differentiable by autograd, which says what is right.
    """
    x = _start()
    truth = _dense(Differentiable(f, batched=True).gradient(x, Key(0)), x)
    oracle = _lifted(estimator, f, batched=True)
    found = torch.stack([_dense(oracle.gradient(x, Key(key)), x) for key in range(draws)])
    error = float((found.mean(0) - truth).norm())
    standard = float((found.var(0, correction=1) / draws).sum().sqrt())
    allowed = 3 * standard + bias * float(truth.norm())
    assert error <= allowed, f"the mean of {estimator!r} over {draws} draws is off by {error:.3g} > {allowed:.3g}"


def right_second_moment(estimator: Estimator, factor: float, *, draws: int = 3000) -> None:
    """E |g_hat|^2 / |g|^2 is `factor`, within 5 percent or 3 standard errors if these are more, on a linear function.

    Args:
        factor: in theory; for the mean of n independent samples 1 + (m - 1) / n, with m that of one sample, see
            `RandomLaw.second_moment`.
        draws: estimates under as many keys; for one sample along normal directions 20,000 make the errors small enough.
    """
    slope = torch.linspace(0.5, 1.5, _D, dtype=torch.float64)
    x = torch.zeros(_D, dtype=torch.float64)
    oracle = _lifted(estimator, lambda xs: xs @ slope, batched=True)
    squares = [float(_dense(oracle.gradient(x, Key(key)), x).square().sum()) for key in range(draws)]
    drawn = torch.tensor(squares, dtype=torch.float64) / slope.square().sum()
    found, error = float(drawn.mean()), float(drawn.std()) / math.sqrt(draws)
    allowed = max(0.05 * factor, 3 * error)
    assert abs(found - factor) < allowed, f"the second moment of {estimator!r} is {found:.4g}, in theory {factor:.4g}"


def right_count(estimator: Estimator, evaluations: int) -> None:
    """One gradient in 6 dimensions takes exactly this many evaluations."""
    base = _true(wavy)
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
