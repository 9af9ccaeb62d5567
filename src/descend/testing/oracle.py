"""What every oracle promises. Each contract raises an AssertionError with a sentence if the promise is broken.

A contract takes an oracle and a point (d,) of float64 about which it can be asked.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from descend.direction import Dense, as_dense
from descend.key import Key
from descend.oracle import Asks, Oracle
from descend.testing.estimator import refusal

__all__ = [
    "CONTRACTS",
    "answers_in_float64",
    "answers_what_it_declares",
    "counts_what_it_is_asked",
    "derivatives_agree_with_values",
    "leaves_everything_as_it_was",
    "repeats_under_a_key",
]


def _questions(oracle: Oracle, x: Tensor, key: Key) -> dict[Asks, Callable[[], Tensor | float]]:
    directions = Dense(torch.stack([x + 1, x.flip(0) - 0.5]))
    return {
        Asks.VALUE: lambda: oracle.value(x, key),
        Asks.VALUES: lambda: oracle.values(torch.stack([x, x + 0.1]), key),
        Asks.GRADIENT: lambda: as_dense(oracle.gradient(x, key).gradient, x),
        Asks.JVP: lambda: oracle.jvp(x, directions, key),
        Asks.HVP: lambda: oracle.hvp(x, x + 1, key),
        Asks.RESIDUALS: lambda: oracle.residuals(x, key),
        Asks.JACOBIAN: lambda: oracle.jacobian(x, key),
    }


def answers_what_it_declares(oracle: Oracle, x: Tensor) -> None:
    """Every kind of question that it declares is answered, every other refused in words."""
    for kind, ask in _questions(oracle, x, Key(0)).items():
        said = refusal(ask)
        if kind in oracle.answers:
            assert said is None, f"{oracle!r} declares {kind.words()} and refuses it: {said}"
        else:
            assert said is not None, f"{oracle!r} answers {kind.words()}, which it does not declare"
            assert kind.words() in said, f"{oracle!r} refuses {kind.words()} without saying so: {said}"


def answers_in_float64(oracle: Oracle, x: Tensor) -> None:
    """Values are Python floats and float64 tensors on the CPU, gradients are like the point."""
    xs = torch.stack([x, x + 0.1, x - 0.2])
    if Asks.VALUE in oracle.answers:
        assert type(oracle.value(x, Key(0))) is float, f"{oracle!r} does not answer a float"
    if Asks.VALUES in oracle.answers:
        answers = [oracle.values(xs, Key(0))]
        scales = torch.tensor([[0.0, 0.1], [-0.1, 0.0]], dtype=torch.float64)
        answers.append(oracle.along(x, Dense(torch.ones_like(xs[:2])), scales, Key(0)))
        for answer, shape in zip(answers, ((3,), (2, 2)), strict=True):
            described = f"{answer.dtype} of shape {tuple(answer.shape)} on {answer.device}"
            fits = answer.dtype == torch.float64 and answer.shape == shape and answer.device.type == "cpu"
            assert fits, f"{oracle!r} answers {described} instead of float64 of shape {shape} on the CPU"
    if Asks.GRADIENT in oracle.answers:
        gradient = as_dense(oracle.gradient(x, Key(0)).gradient, x)
        assert gradient.shape == x.shape, f"{oracle!r} answers a gradient of shape {tuple(gradient.shape)}"
        assert gradient.dtype == x.dtype, f"{oracle!r} answers a gradient of {gradient.dtype} at a {x.dtype} point"


def repeats_under_a_key(oracle: Oracle, x: Tensor) -> None:
    """The same key gives the same answer to every question, however torch is seeded in between."""
    for kind, ask in _questions(oracle, x, Key(7)).items():
        if kind in oracle.answers:
            first = _bits(ask())
            torch.default_generator.set_state(torch.Generator().manual_seed(1).get_state())
            assert torch.equal(first, _bits(ask())), f"{oracle!r} answers {kind.words()} otherwise the second time"


def _bits(answer: Tensor | float) -> Tensor:
    return answer.detach().clone() if isinstance(answer, Tensor) else torch.tensor(answer, dtype=torch.float64)


def leaves_everything_as_it_was(oracle: Oracle, x: Tensor) -> None:
    """No question changes the point or torch's global random state, or leaves a graph behind."""
    before, random = x.clone(), torch.get_rng_state()
    for kind, ask in _questions(oracle, x, Key(1)).items():
        if kind in oracle.answers:
            answer = ask()
            assert torch.equal(x, before), f"{oracle!r} changes the point when it is asked for {kind.words()}"
            still = torch.equal(torch.get_rng_state(), random)
            assert still, f"{oracle!r} changes torch's global random state when it is asked for {kind.words()}"
            graph = isinstance(answer, Tensor) and answer.requires_grad
            assert not graph, f"{oracle!r} answers {kind.words()} with a graph behind it"


def counts_what_it_is_asked(oracle: Oracle, x: Tensor) -> None:
    """Every question is charged; in `along` all zero scales are one evaluation."""
    for kind, ask in _questions(oracle, x, Key(2)).items():
        if kind in oracle.answers:
            before = oracle.ledger.total
            ask()
            assert oracle.ledger.total > before, f"{oracle!r} answers {kind.words()} without counting it"
    if Asks.VALUES in oracle.answers:
        scales = torch.tensor([[0.0, 0.1], [0.0, 0.2]], dtype=torch.float64)
        before = oracle.ledger.total
        values = oracle.along(x, Dense(torch.ones(2, x.numel(), dtype=x.dtype)), scales, Key(2))
        made = oracle.ledger.total - before
        assert made == 3 * oracle.cost, f"{oracle!r} makes {made} evaluations for 3 points that cost {oracle.cost} each"
        assert float(values[0, 0]) == float(values[1, 0]), f"{oracle!r} has two values at one point"


def derivatives_agree_with_values(oracle: Oracle, x: Tensor) -> None:
    """Gradient, directional and second derivatives are those of the values, to the precision of differences."""
    key, h = Key(4), 1e-4 * (1 + float(x.abs().max()))
    z = torch.linspace(0.5, -1.0, x.numel(), dtype=x.dtype)
    if Asks.VALUES not in oracle.answers:
        return
    scales = torch.tensor([[-h, 0.0, h]], dtype=torch.float64)
    low, here, high = oracle.along(x, Dense(z[None]), scales, key)[0].tolist()
    found = []
    if Asks.VALUE in oracle.answers:
        found.append(("value", oracle.value(x, key), here))
    if Asks.GRADIENT in oracle.answers:
        slope = oracle.gradient(x, key)
        found.append(("gradient", float(as_dense(slope.gradient, x) @ z), (high - low) / (2 * h)))
    if Asks.JVP in oracle.answers:
        found.append(("jvp", float(oracle.jvp(x, Dense(z[None]), key)[0]), (high - low) / (2 * h)))
    if Asks.HVP in oracle.answers:
        found.append(("hvp", float(oracle.hvp(x, z, key) @ z), (high - 2 * here + low) / h**2))
    if Asks.RESIDUALS in oracle.answers:
        found.append(("residuals", float(oracle.residuals(x, key).square().sum() / 2), here))
    if {Asks.RESIDUALS, Asks.JACOBIAN} <= set(oracle.answers):
        product = float(oracle.residuals(x, key) @ (oracle.jacobian(x, key) @ z))
        found.append(("jacobian", product, (high - low) / (2 * h)))
    for name, answer, truth in found:
        close = math.isclose(answer, truth, rel_tol=1e-4, abs_tol=1e-5 * (1 + abs(here)))
        assert close, f"the {name} of {oracle!r} is {answer:.6g}, its values say {truth:.6g}"


CONTRACTS: tuple[Callable[[Oracle, Tensor], None], ...] = (
    answers_what_it_declares,
    answers_in_float64,
    repeats_under_a_key,
    leaves_everything_as_it_was,
    counts_what_it_is_asked,
    derivatives_agree_with_values,
)
"""What holds for every oracle."""
