"""Parameters are bit for bit at an iterate whenever a step ends: after exceptions, interrupts, and a thousand steps.

Every composition is run once in peace, which says where the iterates are and how many evaluations each step takes.
Then it is run once for every evaluation, which fails or is interrupted.
"""

import pytest
import torch
from torch import Tensor, nn

import descend as dd
from descend.estimate.base import Estimator
from descend.oracle import Asks, Raise
from descend.step import Step, StrongWolfe
from descend.testing.objectives import Failing, rosenbrock
from descend.testing.parts import estimators
from descend.torch_optim import Optimizer
from descend.transform import Transform

D = 6
STEPS = 2
ESTIMATORS = estimators(D)
SHAPES = ((2, 2), (2,))

# beside every estimator alone: all that asks more than once per step
COMPOSITIONS: dict[str, tuple[Estimator | Transform | Step, ...]] = {
    "SPSA, Adam": (dd.SPSA(), dd.Adam()),
    "SPSA, Wolfe": (dd.SPSA(), StrongWolfe()),
    "FiniteDifference, BFGS, Backtracking": (dd.FiniteDifference(), dd.BFGS(), dd.Backtracking()),
    "FiniteDifference, LBFGS, Wolfe": (dd.FiniteDifference(), dd.LBFGS(), StrongWolfe()),
    "FiniteDifference, Newton-CG": (
        dd.FiniteDifference(),
        dd.DifferencedHvp(),
        dd.NewtonCG(max_products=2),
        dd.Backtracking(),
    ),
    "FiniteDifference, trust region": (
        dd.FiniteDifference("forward"),
        dd.DifferencedHvp(),
        dd.TrustRegion(max_products=2),
    ),
    "differenced Hvp, Newton": (dd.DifferencedHvp(), dd.Newton(), dd.Backtracking()),
    "Newton-CG": (dd.NewtonCG(), dd.Backtracking()),
    "trust region": (dd.TrustRegion(),),
    "autograd, Adam": (dd.Adam(),),
    "autograd, LBFGS, Wolfe": (dd.LBFGS(), StrongWolfe()),
    "autograd, ConjugateGradient, Backtracking": (dd.ConjugateGradient(), dd.Backtracking()),
}
COMPOSITIONS |= {f"{name} alone": (estimator,) for name, estimator in ESTIMATORS.items()}


def _needs_rate(parts: tuple[object, ...]) -> bool:
    return not isinstance(parts[-1], Step)


class _Run:
    """A small problem with two parameters, one of them not contiguous if it is to be."""

    def __init__(
        self, parts: tuple[object, ...], failing: set[int], how: float | BaseException, transposed: bool = True
    ) -> None:
        start = torch.linspace(-1.2, 1.0, D, dtype=torch.float32)
        matrix = start[:4].view(2, 2).T
        self.matrix = nn.Parameter(matrix if transposed else matrix.clone(memory_format=torch.contiguous_format))
        self.vector = nn.Parameter(start[4:].clone())
        self.objective = Failing(lambda: rosenbrock(torch.cat([self.matrix.reshape(-1), self.vector])), failing, how)
        policy = Raise() if isinstance(how, Exception) else None
        lr = 1e-3 if _needs_rate(parts) else None
        params = [self.matrix, self.vector]
        self.optimizer = Optimizer(params, *parts, lr=lr, key=0, on_failure=policy)  # type: ignore[arg-type]

    def point(self) -> Tensor:
        return torch.cat([self.matrix.detach().reshape(-1), self.vector.detach()]).clone()

    def step(self) -> None:
        self.optimizer.step(self.objective)

    def steps(self, n: int) -> None:
        for _ in range(n):
            self.step()


def _peace(parts: tuple[object, ...], transposed: bool = True) -> tuple[list[Tensor], list[int]]:
    """Iterates x_0, x_1, ... and the evaluations made when each was reached."""
    run = _Run(parts, set(), 0.0, transposed)
    iterates, made = [run.point()], [0]
    for _ in range(STEPS):
        run.step()
        iterates.append(run.point())
        made.append(run.objective.calls)
    return iterates, made


AT_ONCE = {"low", "Evolution", "EGGROLL"}
HOW = (ValueError("a bad point"), KeyboardInterrupt())
WHERE = [*((name, True) for name in COMPOSITIONS), *((f"{name} alone", False) for name in ("SPSA", "RDSA", "MeZO"))]


@pytest.mark.parametrize(
    ("name", "transposed", "how"),
    # what goes wrong while a population runs as one forward is asked again, one member at a time: see test_population
    [(*where, how) for where in WHERE for how in HOW if how is HOW[1] or not AT_ONCE & {*where[0].split()}],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_an_aborted_step_leaves_the_last_iterate(name: str, transposed: bool, how: BaseException) -> None:
    parts = COMPOSITIONS[name]
    iterates, made = _peace(parts, transposed)
    assert not torch.equal(iterates[0], iterates[-1])
    for k in range(made[-1]):
        random = torch.get_rng_state()
        run = _Run(parts, {k}, how, transposed)
        with pytest.raises(type(how)):
            run.steps(STEPS)
        whole = sum(k >= m for m in made) - 1
        assert torch.equal(run.point(), iterates[whole]), f"moved by an abort at evaluation {k} of {made[-1]}"
        assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_after_an_interrupt_it_goes_on(name: str) -> None:
    """The step that was interrupted is made again, and every later one works."""
    parts = COMPOSITIONS[name]
    _, made = _peace(parts)
    run = _Run(parts, {made[1] // 2}, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run.step()
    before = float(rosenbrock(run.point()))
    for _ in range(5):
        run.step()
    after = run.point()
    assert torch.isfinite(after).all()
    assert float(rosenbrock(after)) != before


@pytest.mark.parametrize("k", range(4))
def test_a_large_model_is_not_even_written_to(k: int) -> None:
    """Its forward is perturbed instead, so there is nothing to put back."""
    weight = nn.Parameter(torch.full((520, 520), 0.5))
    optimizer = Optimizer([weight], dd.SPSA(1e-3, 2), lr=0.1, key=0)
    version, seen = weight._version, []

    def closure() -> Tensor:
        seen.append(weight._version)
        if len(seen) > k:
            raise KeyboardInterrupt
        return (weight @ torch.ones(520)).square().mean()

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert seen == [version] * (k + 1)
    assert (weight == 0.5).all()


def test_an_interrupt_while_parameters_are_put_back_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second Ctrl-C that hits the very write that undoes a probe."""
    run = _Run((dd.FiniteDifference(), dd.Adam()), {3}, KeyboardInterrupt())
    start, parameters = run.point(), run.optimizer.parameters
    scatter, writes = parameters.scatter, []

    def interrupted(x: Tensor) -> None:
        if torch.equal(x, start) and not writes:
            writes.append(x)
            raise KeyboardInterrupt
        scatter(x)

    monkeypatch.setattr(parameters, "scatter", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.step()
    assert writes
    assert torch.equal(run.point(), start)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_thousand_steps_of_length_zero_move_nothing(name: str, dtype: torch.dtype) -> None:
    start = torch.linspace(-1.2, 1.0, 4).to(dtype)
    matrix, vector = nn.Parameter(start[:2].view(1, 2).clone()), nn.Parameter(start[2:].clone())
    estimator = estimators(4)[name]
    optimizer = Optimizer([matrix, vector], estimator, lr=0.0, key=1)
    asked = []

    def closure() -> Tensor:
        asked.append(float(matrix[0, 0]) + float(vector[0]))
        return matrix.float().square().sum() + (vector.float() - 0.3).square().sum()

    for _ in range(100 if " " in name else 1000):  # variants of an estimator go the same ways
        optimizer.step(closure)
    assert torch.equal(matrix.detach().view(-1), start[:2])
    assert torch.equal(vector.detach(), start[2:])
    assert len(set(asked)) > 1 or Asks.VALUES not in estimator.needs  # the probes did move them


@pytest.mark.parametrize("estimator", [dd.SPSA(), dd.FiniteDifference(), dd.RDSA(1e-2, 3)], ids=repr)
@pytest.mark.parametrize("transform", [dd.Adam(), dd.BFGS(), dd.Lion()], ids=repr)
def test_neither_do_they_behind_a_transform(estimator: Estimator, transform: Transform) -> None:
    start = torch.linspace(-1.2, 1.0, 5).bfloat16()
    x = nn.Parameter(start.clone())
    optimizer = Optimizer([x], estimator, transform, lr=0.0, key=1)
    for _ in range(200):
        optimizer.step(lambda: x.float().square().sum())
    assert torch.equal(x.detach(), start)
