"""What the parts of a torch optimizer and its parameter groups may say.

Hyperparameters of separable transforms become keys of the parameter groups by their field names, so torch's
schedulers can change them and groups can differ in them.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from descend.descent import split_parts
from descend.direction import BLOCK, Stretch
from descend.direction.masked import Mask
from descend.errors import CompositionError, InvalidValue
from descend.estimate.base import Estimator, Lifted
from descend.estimate.by_example import ByExample
from descend.estimate.draw import Coupling, RandomLaw
from descend.estimate.evolution import Evolution
from descend.estimate.gains import Gains
from descend.estimate.hybrid import Hybrid
from descend.estimate.mask import Magnitude
from descend.estimate.per_example import PerExample
from descend.estimate.random_directions import RandomDirections
from descend.layout import Parameters
from descend.oracle import Asks, Oracle, trainable
from descend.step.base import Step
from descend.step.fixed import Fixed, Rate, as_rate
from descend.transform.chain import At, Transform
from descend.tree import map_tensors, same, tensors

__all__ = [
    "Masks",
    "Part",
    "Rates",
    "as_groups",
    "calibratable",
    "check_group",
    "first_rate",
    "grown",
    "hyperparameters",
    "masks_of",
    "own_estimator",
    "rates",
    "split",
    "streams",
    "stretches",
    "with_group",
    "with_masks",
    "with_radii",
]

_ORIGIN = torch.zeros(1)

Masks = tuple[Mask | None, ...]

Part = Estimator | Transform[Any] | Step[Any]


def split(parts: Sequence[Part]) -> tuple[tuple[Estimator, ...], tuple[Transform[Any], ...], Step[Any] | None]:
    """Estimators, transforms and the step rule, which must come in this order."""
    count = 0
    while count < len(parts) and isinstance(parts[count], Estimator):
        count += 1
    for part in parts[count:]:
        if isinstance(part, Estimator):
            raise CompositionError(
                f"the estimator {part!r} stands after {parts[count]!r}, which would never see its gradient; "
                "estimators come first"
            )
    chain, step = split_parts(tuple(parts[count:]))
    return tuple(parts[:count]), chain, step  # type: ignore[return-value]


def as_groups(params: nn.Module | Iterable[Any]) -> list[Any]:
    """What a user may pass for the parameters, as torch takes it."""
    if isinstance(params, Tensor):
        raise InvalidValue("pass a list of tensors, [x], not a tensor itself")
    if isinstance(params, nn.Module):
        names, tensors_ = trainable(params)
        listed: list[Any] = list(zip(names, tensors_, strict=True))
    else:
        listed = list(params)
    if not listed:
        raise InvalidValue("there are no parameters to optimize: the list is empty; write model.parameters()")
    return listed


def calibratable(estimators: Sequence[Estimator], chain: Sequence[Transform[Any]]) -> bool:
    """Whether gains can be found by asking: a random-direction estimator alone, with no transform behind it."""
    return len(estimators) == 1 and isinstance(estimators[0], RandomDirections) and not chain


def own_estimator(group: dict[str, Any]) -> Estimator | None:
    """Take a group's own estimator out of it; None if it has none."""
    own = group.pop("estimator", None)
    if own is not None and not isinstance(own, Estimator):
        raise InvalidValue(f"a group's estimator must be an estimator such as SPSA(), got {own!r}")
    return own


def check_group(group: Mapping[str, Any], known: set[str], schedule: Callable[[int], float] | None) -> None:
    """Raise for a key that means nothing in a parameter group, suggesting the nearest that does, and for a bad lr."""
    for name in group:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise InvalidValue(f"unknown key {name!r} in a parameter group; {hint}Known are {sorted(known)}")
    if schedule is not None and "lr" in group:
        raise CompositionError(
            f"the schedule {schedule!r} sets the learning rate of every group, so its lr={group['lr']!r} would be "
            "ignored; drop it, or write a number for lr and use a scheduler of torch"
        )
    rates([group])


def first_rate(lr: Rate | None, chain: Sequence[Transform[Any]], rule: Step[Any] | None, calibrates: bool) -> float:
    """The learning rate at step 0, or a sentence if it is missing or superfluous."""
    if rule is not None and lr is not None:
        raise CompositionError(f"{rule!r} decides the length of a step, so lr={lr!r} would be ignored; drop one")
    if lr is None:
        if rule is None and not calibrates and not any(transform.natural_length for transform in chain):
            raise InvalidValue("lr is missing: the parts do not decide how long a step is; write lr=1e-3, say")
        return 1.0
    rate = as_rate(Fixed(lr).lr)(0)
    rates([{"lr": rate}])
    return rate


def rates(groups: Sequence[Mapping[str, Any]]) -> list[float]:
    """The learning rates of the groups that state one; one that means nothing raises, whoever wrote it there."""
    found = [group["lr"] for group in groups if "lr" in group]
    for rate in found:
        if not 0 <= rate < math.inf:
            raise InvalidValue(f"a learning rate must be a finite number >= 0, got lr={rate!r}; write lr=1e-2")
    return found


def hyperparameters(estimators: Sequence[Estimator], chain: Sequence[Transform[Any]]) -> dict[str, Any]:
    """Names and values of what groups may set: numeric fields of separable transforms, and the estimator's radius.

    A name that two transforms share stands for neither.
    """
    found: dict[str, Any] = {}
    twice = set()
    for transform in chain:
        if not transform.separable:
            continue
        for field in fields(transform):  # type: ignore[arg-type]  # parts are dataclasses
            value = getattr(transform, field.name)
            numeric = isinstance(value, bool | int | float) or (
                isinstance(value, tuple) and all(isinstance(v, int | float) for v in value)
            )
            if numeric and field.init:
                twice |= {field.name} & found.keys()
                found[field.name] = value
    found = {name: value for name, value in found.items() if name not in twice}
    for estimator in estimators:
        if isinstance(estimator, RandomDirections | Evolution) and isinstance(estimator.radius, int | float | None):
            found["radius"] = estimator.radius
    return found


def with_group(chain: Sequence[Transform[Any]], group: Mapping[str, Any]) -> tuple[Transform[Any], ...]:
    """The chain with a group's hyperparameters; a value that means nothing raises as it would in the transform."""
    made = []
    for transform in chain:
        changed = {
            field.name: group[field.name]
            for field in fields(transform)  # type: ignore[arg-type]
            if field.name in group
            and field.init
            and transform.separable
            and group[field.name] != getattr(transform, field.name)
        }
        made.append(_changed(transform, changed) if changed else transform)
    return tuple(made)


def _changed(transform: Transform[Any], changes: Mapping[str, Any]) -> Transform[Any]:
    """The transform with other hyperparameters, which may not be those that decide on its memory: that is made once."""
    other = replace(transform, **changes)  # type: ignore[type-var]  # parts are dataclasses
    if not same(other.init(_ORIGIN), transform.init(_ORIGIN)):
        raise CompositionError(
            f"a parameter group sets {dict(changes)}, which decides on what {transform!r} remembers and cannot differ "
            f"between groups; write it in {type(transform).__name__}(...) itself"
        )
    return other


def with_radii(
    estimator: RandomDirections | Evolution,
    gains: Gains | None,
    groups: Sequence[Mapping[str, Any]],
    stretches: Sequence[tuple[int, int]],
) -> RandomDirections | Evolution:
    """The estimator with the groups' radii, one per stretch of the point where they differ."""
    if gains is not None:
        return replace(estimator, radius=gains.radius)
    radii = [group["radius"] for group in groups if "radius" in group]
    if len(radii) < len(groups) or all(radius == estimator.radius for radius in radii):
        return estimator
    if any(radius is None for radius in radii):
        raise InvalidValue(f"some groups set a radius and others leave it automatic, got {radii}; give every group one")
    if len(set(radii)) == 1:
        return replace(estimator, radius=radii[0])
    return replace(estimator, radius=tuple((a, b, r) for (a, b), r in zip(stretches, radii, strict=True)))


def streams(lifted: Oracle, base: Oracle, parameters: Parameters) -> bool:
    """Whether an estimate is made by moving the parameters within the forward, without a copy of them.

    It is where directions act on activations or losses of examples are asked, which only the live parameters answer,
    and where the parameters are many, or narrower than float32 so that a move is lost in their own grid, if directions
    are seeded and the radius is set.
    """
    if not isinstance(lifted, Lifted) or lifted.base is not base:
        return False
    narrow = any(p.dtype.itemsize < 4 for p in parameters.tensors)
    return _streams(lifted.estimator, narrow or parameters.size > BLOCK)


def _streams(estimator: Estimator, large: bool) -> bool:
    if isinstance(estimator, PerExample):
        return True
    if isinstance(estimator, ByExample):
        return _streams(estimator.estimator, large)
    if isinstance(estimator, Hybrid):
        parts = [part for _, part in estimator.parts]
        # all of them can, and there is a reason for it
        return all(_streams(part, True) for part in parts) and any(_streams(part, large) for part in parts)
    if not isinstance(estimator, RandomDirections | Evolution) or estimator.radius is None:
        return False
    if estimator.rank is not None or Asks.EXAMPLES in estimator.needs:
        return True
    seeded = isinstance(estimator, Evolution) or estimator.coupling in (Coupling.INDEPENDENT, Coupling.ANTITHETIC)
    return seeded and estimator.law is not RandomLaw.SPHERE and large


def masks_of(estimators: Sequence[Estimator], weights: list[Tensor]) -> Masks:
    """The mask that each estimator's rule makes of these weights, None where there is no rule."""
    rules = (e.mask if isinstance(e, RandomDirections) else None for e in estimators)
    return tuple(rule.of(weights) if isinstance(rule, Magnitude) else None for rule in rules)


def with_masks(estimators: Sequence[Estimator], masks: Masks) -> list[Estimator]:
    """The estimators with their masks in the place of the rules."""
    pairs = zip(estimators, masks, strict=True)
    return [e if mask is None else replace(e, mask=mask) for e, mask in pairs]  # type: ignore[type-var]


def stretches(parameters: Parameters, owners: Sequence[int]) -> list[tuple[int, int]]:
    """Where every group begins and ends in the flat point; owners are the groups of the parameters, in order."""
    ends = dict.fromkeys(owners, 0)
    for owner, start, size in zip(owners, parameters.layout.offsets, parameters.layout.sizes, strict=True):
        ends[owner] = start + size
    starts = [0, *list(ends.values())[:-1]]
    return list(zip(starts, ends.values(), strict=True))


@dataclass(frozen=True)
class Rates(Transform[None]):
    """Multiplies each stretch of the direction by its group's learning rate."""

    pieces: tuple[Stretch, ...]

    separable = False

    def init(self, x: Tensor) -> None:
        return None

    def __call__(self, gradient: Tensor, state: None, at: At) -> tuple[Tensor, None]:
        for start, stop, rate in self.pieces:
            if rate != 1.0:
                gradient[start:stop] *= rate
        return gradient, None


def grown(old: Any, new: Any, d: int) -> Any:
    """A transform's fresh state for d parameters with the memory of the first ones, if it has one number per parameter.

    Args:
        old: the state over the first parameters.
        new: the fresh state over all d.
    """
    before, after = tensors(old), tensors(new)
    per_parameter = all(
        b.dim() == a.dim() and (b.dim() == 0 or (b.dim() == 1 and a.numel() == d))
        for b, a in zip(before, after, strict=True)
    )
    if not per_parameter:
        return new
    fresh = iter(after)

    def extend(memory: Tensor) -> Tensor:
        longer = next(fresh)
        if memory.dim() == 0:
            return memory
        longer = longer.clone()
        longer[: memory.numel()] = memory
        return longer

    return map_tensors(extend, old)
