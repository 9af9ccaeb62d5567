"""Whether a model's forward can be perturbed by interception: it is compared with moving the parameters themselves."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from descend.direction import Directions, LowRank, Seeded
from descend.errors import InvalidValue
from descend.key import Key
from descend.layout import Parameters
from descend.noise import Law
from descend.oracle.intercept import Intercept, Move
from descend.oracle.kept import Kept
from descend.oracle.leaf import Randomness
from descend.oracle.module import trainable
from descend.oracle.population import Population, in_short

__all__ = ["ForwardReport", "check_forward"]


@dataclass(frozen=True)
class ForwardReport:
    """What `check_forward` found.

    Attributes:
        passed: no parameter escaped, and every way of running agrees with the moved parameters.
        escaped: names of parameters that the model reaches in a way that cannot be intercepted.
        unused: names of parameters that do not change the answer at all.
        errors: the largest deviation of each way of running, in units of the change that the move makes.
        together: whether a population runs as one forward.
        reason: why it does not.
    """

    passed: bool
    escaped: tuple[str, ...]
    unused: tuple[str, ...]
    errors: Mapping[str, float] = field(default_factory=dict)
    together: bool = True
    reason: str = ""

    def __str__(self) -> str:
        found = ", ".join(f"{name} {error:.1e}" for name, error in self.errors.items())
        lines = [f"{'passed' if self.passed else 'FAILED'}; deviations relative to the change: {found}"]
        if self.escaped:
            lines.append(f"escaped (read by NumPy or compiled code?): {', '.join(self.escaped)}")
        if self.unused:
            lines.append(f"do not change the answer: {', '.join(self.unused)}")
        lines.append("a population runs as one forward" if self.together else f"member by member: {self.reason}")
        return "\n".join(lines)


def check_forward(
    model: nn.Module,
    batch: Any,
    loss: Callable[[nn.Module, Any], Any] | None = None,
    *,
    radius: float = 1e-2,
    tolerance: float = 2e-2,
    key: Key | int = 0,
) -> ForwardReport:
    """Compare the intercepted forward with one whose parameters were really moved, and put them back bit for bit.

    A dense and a rank-one direction are tried one at a time, and three rank-one members as a population. Parameters
    narrower than float32 are checked on a float32 copy of the model, since a move is lost in their own grid.

    Args:
        model: in the mode (train or eval) in which it will run; parameters with requires_grad are moved.
        batch: what the model takes: a mapping is spread by name, a tuple or list by position.
        loss: loss(model, batch), a tensor; default: all floating point tensors that the model answers.
        radius: how far the parameters move, in units of each parameter's root mean square.
        tolerance: the largest deviation, as a fraction of the change in the answer.
        key: of the directions.

    Raises:
        InvalidValue: nothing that the model answers is a floating point tensor; it is no module; radius is not > 0.

    >>> print(check_forward(nn.Linear(3, 2), torch.ones(4, 3)).passed)
    True
    """
    if not isinstance(model, nn.Module):
        raise InvalidValue(
            f"check_forward checks a module, got {type(model).__name__}; write check_forward(model, batch)"
        )
    if not (isinstance(radius, int | float) and math.isfinite(radius) and radius > 0):
        raise InvalidValue(
            f"radius must be a finite number > 0, got {radius!r}; a model that stands still passes any check"
        )
    if any(p.dtype.itemsize < 4 for p in model.parameters() if p.is_floating_point()):
        model = copy.deepcopy(model).float()
        batch = _map(batch, lambda t: t.float() if t.is_floating_point() else t)
    with torch.no_grad():
        check = _Check(model, (lambda: loss(model, batch)) if loss else (lambda: _outputs(model, batch)), key, radius)
        return check.report(tolerance)


class _Check:
    def __init__(self, model: nn.Module, answer: Callable[[], Any], key: Key | int, radius: float) -> None:
        self.model = model
        names, tensors = trainable(model)
        self.parameters = Parameters(tensors, names)
        self.answer, self.key = answer, Key(key) if isinstance(key, int) else key
        d = self.parameters.size
        size = torch.stack([p.detach().float().square().mean() for p in tensors if p.numel()]).mean().sqrt()
        self.radius = radius * (float(size) or 1.0)
        self.dense = Seeded(self.key.fold("dense"), Law.SIGN, 1, d)
        self.thin = LowRank(self.key.fold("thin"), Law.SIGN, 3, 1, self.parameters.layout)
        self.base = self.moved(self.dense, 0, [])

    def run(self) -> Tensor:
        """The model's answer where the parameters are, as one float64 vector."""
        with Kept(self.model), Randomness(self.key):
            answer = self.answer()
        if not isinstance(answer, Tensor):
            raise InvalidValue(f"the loss must return a tensor to be checked, got {type(answer).__name__}")
        return answer.detach().double().reshape(-1)

    def moved(self, directions: Directions, row: int, only: Sequence[int] | None = None) -> Tensor:
        """The answer with the parameters really moved, all or only some of them."""
        places = range(len(self.parameters.tensors)) if only is None else only
        move = Move(self.parameters, directions, [row], [self.radius])
        live = self.parameters.live()
        before = [p.clone() for p in live]  # of all, since a forward may write to its parameters itself
        try:
            for i in places:
                live[i].copy_(move.physical(self.parameters.tensors[i])[0])
            return self.run()
        finally:
            for p, value in zip(live, before, strict=True):
                p.copy_(value)

    def intercepted(self, directions: Directions, row: int) -> tuple[Tensor, set[int]]:
        """The answer with the forward intercepted, and the parameters that it was seen to use."""
        move = Move(self.parameters, directions, [row], [self.radius])
        with Intercept(move):
            return self.run(), move.seen

    def deviation(self, got: Tensor, expected: Tensor) -> float:
        """In units of the change, beyond what float32 rounds."""
        change = float((expected - self.base).abs().max())
        rounding = 1e-6 * float(expected.abs().max())
        return max(0.0, float((got - expected).abs().max()) - rounding) / max(change, rounding, 1e-300)

    def report(self, tolerance: float) -> ForwardReport:
        errors: dict[str, float] = {}
        seen: set[int] = set()
        truths = [self.moved(self.thin, row) for row in range(3)]
        for name, directions, truth in (
            ("dense", self.dense, self.moved(self.dense, 0)),
            ("rank one", self.thin, truths[0]),
        ):
            got, used = self.intercepted(directions, 0)
            seen |= used
            errors[name] = self.deviation(got, truth)
        population = Population(self.parameters)
        together, reason = True, ""
        try:
            with Kept(self.model), Randomness(self.key):
                losses = population.forward(self.thin, [0, 1, 2], [self.radius] * 3, self._flat)
            errors["population"] = max(self.deviation(got, truth) for got, truth in zip(losses, truths, strict=True))
        except Exception as error:
            together, reason = False, in_short(error)
        names = self.parameters.layout.names
        missing = [i for i in range(len(names)) if i not in seen]
        changed = {i for i in missing if not torch.equal(self.moved(self.dense, 0, [i]), self.base)}
        escaped = sorted(changed)
        if not escaped and max(errors.values()) > tolerance:  # seen, and yet not as it should: find out which
            escaped = [i for i in range(len(names)) if self._deviates(i, tolerance)]
        return ForwardReport(
            not escaped and max(errors.values()) <= tolerance,
            tuple(names[i] for i in escaped),
            tuple(names[i] for i in missing if i not in changed),
            errors,
            together,
            reason,
        )

    def _flat(self) -> Tensor:
        return self.answer().reshape(-1)

    def _deviates(self, place: int, tolerance: float) -> bool:
        """Whether moving this parameter alone is not what interception makes of it."""
        alone = Parameters([self.parameters.tensors[place]])
        directions = Seeded(self.key.fold("alone"), Law.SIGN, 1, alone.size)
        move = Move(alone, directions, [0], [self.radius])
        with Intercept(move):
            got = self.run()
        live = alone.live()[0]
        before = live.clone()
        try:
            live.copy_(move.physical(alone.tensors[0])[0])
            truth = self.run()
        finally:
            live.copy_(before)
        return self.deviation(got, truth) > tolerance


def _outputs(model: nn.Module, batch: Any) -> Tensor:
    """All floating point numbers that a model answers, as one vector."""
    if isinstance(batch, Mapping):
        answer = model(**batch)
    else:
        answer = model(*batch) if isinstance(batch, tuple | list) else model(batch)
    found: list[Tensor] = []
    _map(answer, lambda t: found.append(t.reshape(-1)) if t.is_floating_point() else None)
    if not found:
        raise InvalidValue(f"{type(model).__name__} answers no floating point tensor; write loss=lambda model, b: ...")
    return torch.cat(found)


def _map(value: Any, f: Callable[[Tensor], Any]) -> Any:
    """f of every tensor in nested mappings, tuples and lists."""
    if isinstance(value, Tensor):
        return f(value)
    if isinstance(value, Mapping):
        return {name: _map(v, f) for name, v in value.items()}
    return [_map(v, f) for v in value] if isinstance(value, tuple | list) else value
