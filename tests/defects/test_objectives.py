"""Objectives are taken as people have them: whatever they return, whatever they want to be given, failing and noisy."""

import math
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import descend as dd
from descend.estimate.base import Estimator
from descend.oracle import Asks, Function
from descend.run import Evaluations, Steps, minimize
from descend.step import StrongWolfe
from descend.testing.objectives import Failing, rosenbrock
from descend.torch_optim import Optimizer

SEVEN: dict[str, Estimator] = {
    "FiniteDifference": dd.FiniteDifference(),
    "SPSA": dd.SPSA(),
    "RDSA": dd.RDSA(),
    "GaussianSmoothing": dd.GaussianSmoothing(samples=10),
    "SphereSmoothing": dd.SphereSmoothing(),
    "MeZO": dd.MeZO(),
    "ForwardGradient": dd.ForwardGradient(jvp="central"),
}


class _Backward:
    """A closure as torch's documentation has it, which calls backward itself."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __call__(self) -> Tensor:
        self.x.grad = None
        loss = self.x.square().sum()
        loss.backward()
        return loss


CLOSURES: dict[str, Callable[[Tensor], Callable[..., Any]]] = {
    "float": lambda x: lambda: x.square().sum().item(),
    "NumPy scalar": lambda x: lambda: np.square(x.detach().numpy()).sum(),
    "NumPy 0-d array": lambda x: lambda: np.array(x.square().sum().item()),
    "0-d": lambda x: lambda: x.square().sum(),
    "(1,)": lambda x: lambda: x.square().sum().reshape(1),
    "without a graph": lambda x: lambda: x.detach().square().sum(),
    "calls backward itself": _Backward,
    "takes a flag": lambda x: lambda backward=True: x.square().sum(),
}


@pytest.mark.parametrize("wanted", [True, False], ids=["requires_grad", "without requires_grad"])
@pytest.mark.parametrize("kind", CLOSURES)
@pytest.mark.parametrize("name", SEVEN)
def test_every_estimator_takes_every_kind_of_closure(name: str, kind: str, wanted: bool) -> None:
    if kind == "calls backward itself" and not wanted:
        with pytest.raises(RuntimeError):  # it cannot run, with or without an optimizer
            _Backward(torch.ones(2))()
        return
    x = torch.tensor([1.0, -2.0, 0.5], requires_grad=wanted)
    start = x.detach().clone()
    optimizer = Optimizer([x], SEVEN[name], lr=0.05, key=0)
    closure = CLOSURES[kind](x)
    losses = [optimizer.step(closure) for _ in range(60)]
    assert all(isinstance(loss, Tensor) and loss.shape == () and not loss.requires_grad for loss in losses)
    assert float(x.detach().norm()) < 0.5 * float(start.norm())
    assert x.requires_grad == wanted
    assert optimizer.rejected == 0


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "float": lambda x: float((x**2).sum()),
    "NumPy": lambda x: np.square(np.asarray(x)).sum(),
    "list of one": lambda x: np.array([np.square(np.asarray(x)).sum()]),
    "Python": lambda x: sum(v * v for v in x.tolist()),
}


@pytest.mark.parametrize(
    "start", [[1.0, -2.0], np.array([1.0, -2.0]), torch.tensor([1.0, -2.0])], ids=["list", "NumPy", "torch"]
)
@pytest.mark.parametrize("kind", FUNCTIONS)
@pytest.mark.parametrize("name", SEVEN)
def test_and_every_kind_of_function(name: str, kind: str, start: Any) -> None:
    kept = [float(v) for v in start]
    result = minimize(FUNCTIONS[kind], start, estimator=SEVEN[name], method=dd.Descent(lr=0.05), until=Steps(60), key=0)
    assert type(result.x) is (Tensor if isinstance(start, Tensor) else np.ndarray)
    assert result.fun < 0.5
    assert [float(v) for v in start] == kept, "x0 was written to"
    assert not isinstance(start, Tensor) or not start.requires_grad


def test_forward_mode_takes_a_tensor_and_refuses_a_number_in_words() -> None:
    x = torch.tensor([1.0, -2.0])
    optimizer = Optimizer([x], dd.ForwardGradient(), lr=0.05, key=0)
    for _ in range(60):
        optimizer.step(lambda: x.square().sum())
    assert float(x.norm()) < 1.0
    with pytest.raises(dd.errors.MissingAnswer, match="JVP"):
        minimize(FUNCTIONS["Python"], [1.0, 2.0], estimator=dd.ForwardGradient(), method=dd.Descent(lr=0.1))


@pytest.mark.parametrize("parts", [(), (dd.Adam(),), (dd.ForwardGradient(),), (dd.BFGS(),)], ids=repr)
@pytest.mark.parametrize("wanted", [True, False], ids=["requires_grad", "without requires_grad"])
def test_autograd_is_not_silently_zero_where_the_loss_has_no_graph(parts: tuple[Any, ...], wanted: bool) -> None:
    """Without an estimator of values a float trains nothing, and that is said, with what to write instead."""
    x = torch.tensor([1.0, -2.0], requires_grad=wanted)
    optimizer = Optimizer([x], *parts, lr=0.1, key=0)
    for _ in range(2):
        with pytest.raises(dd.errors.MissingAnswer, match=r"returned a float without a graph.*SPSA\(\)"):
            optimizer.step(lambda: x.square().sum().item())
    assert torch.equal(x.detach(), torch.tensor([1.0, -2.0]))


def test_a_vector_for_a_loss_is_refused_in_words() -> None:
    x = torch.ones(3)
    optimizer = Optimizer([x], dd.SPSA(), lr=0.1, key=0)
    with pytest.raises(ValueError, match=r"shape \(3,\) where one number was expected"):
        optimizer.step(lambda: x.square())


FAILURES = {"NaN": math.nan, "infinity": math.inf, "exception": ValueError("the simulator crashed")}
METHODS: dict[str, tuple[Any, ...]] = {
    "plain": (),
    "Adam": (dd.Adam(),),
    "BFGS, Backtracking": (dd.BFGS(), dd.Backtracking()),
    "LBFGS, Wolfe": (dd.LBFGS(), StrongWolfe()),
}


@pytest.mark.filterwarnings("ignore:an evaluation failed:RuntimeWarning")
@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", [*SEVEN, "autograd"])
def test_one_failure_in_twenty_steps_costs_at_most_one(name: str, method: str, how: str) -> None:
    estimator = () if name == "autograd" else (SEVEN[name],)
    parts = (*estimator, *METHODS[method])
    lr = None if method.count(",") else 1e-3 if method == "plain" else 0.02

    def run(failing: set[int]) -> tuple[Optimizer, Failing, list[Tensor], list[int]]:
        x = torch.tensor([-1.2, 1.5], dtype=torch.float64, requires_grad=True)
        objective = Failing(lambda: rosenbrock(x), failing, FAILURES[how])
        optimizer = Optimizer([x], *parts, lr=lr, key=0)
        iterates, made = [x.detach().clone()], []
        for _ in range(20):
            optimizer.step(objective)
            made.append(objective.calls)
            iterates.append(x.detach().clone())
        return optimizer, objective, iterates, made

    *_, made = run(set())
    for k in (made[1] + 1, made[3] - 1):
        optimizer, objective, iterates, _ = run({k})
        assert objective.calls > k
        assert all(torch.isfinite(x).all() for x in iterates)
        assert optimizer.rejected <= 1
        assert optimizer.ledger.failures == 1
        still = [torch.equal(a, b) for a, b in pairwise(iterates)]
        if lr is not None:
            assert sum(still) == optimizer.rejected == 1
        failed = sum(k >= m for m in made)
        assert not all(still[failed + 1 :]), "nothing moves after the failure"
        if name in ("FiniteDifference", "autograd"):
            assert rosenbrock(iterates[-1]) < rosenbrock(iterates[failed])


@pytest.mark.filterwarnings("ignore:an evaluation failed:RuntimeWarning")
@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize(
    "parts", [(), (dd.HeavyBall(),), (dd.ClipNorm(1.0), dd.HeavyBall())], ids=["walked", "memory", "gathered"]
)
def test_a_penalty_has_no_gradient(parts: tuple[Any, ...], how: str) -> None:
    """What a failed backward left in .grad is not taken for one: the step is rejected under every policy."""
    x = torch.tensor([1.0, -2.0], requires_grad=True)

    def half_done() -> Tensor:
        loss = x.square().sum()
        (loss / 2).backward()
        return loss

    optimizer = Optimizer([x], *parts, lr=0.1, on_failure=dd.Penalize(100.0))
    closure = Failing(half_done, {1}, FAILURES[how])
    ends = []
    for _ in range(3):
        optimizer.step(closure)
        ends.append(x.detach().clone())
    assert optimizer.rejected == 1
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[1], ends[2])


def test_a_failure_is_said_once_and_counted() -> None:
    x = torch.ones(2)
    objective = Failing(lambda: x.square().sum(), {3, 6, 9}, ZeroDivisionError("no such mesh"))
    optimizer = Optimizer([x], dd.SPSA(), lr=0.1, key=0)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(10):
            optimizer.step(objective)
    assert [str(w.message) for w in said if "no such mesh" in str(w.message)]
    assert sum("no such mesh" in str(w.message) for w in said) == 1
    assert optimizer.ledger.failures == optimizer.rejected == 3
    assert "ZeroDivisionError" in optimizer.ledger.last_failure


@pytest.mark.parametrize(
    ("parts", "width"),
    [
        ((dd.SPSA(1e-12),), 4),
        ((dd.SPSA(1e-12, 3), dd.Adam()), 4),
        ((dd.FiniteDifference(radius=1e-12),), 4),
        ((dd.SPSA(1e-12),), 520),
        ((dd.RDSA(1e-12, 2, coupling="antithetic"),), 520),
    ],
    ids=["pair", "Adam", "differences", "intercepted", "intercepted, antithetic"],
)
def test_all_probes_see_one_dropout_mask_and_the_users_randomness_is_left_alone(parts: Any, width: int) -> None:
    generator = dd.Key(0).fold("data")
    model = nn.Sequential(nn.Linear(3, width), nn.Dropout(0.5), nn.Linear(width, 1 if width == 4 else width))
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(generator.fold(i).normal(*p.shape, like=p))
    batch = generator.normal(16, 3, like=torch.zeros(1))
    values: list[float] = []

    def closure() -> Tensor:
        loss = model(batch).square().mean()
        values.append(loss.item())
        return loss

    optimizer = Optimizer(model, *parts, lr=0.0, key=0)
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[union-attr]  # noqa: NPY002
    seen = []
    for _ in range(2):
        values.clear()
        optimizer.step(closure)
        assert len(values) >= 2
        assert max(values) - min(values) < 2e-6 * max(values), "two probes of one step saw different masks"
        seen.append(values[0])
    assert abs(seen[0] - seen[1]) > 1e-4 * seen[0], "two steps saw the same mask"
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpys).all()  # type: ignore[index]  # noqa: NPY002


RANDOM = {name: e for name, e in SEVEN.items() if name != "FiniteDifference"}


@pytest.mark.parametrize("name", RANDOM)
def test_a_key_repeats_a_run_whatever_the_ambient_seed_and_another_key_does_not(name: str) -> None:
    def run(key: int | None, seed: int) -> Tensor:
        torch.manual_seed(seed)
        x = torch.tensor([1.0, -2.0, 0.5])
        optimizer = Optimizer([x], RANDOM[name], dd.HeavyBall(), lr=0.01, key=key)
        for _ in range(5):
            optimizer.step(lambda: x.square().sum())
        return x

    assert torch.equal(run(7, 0), run(7, 1))
    assert not torch.equal(run(7, 0), run(8, 0))
    assert not torch.equal(run(None, 0), run(None, 0))


def test_an_optimizer_without_a_key_keeps_the_one_it_drew() -> None:
    x = torch.ones(4)
    first = Optimizer([x], dd.SPSA(), lr=0.1)
    for _ in range(3):
        first.step(lambda: x.square().sum())
    y = torch.ones(4)
    second = Optimizer([y], dd.SPSA(), lr=0.1, key=first.key)
    for _ in range(3):
        second.step(lambda: y.square().sum())
    assert torch.equal(x, y)


def test_two_estimators_with_other_keys_draw_other_noise() -> None:
    a, b = (dd.SPSA().directions(torch.zeros(64), dd.Key(k)).dense(torch.zeros(())) for k in (0, 1))
    assert abs(float((a * b).mean())) < 0.5
    assert not torch.equal(a, b)


def test_parts_of_a_hybrid_draw_their_own_noise() -> None:
    """Two groups of one shape, each with an estimator of its own: their directions are not the same."""
    a, b, c = (torch.zeros(64, requires_grad=True) for _ in range(3))
    groups = [{"params": [a], "estimator": dd.SPSA(1e-3)}, {"params": [b], "estimator": dd.SPSA(1e-3)}, {"params": [c]}]
    optimizer = Optimizer(groups, lr=1e-3, key=0)
    optimizer.step(lambda: a.sum() + b.sum() + c.sum())
    assert not torch.equal(a.detach().abs(), torch.zeros(64))
    assert not torch.equal(a.detach().sign(), b.detach().sign())
    assert not torch.equal(a.detach().sign(), -b.detach().sign())


def test_minimize_says_truly_why_it_stopped_and_keeps_the_budget() -> None:
    objective = Failing(lambda x: float((x**2).sum()))
    result = minimize(objective, [1.0, -2.0], estimator=dd.SPSA(), until=Evaluations(33), key=0)
    assert "33 evaluations" in result.reason
    assert result.total <= 33
    assert objective.calls == result.total
    result = minimize(objective, [1.0, -2.0], method=dd.Descent(lr=0.1), estimator=dd.SPSA(), until=Steps(5), key=0)
    assert "5" in result.reason
    assert "step" in result.reason
    assert result.steps == 5


def test_an_interrupt_returns_the_best_so_far() -> None:
    objective = Failing(lambda x: float(rosenbrock(x)), {40}, KeyboardInterrupt())
    start = torch.tensor([-1.1, 2.5], dtype=torch.float64)
    result = minimize(objective, start, estimator=dd.FiniteDifference(), key=0)
    assert "interrupt" in result.reason
    assert result.fun == float(rosenbrock(result.x)) < float(rosenbrock(start))


def test_the_seven_ask_only_for_values() -> None:
    for estimator in SEVEN.values():
        assert estimator.needs in Asks.VALUE | Asks.VALUES
        assert Asks.GRADIENT in (Function(lambda x: 0.0) | estimator).answers
