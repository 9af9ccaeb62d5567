"""A whole step of SPSA on live parameters in as few operations as it takes.

It is the fast version of `RandomDirections.gradient` over a `Closure` followed by `update_blocks`, for one symmetric
pair of probes along one direction and no transform, on points small enough that Python's own time counts. The numbers
are theirs bit for bit, which a test checks; nothing else may be added here.
"""

import math
from collections.abc import Callable

import torch

from descend.direction import BLOCK
from descend.estimate.draw import Coupling, RandomLaw
from descend.estimate.random_directions import RandomDirections, automatic_radius
from descend.key import Key
from descend.noise import Law, fill
from descend.oracle import Closure
from descend.oracle.failure import evaluate
from descend.oracle.leaf import Randomness

__all__ = ["PairStep", "pair_step"]


class PairStep:
    """x <- x - rate * (f(x + hz) - f(x - hz)) / 2h * z, with z regenerated nowhere and x saved once."""

    def __init__(self, closure: Closure, law: Law, radius: Callable[[int], float] | float | None) -> None:
        self.closure, self.law, self.radius = closure, law, radius
        p = closure.parameters
        self.home = torch.empty(p.size, dtype=p.dtype, device=p.device)
        self.z = torch.empty_like(self.home)
        self._homes = [view.view(-1) for view in p.layout.unflatten(self.home)]
        self._zs = [view.view(-1) for view in p.layout.unflatten(self.z)]
        self._aliases: list[torch.Tensor] = []

    def _follow(self) -> None:
        """Where the parameters lie now, with the stretches of the point that belong to them."""
        live = self.closure.parameters.live()
        if live is not self._aliases:
            self._aliases = live
            self._live = [alias.view(-1) for alias in live]
            self._triples = list(zip(self._homes, self._zs, self._live, strict=True))

    def __call__(self, key: Key, t: int, rate: Callable[[float], float]) -> tuple[float, bool]:
        """One step.

        Args:
            key: of the step.
            t: steps taken before, for a radius that is a schedule.
            rate: the learning rate for a direction of a given length.

        Returns:
            The mean of the two values, and whether the step was taken; it is not where a value is not finite.
        """
        self._follow()
        triples = self._triples
        for home, _, live in triples:
            home.copy_(live)
        fill(self.z, key.seed, self.law)
        radius = self.radius
        h = automatic_radius(self.home, 2) if radius is None else radius(t) if callable(radius) else radius
        closure = self.closure
        weight = math.nan
        try:
            with closure.population.kept as kept, Randomness(key) as randomness:
                for home, z, live in triples:
                    torch.add(home, z, alpha=-h, out=live)
                low = evaluate(closure.loss_here, key, closure.ledger, closure.on_failure)
                randomness.again()
                kept.again()
                for home, z, live in triples:
                    torch.add(home, z, alpha=h, out=live)
                high = evaluate(closure.loss_here, key, closure.ledger, closure.on_failure)
            weight = -0.5 / h * low + 0.5 / h * high
        finally:
            taken = math.isfinite(weight)
            # the update starts from home, so it puts the parameters back as well
            step = -rate(math.sqrt(self.z.numel() * (weight * weight))) * weight if taken else 0.0
            for home, z, live in triples:
                torch.add(home, z, alpha=step, out=live) if taken else live.copy_(home)
        return (low + high) / 2, taken


def pair_step(closure: Closure, estimator: RandomDirections) -> PairStep | None:
    """The fast step for an estimator over a closure, or None where it does not apply."""
    parameters = closure.parameters
    fits = (
        estimator.samples == 1
        and estimator.coupling is Coupling.INDEPENDENT
        and estimator.rank is None
        and estimator.curvature == 0
        and estimator.mask is None
        and estimator.row.name == "central2"
        and estimator.law is not RandomLaw.SPHERE
        and not isinstance(estimator.radius, tuple)
        and parameters.size <= BLOCK
        and parameters.dtype.itemsize >= 4
        and all(p.dtype == parameters.dtype and p.is_contiguous() for p in parameters.tensors)
    )
    if not fits or isinstance(estimator.radius, tuple):
        return None
    return PairStep(closure, estimator.law.element, estimator.radius)  # type: ignore[union-attr]  # names are members
