"""What every transform promises. Each contract raises an AssertionError with a sentence if the promise is broken."""

import io
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from descend.direction import as_dense
from descend.key import Key
from descend.oracle import Residuals
from descend.transform.chain import At, Transform, merged, part_of
from descend.tree import from_plain, map_tensors, same, to_plain

__all__ = [
    "CONTRACTS",
    "is_finite_whatever_comes",
    "keeps_dtype_and_shape",
    "leaves_the_point_alone",
    "reads_the_point_only_if_it_says_so",
    "repeats",
    "resumes_at_every_step",
    "walks_in_blocks_if_separable",
]

_D = 8
_STEPS = 7

Trial = list[Tensor]


def _forward(x: Tensor) -> Tensor:
    """Residuals of a curved fit, so that a transform may ask for any kind of derivative."""
    i = torch.arange(1, x.numel() + 1, dtype=x.dtype, device=x.device)
    return torch.cat([torch.sin(x) * i, x - 0.3])


def _path(dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """Points and gradients as a descent might meet them: fixed, so that all transforms see the same."""
    oracle, x = Residuals(_forward), torch.linspace(-1, 1.2, _D, dtype=torch.float64)
    found = []
    for k in range(_STEPS):
        gradient = as_dense(oracle.gradient(x, Key(k)).gradient, x)
        found.append((x.to(dtype), gradient.to(dtype)))
        x = x - 0.02 * (1 + k % 3) * gradient
    return found


def _at(x: Tensor) -> At:
    return At(x.clone(), Residuals(_forward), Key(3), float("nan"))


def _owned(state: Any) -> Any:
    return map_tensors(lambda t: t.clone(), state)


def _run(transform: Transform[Any], dtype: torch.dtype = torch.float64) -> tuple[Trial, list[Any]]:
    """The directions along the path, and the states before each of them and at the end."""
    path = _path(dtype)
    state = transform.init(path[0][0].clone())
    directions, states = [], [_owned(state)]
    for x, gradient in path:
        direction, state = transform(gradient.clone(), state, _at(x))
        directions.append(direction.clone())
        states.append(_owned(state))
    return directions, states


def _equal(a: Trial, b: Trial) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def repeats(transform: Transform[Any]) -> None:
    """The same gradients give the same directions, bit for bit."""
    first, again = _run(transform)[0], _run(transform)[0]
    assert _equal(first, again), f"{transform!r} gives other directions for the same gradients"


def resumes_at_every_step(transform: Transform[Any]) -> None:
    """Its state, saved without code after any step and loaded again, goes on bit for bit."""
    directions, states = _run(transform)
    path = _path(torch.float64)
    for k in range(_STEPS):
        file = io.BytesIO()
        torch.save(to_plain(states[k]), file)
        file.seek(0)
        state = from_plain(torch.load(file, weights_only=True))
        for j in range(k, _STEPS):
            x, gradient = path[j]
            direction, state = transform(gradient.clone(), state, _at(x))
            assert torch.equal(direction, directions[j]), f"{transform!r} resumed at step {k} differs at step {j}"
        assert same(state, states[-1]), f"{transform!r} resumed at step {k} ends in another state"


def leaves_the_point_alone(transform: Transform[Any]) -> None:
    """The point is read, never written to, and no direction is the memory of the state."""
    path = _path(torch.float64)
    state = transform.init(path[0][0].clone())
    for x, gradient in path:
        at = _at(x)
        direction, state = transform(gradient.clone(), state, at)
        assert torch.equal(at.x, x), f"{transform!r} writes to the point"
        kept = _owned(state)
        direction.add_(1.0)  # whoever comes next in a chain may overwrite the direction
        assert same(state, kept), f"the direction of {transform!r} shares memory with its state"


def reads_the_point_only_if_it_says_so(transform: Transform[Any]) -> None:
    """Without `reads_point` its directions are the same wherever the problem lies."""
    if transform.reads_point:
        return
    path = _path(torch.float64)
    state = transform.init(path[0][0].clone())
    for (_, gradient), expected in zip(path, _run(transform)[0], strict=True):
        direction, state = transform(gradient.clone(), state, _at(torch.full((_D,), float("nan"), dtype=torch.float64)))
        assert torch.equal(direction, expected), f"{transform!r} reads the point; write reads_point = True"


def keeps_dtype_and_shape(transform: Transform[Any]) -> None:
    """A direction is a tensor like the gradient, and in low precision about the one of high precision."""
    exact = _run(transform)[0]
    for dtype, tolerance in ((torch.float32, 1e-2), (torch.bfloat16, 0.5)):
        directions = _run(transform, dtype)[0]
        for k, (direction, truth) in enumerate(zip(directions, exact, strict=True)):
            assert direction.shape == (_D,), f"{transform!r} gives shape {tuple(direction.shape)} for ({_D},)"
            assert direction.dtype == dtype, f"{transform!r} gives {direction.dtype} for {dtype}"
            if k == 0:
                error = float((direction.double() - truth).norm() / truth.norm().clamp(min=1e-300))
                assert error < tolerance, f"{transform!r} is off by {error:.2g} in {dtype}"


def walks_in_blocks_if_separable(transform: Transform[Any]) -> None:
    """A separable transform gives the same bits block by block, its state being written in place."""
    if not transform.separable:
        return
    path = _path(torch.float64)
    state = transform.init(path[0][0].clone())
    for (x, gradient), expected in zip(path, _run(transform)[0], strict=True):
        pieces, after, wide = [], state, gradient.clone()
        for start, stop in ((0, 3), (3, _D)):
            at = _at(x)
            here = At(at.x[start:stop], at.oracle, at.key, at.value)
            block, changed = transform(wide[start:stop], part_of(state, start, stop, _D), here)
            pieces.append(block.clone())
            after = merged(state, changed, start, stop, _D)
        state = after
        assert torch.equal(torch.cat(pieces), expected), f"{transform!r} says separable, but coordinates are not alone"


def is_finite_whatever_comes(transform: Transform[Any]) -> None:
    """Zero, tiny and large gradients give directions whose every number is finite."""
    x = torch.linspace(-1, 1.2, _D)
    for scale in (0.0, 1e-30, 1e15):
        state = transform.init(x.clone())
        for k in range(4):
            gradient = scale * torch.cos(torch.arange(_D) + k)
            direction, state = transform(gradient, state, _at(x + 0.1 * k))
            assert torch.isfinite(direction).all(), f"{transform!r} is not finite for gradients of size {scale}"


CONTRACTS: tuple[Callable[[Transform[Any]], None], ...] = (
    repeats,
    resumes_at_every_step,
    leaves_the_point_alone,
    reads_the_point_only_if_it_says_so,
    keeps_dtype_and_shape,
    walks_in_blocks_if_separable,
    is_finite_whatever_comes,
)
"""What holds for every transform."""
