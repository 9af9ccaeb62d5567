"""Where the parameters are while a forward runs: x + scales[i] * z_rows[i] for the members i = 0..n-1 of a population.

A single probe is a population of one that runs as it is. Several run as one forward under ``torch.func.vmap`` over
the members: a tensor that differs between members is batched by torch itself, so the batch, position tables and the
loss need no copies, and what happens before the first perturbed parameter is computed once for all.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from descend.direction import BLOCK, Directions, Factors, Scratch
from descend.layout import Parameters
from descend.oracle.intercept.lift import Build, lifted

__all__ = ["Move"]

_VECTORS = 2**21  # numbers that the members' copies of all vectors may have, to be made at once: 8 MB


class Move:
    """Some members of a population around the live parameters.

    Args:
        parameters: the point x.
        directions: a block of directions of its size.
        rows, scales: for each of the n members, which direction and how far.
        tile: elements of a weight that are moved at once where a dense direction is made; what is made then is never
            larger. Default 2^22, 16 MB of float32, since a product in pieces is slower. None makes whole weights.
        scratch: where tiles are made; one that is kept from forward to forward saves the page faults of new memory.

    Attributes:
        seen: indices of the parameters that some function has received. One that is never seen was reached in a way
            that no torch function shows (NumPy, compiled code), or is not used at all.
        widest: elements per member of the largest result of an intercepted function so far.
        member: the member's number, batched by vmap; None while a single probe runs.
    """

    def __init__(
        self,
        parameters: Parameters,
        directions: Directions,
        rows: Sequence[int],
        scales: Sequence[float],
        tile: int | None = 2**22,
        scratch: Scratch | None = None,
    ) -> None:
        self.parameters, self.directions = parameters, directions
        self.rows, self.scales, self.tile = list(rows), list(scales), tile
        self.seen: set[int] = set()
        self.widest = 0
        self.member: Tensor | None = None
        pairs = zip(parameters.tensors, parameters.layout.offsets, strict=True)
        self._places = {id(p): (i, start) for i, (p, start) in enumerate(pairs)}
        self._turned: dict[int, tuple[Tensor, Tensor]] = {}
        self._vectors: dict[int, Tensor] | None = None
        self.scratch = Scratch() if scratch is None else scratch

    @property
    def still(self) -> bool:
        """Whether no member moves at all."""
        return not any(self.scales)

    def place(self, value: Any) -> tuple[int, int] | None:
        """Index and flat offset of a parameter of the point, None for anything else."""
        return self._places.get(id(value)) if isinstance(value, Tensor) else None

    def origin(self, value: Any) -> Tensor | None:
        """The parameter that a tensor is, or is the transpose of."""
        if id(value) in self._places:
            return value
        held = self._turned.get(id(value))
        return None if held is None else held[1]

    def turned(self, p: Tensor) -> Tensor:
        """The transpose of a parameter, where it is; whoever multiplies by it finds the parameter through `origin`."""
        view = p.detach().t()
        self._turned[id(view)] = view, p  # held, so that its id stays its own
        return view

    def factors(self, index: int, like: Tensor) -> Factors | None:
        """The members' thin factors on parameter `index`, with the scales in their gains."""
        found = self.directions.factors(index, self.rows, like)
        if found is None:
            return None
        scaled = found.scaled(self.scales)
        if like.dtype != torch.float64:
            return scaled
        return Factors(scaled.left.double(), scaled.right.double(), scaled.index, scaled.gains)

    def physical(self, p: Tensor) -> Tensor:
        """Moved copies of a parameter, (n, *shape), in its dtype or float32 if that is narrower; they are only read."""
        index, start = self._places[id(p)]
        self.seen.add(index)
        n, wide = len(self.rows), torch.promote_types(p.dtype, torch.float32)
        if p.dim() == 1 and not self.still:
            if self._vectors is None:
                self._vectors = self._move_vectors()
            if id(p) in self._vectors:
                return self._vectors[id(p)]
        copies = p.detach().to(wide).expand(n, *p.shape).clone(memory_format=torch.contiguous_format)
        flat = copies.view(n, -1)
        scales = torch.tensor(self.scales, dtype=wide, device=p.device)
        step = max(1, BLOCK // n)
        for low in range(0, 0 if self.still else flat.shape[1], step):
            self.directions.perturb(flat[:, low : low + step], self.rows, scales, start + low)
        return copies

    def _move_vectors(self) -> dict[int, Tensor]:
        """Moved copies of all vectors (biases, and weights of norms), which are many and short, made at once."""
        dtype = torch.promote_types(self.parameters.dtype, torch.float32)
        pairs = [
            (p, start)
            for p, start in zip(self.parameters.tensors, self.parameters.layout.offsets, strict=True)
            if p.dim() == 1 and torch.promote_types(p.dtype, torch.float32) == dtype
        ]
        sizes = [p.shape[0] for p, _ in pairs]
        if not pairs or sum(sizes) * len(self.rows) > _VECTORS:
            return {}
        low, high = min(self.rows), max(self.rows) + 1
        index = torch.tensor(self.rows, device=self.parameters.device) - low
        scales = torch.tensor(self.scales, dtype=dtype, device=index.device)[:, None]
        here = torch.cat([p.detach() for p, _ in pairs]).to(dtype)
        z = self.directions.tiles(low, high, [(start, start + p.shape[0]) for p, start in pairs], here)
        moved = torch.addcmul(here, z.index_select(0, index), scales).split(sizes, 1)
        return {id(p): copies for (p, _), copies in zip(pairs, moved, strict=True)}

    def copy(self, p: Tensor) -> Tensor:
        """A moved copy of a parameter as the model sees it: one tensor, batched over the members if there are many."""
        if self.member is None:  # the model may write to it
            return self.physical(p)[0].clone()
        return self.lift(lambda _: self.physical(p).clone())

    def part(self, p: Tensor, low: int, high: int, member: int) -> Tensor:
        """Rows low..high of a contiguous parameter, moved for one member; held until the next call."""
        index, start = self._places[id(p)]
        self.seen.add(index)
        wide = torch.promote_types(p.dtype, torch.float32)
        source = p.detach()[low:high]
        flat, given = self.scratch.take(source.numel(), wide, p.device), source.view(-1)
        begin = start + low * (p.numel() // max(1, p.shape[0]))
        for first in range(0, flat.numel(), BLOCK):
            some = slice(first, first + BLOCK)
            self.directions.shift(flat[some], given[some], self.rows[member], self.scales[member], begin + first)
        return flat.view(source.shape)

    def lift(self, build: Build, *tensors: Tensor | None) -> Tensor:
        """build(shared, *tensors) on the members' own numbers, the result a tensor of the model again.

        Args:
            build: takes one flag per tensor, True where all members share it, then the tensors, in which the members
                stand first, (n, ...), unless they are shared. Answers (n, ...).
        """
        if self.member is None:
            out = build((True,) * len(tensors), *tensors)
            self.widest = max(self.widest, out.numel())
            return out[0]
        out, self.widest = lifted(build, self.member, tensors, self.widest)
        return out
