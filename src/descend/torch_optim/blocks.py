"""A chain of separable transforms walked through live parameters, block by block.

Every temporary has the size of a block, so an update needs no memory beyond the transforms' own state, and each
parameter group may have other hyperparameters.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from descend.direction import BLOCK, Combination
from descend.estimate.base import Lifted
from descend.estimate.evolution import Evolution
from descend.estimate.random_directions import RandomDirections
from descend.key import Key
from descend.layout import Parameters, copy_all
from descend.oracle import Oracle
from descend.torch_optim.rounding import Nearest, Rounding
from descend.transform.chain import At, Transform, merged, part_of

__all__ = ["Block", "Gradients", "blocks_of", "update_blocks"]


@dataclass(frozen=True)
class Block:
    """Elements start..stop of the flat point, all in one parameter group.

    Args:
        group: index of the parameter group.
        first, last: the parameters that lie in it, whole if `low` is None.
        low: where the block begins within its only parameter, flat; None where parameters are whole.
    """

    start: int
    stop: int
    group: int
    first: int
    last: int
    low: int | None

    def pieces(self, tensors: list[Tensor]) -> list[Tensor]:
        """The stretches of these tensors (one per parameter of the whole point) that lie in the block."""
        if self.low is None:
            return tensors[self.first : self.last]
        return [tensors[self.first].view(-1)[self.low : self.low + self.stop - self.start]]

    def cut(self, flat: Tensor, tensors: list[Tensor]) -> list[Tensor]:
        """A flat tensor of the block's length as views shaped like its pieces."""
        if self.low is not None:
            return [flat]
        views, at = [], 0
        for p in tensors[self.first : self.last]:
            views.append(flat[at : at + p.numel()].view(p.shape))
            at += p.numel()
        return views


@dataclass(frozen=True, eq=False)
class Gradients:
    """The parameters' .grad as a lazily gathered gradient; zero where there is none."""

    parameters: Parameters

    def is_finite(self) -> bool:
        """Whether every gradient is finite."""
        grads = [p.grad for p in self.parameters.tensors if p.grad is not None]
        return all(math.isfinite(norm) for norm in torch.stack([g.norm() for g in grads]).tolist()) if grads else True

    def take(self, block: Block, out: Tensor) -> Tensor:
        """Copy a block of the gradient into `out`."""
        grads = [p.grad for p in self.parameters.tensors[block.first : block.last]]
        views = block.cut(out, self.parameters.tensors)
        if block.low is not None:
            grads = [None if grads[0] is None else grads[0].reshape(-1)[block.low : block.low + out.numel()]]
        pairs = [(v, g) for v, g in zip(views, grads, strict=True) if g is not None]
        if len(pairs) < len(views):
            out.zero_()
        if pairs:
            copy_all([v for v, _ in pairs], [g for _, g in pairs])
        return out


Source = Tensor | Combination | Gradients


def blocks_of(parameters: Parameters, groups: Sequence[int]) -> list[Block]:
    """Cut a point into blocks of at most `BLOCK` elements, or one larger parameter that is not contiguous.

    Args:
        parameters: the point.
        groups: the group of every parameter.
    """
    found: list[Block] = []
    first, start, at = 0, 0, 0
    for i, p in enumerate(parameters.tensors):
        size = p.numel()
        if i > first and (groups[i] != groups[first] or at + size - start > BLOCK):
            found.append(Block(start, at, groups[first], first, i, None))
            first, start = i, at
        at += size
        if size > BLOCK and p.is_contiguous():
            for low in range(0, size, BLOCK):
                high = min(size, low + BLOCK)
                found.append(Block(start + low, start + high, groups[i], i, i + 1, low))
            first, start = i + 1, at
    if at > start:
        found.append(Block(start, at, groups[first], first, len(parameters.tensors), None))
    return found


def update_blocks(
    parameters: Parameters,
    blocks: Sequence[Block],
    chains: Sequence[Sequence[Transform[Any]]],
    rates: Sequence[float],
    source: Source,
    states: tuple[Any, ...],
    oracle: Oracle,
    key: Key,
    value: float,
    rounding: Rounding = Nearest(),
    residual: Tensor | None = None,
    t: int = 0,
) -> tuple[Any, ...]:
    """parameters -= rate * chain(gradient), group by group, block by block, in place; returns the chain's next states.

    Args:
        chains: the transforms of every group, all separable; they differ in hyperparameters only.
        rates: the learning rate of every group.
        source: the gradient.
        states: of the transforms, over the whole point, begun in the rounding's working type.
        oracle, key, value: what transforms may ask, see `At`.
        rounding: how the step is written into parameters narrower than float32.
        residual: what the rounding remembers, over the whole point, written in place.
        t: how many steps were taken before this one.
    """
    live, d = parameters.live(), parameters.size
    dtype = rounding.working(parameters.dtype)
    reads = any(transform.reads_point for transform in chains[0])
    lazy = source if isinstance(source, Combination) else None
    past = _past(oracle, parameters)
    after = states
    if not chains[0] and lazy is not None and lazy.seamless and _direct(live, rounding):
        blocks = _joined(blocks)  # what is added in place needs none
    for block in blocks:
        pieces = block.pieces(live)
        rate = rates[block.group]
        if not chains[0] and lazy is not None and _direct(pieces, rounding):
            start = block.start
            for piece in pieces:  # not even a block is made
                lazy.add_to(piece.view(-1), -rate, start)
                start += piece.numel()
            continue
        flat = torch.empty(block.stop - block.start, dtype=dtype, device=parameters.device)
        x = flat.new_empty(0)
        if reads:
            x = torch.empty_like(flat)
            copy_all(block.cut(x, live), pieces)
        direction = _take(source, block, flat)
        at = At(x, oracle, key, value, t, block.start, lazy, past)
        part = states if len(blocks) == 1 else part_of(states, block.start, block.stop, d)
        changed = []
        for transform, state in zip(chains[block.group], part, strict=True):
            direction, new = transform(direction, state, at)
            changed.append(new)
        cut_off = None if residual is None else residual[block.start : block.stop]
        rounding.add(pieces, direction, -rate, key, block.start, cut_off)
        after = tuple(changed) if len(blocks) == 1 else merged(states, tuple(changed), block.start, block.stop, d)
    return after


def _joined(blocks: Sequence[Block]) -> list[Block]:
    """The same elements, with one block in place of several that follow each other in one parameter."""
    found: list[Block] = []
    for block in blocks:
        last = found[-1] if found else None
        if last is not None and last.low is not None and (block.first, block.start) == (last.first, last.stop):
            found[-1] = replace(last, stop=block.stop)
        else:
            found.append(block)
    return found


def _past(oracle: Oracle, parameters: Parameters) -> Callable[[Key, int, list[float]], Combination] | None:
    """What `At.past` says: the estimate that some weights made, where a key decides on its directions."""
    estimator = oracle.estimator if isinstance(oracle, Lifted) else None
    if not isinstance(estimator, RandomDirections | Evolution):
        return None
    made: dict[tuple[Key, int], Combination] = {}  # blocks follow each other

    def again(key: Key, t: int, weights: list[float]) -> Combination:
        if (key, t) not in made:
            like = torch.zeros(1, dtype=parameters.dtype, device=parameters.device).expand(parameters.size)
            made[key, t] = estimator.at(t).combination(weights, like, key, parameters.layout)
        return made[key, t]

    return again


def _direct(pieces: list[Tensor], rounding: Rounding) -> bool:
    """Whether a direction may be added to the parameters themselves, without being made first."""
    return not rounding.rounds(pieces) and all(piece.is_contiguous() for piece in pieces)


def _take(source: Source, block: Block, out: Tensor) -> Tensor:
    """A block of the gradient as a tensor that may be overwritten."""
    if isinstance(source, Gradients):
        return source.take(block, out)
    if isinstance(source, Combination):
        return source.add_to(out.zero_(), 1.0, block.start)
    return out.copy_(source[block.start : block.stop])
