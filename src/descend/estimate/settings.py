"""Radius, learning rate and number of probes for random directions, from 16 values and then from the run itself.

Along a random direction z the loss is about f(x + h z) = f + h p + h^2 c / 2. Three lengths come out of that:

    reach     h* = 2 |p| / |c|              there the bend of the loss equals its slope                          (1)
    floor     h_0 = 5 delta / |p|           there a difference f+ - f- is ten times delta, the noise of a value   (2)
    room      R_t^2 = R_0^2 + 2 F_t / T     how far a random walk may lead, F_t: by how much the loss has fallen  (3)

The radius is a quarter of the reach, but no less than the floor. One step along z is best at 1/c, and n/c for the mean
of n; but the slopes of a batch are mostly noise of the batch, and steps along noise add up to a random walk. Directions
bend the loss up and down, and over many of them that cancels but for its mean: T, the trace of the Hessian. So a walk
costs T r^2 / 2 over a length of r per parameter, and may cost all that was gained, beside R_0 = |p| / T, which is half
the reach where all directions bend alike, and no more than a quarter of the parameters' own size, so that what was
learned before is not lost at once. T is taken as large as the bends that were seen prove: their mean less a standard
error of it, or a quarter of that error if this is more. So it is c where all bends are alike, and less the more of them
were seen to cancel:

    lr_t = min(n / c, R_t / sqrt(S_0 + S_t)),   S_t = sum_{i<=t} q_i |g_i|^2 / d                                 (4)

where |g_i|^2 / d is the sum of the squared weights of the directions and S_0 what it is for a single probe, over n^2.
If a part rho of the squared slope is signal, then F_t grows until lr_t = n rho / c, the best single step; once the
loss falls no more, lr falls as 1 / sqrt(t). q_i = 2 clip(shortfall / promise)^2 is one on average where noise of the
batch hides the progress of one step, and zero where the loss repeats itself and falls as promised: then lr stays. One
step in 16 asks the centre as well and sees c and T change: they grow while a network learns. All of it follows from the
scalars of the run, so that a record of them repeats it.

Where stretches of the point have radii h_g of their own, given in advance, all of this is told in the units of the
first of them: the point is x_g h_1 / h_g there, so that one lr means lr (h_g / h_1)^2 on a stretch.             (5)

Malladi et al. (2023), "Fine-tuning language models with just forward passes", for lr ~ n / tr H (E z'Hz = tr H);
Streeter and McMahan (2010), "Less regret via online conditioning", and Ward, Wu and Bottou (2019), "AdaGrad stepsizes",
for (4) with a constant R; Moré and Wild (2011), "Estimating computational noise", for delta. (3) and q are our own.
"""

import math
from dataclasses import replace

from torch import Tensor

from descend.direction import Stretch
from descend.errors import InvalidValue
from descend.estimate.evolution import Evolution
from descend.estimate.random_directions import Radius, RandomDirections
from descend.estimate.reach import SETTLING, Reach, measure_reach, typical_size
from descend.key import Key
from descend.oracle import Oracle
from descend.tree import state

__all__ = ["SETTLING", "Pace", "Settings", "settle_settings", "typical_size"]

_MARGIN = 10.0
_FRACTION = 0.25
"""Radius over reach; between 1/256 and 1 nothing changed on the networks it was tried on."""

_FIRST, _RECENT = 8, 32
"""Steps over which the loss is averaged at the start, and lately."""

_LOOK, _MEMORY = 16, 64
"""Every how many steps the curvature is looked at, and how many looks count."""

_OWN = 4
"""The size of the parameters over the length of a walk that has not lowered the loss yet."""

_MOST_SAMPLES = 64

_UNIT = {"z-score": 1.0, "ranks": 0.289, "per-example": 0.3}
"""Root mean square of a shaped pair's (s+ - s-) / 2; ranks are uniform on [-1/2, 1/2]."""


@state
class Pace:
    """What the learning rate remembers of the run; `Settings.start` makes the first.

    Fields:
        curvature: c, root mean square of the bends that were seen lately. bend: their mean. looks: their number.
        steps: that were taken.
        walked: S_t of (4).
        start: mean loss of the first 8 steps. recent: mean loss of the last 32 or so.
        last: the loss before the last step. promised: by how much that step was to lower it, NaN if not known.
    """

    curvature: float
    bend: float
    looks: int
    steps: int = 0
    walked: float = 0.0
    start: float = 0.0
    recent: float = 0.0
    last: float = math.nan
    promised: float = math.nan

    @property
    def fallen(self) -> float:
        """F of (3)."""
        return max(0.0, self.start - self.recent)

    @property
    def trace(self) -> float:
        """T of (3): as large as the bends prove, and c where all of them are alike."""
        mean = max(0.0, self.bend)
        error = math.sqrt(max(0.0, self.curvature**2 - mean**2) / self.looks)
        return max(mean - error, error / 4)

    def after(self, squares: float, loss: float) -> "Pace":
        """The pace with one more estimate: its sum of squared weights, and the loss as it knows it."""
        t = self.steps
        return Pace(
            self.curvature,
            self.bend,
            self.looks,
            t + 1,
            self.walked + self._doubt(loss) * squares,
            self.start + (loss - self.start) / (t + 1) if t < _FIRST else self.start,
            self.recent + (loss - self.recent) * max(1 / _RECENT, 1 / (t + 1)),
            loss,
        )

    def bent(self, curvature: float) -> "Pace":
        """The pace after another look at the curvature along a direction; c averages squares, as signs may differ."""
        looks = min(self.looks + 1, _MEMORY)
        squares = self.curvature**2 + (curvature**2 - self.curvature**2) / looks
        bend = self.bend + (curvature - self.bend) / looks
        return replace(self, curvature=math.sqrt(squares), bend=bend, looks=looks)

    def _doubt(self, loss: float) -> float:
        """q of (4), in [0, 2], for the loss after the last step; 1 where nothing was promised."""
        if not self.promised > 0:
            return 1.0
        return 2.0 * min(1.0, max(0.0, (loss - self.last) / self.promised + 1.0)) ** 2


@state
class Settings:
    """What was settled, and what was measured for it.

    Fields:
        radius: h of the probes; of those along the first stretch, where they have radii of their own.
        lr: of the first step. samples: probes (or pairs) per step, n.
        first, room: S_0 of (4) and R_0 of (3), which grows with what is known of T, up to most.
        sloped: whether the estimate is in units of the slope, so that n/c bounds lr and a step makes a promise.
        steady: the learning rate was given, so it stays what it is.
        reach: (1). slope: root mean square of p. curvature: that of c; bend: the mean of c; bends: how many were seen.
        noise: delta, the standard deviation of one value that a common key leaves.
        evaluations: how many were asked.
        words: why, a sentence per decision.
        doubts: what is wrong with a setting that was given, a sentence each; empty if nothing is.
        stretches: (start, stop, radius) where radii differ; empty if they do not.
    """

    radius: float
    lr: float
    samples: int
    first: float
    room: float
    most: float
    sloped: bool
    steady: bool
    reach: float
    slope: float
    curvature: float
    bend: float
    bends: int
    noise: float
    evaluations: int
    words: tuple[str, ...]
    doubts: tuple[str, ...]
    stretches: tuple[Stretch, ...] = ()

    def start(self) -> Pace:
        """The pace before the first step."""
        return Pace(self.curvature, self.bend, self.bends)

    def looks(self, pace: Pace) -> bool:
        """Whether the coming step is to ask the loss at its centre too, which tells the curvature: few steps do.

        These are step 8 and every 16th. It takes symmetric probes.
        """
        t = pace.steps + 1
        return not self.steady and (t == _LOOK // 2 or t % _LOOK == 0)

    def advance(self, pace: Pace, squares: float, loss: float, centre: float = math.nan) -> tuple[Pace, float]:
        """The pace and the learning rate (4) of a step.

        Args:
            pace: before the step.
            squares: sum of the squared weights of the estimate, |g|^2 / d; 1.0 if these are settings for unit steps.
            loss: as the estimate knows it, f(x) or the mean of its probes; finite.
            centre: f(x) under the same key where `looks` wanted it, and `loss` is the mean of symmetric probes.
        """
        pace = pace.after(squares, loss)
        if self.steady:
            return pace, self.lr
        if abs(loss - centre) > 3 * self.noise:
            pace = pace.bent(2 * (loss - centre) / self.radius**2)
        still = min(self.most, self.reach / 2 * self.curvature / pace.trace)
        room = math.hypot(still, math.sqrt(2 * pace.fallen / pace.trace))
        rate = room / math.sqrt(self.first + pace.walked)
        if not self.sloped:
            return pace, rate
        rate = min(rate, self.samples / pace.curvature)
        # a step of n/c lowers a parabola by half of what its slope says
        return replace(pace, promised=0.5 * rate * self.samples * squares), rate


def settle_settings(
    oracle: Oracle,
    estimator: RandomDirections | Evolution,
    x: Tensor,
    key: Key,
    *,
    size: float | None = None,
    lr: float | None = None,
    samples: int | None = None,
    unit_steps: bool = False,
) -> Settings:
    """Settings for an estimator at a point x (d,), from at most `SETTLING` values of the oracle.

    Args:
        oracle: answers values.
        estimator: gives the law of the directions, and the radius if it states one as a number: that is kept, and
            looked at.
        x: (d,); on the meta device, where the oracle takes that for the live parameters, give the `size` too.
        key: of the directions, and of the questions.
        size: root mean square of the point, as `typical_size` gives it, in the units of (5). Default: that of x.
        lr: a learning rate to keep; then it does not change either.
        samples: probes per step to keep; default: those that the noise asks for, up to 64, and at least the
            estimator's.
        unit_steps: the estimate goes through transforms whose direction has elements of about one, like Adam's or a
            sign: lr is then a length.

    Raises:
        EvaluationFailed: no value near x was finite.
        InvalidValue: x is on the meta device and there is no size; or radii differ between stretches, and the estimate
            is not plainly one of random directions.

    >>> import torch
    >>> from descend.oracle import Function
    >>> oracle = Function(lambda x: 3 * x.square().sum())
    >>> settings = settle_settings(oracle, RandomDirections(), torch.ones(100, dtype=torch.float64), Key(0))
    >>> abs(settings.curvature / 600 - 1) < 0.01, settings.samples  # the Hessian's trace is 600
    (True, 1)
    """
    radii, units = _units(estimator, unit_steps)
    given = radii[0][2] if radii else _number(estimator.radius)
    if size is None:
        if x.is_meta:
            raise InvalidValue("a point on the meta device has no size; write size=typical_size(parameters)")
        size = typical_size([x[a:b] for a, b, _ in units] or [x], [unit for *_, unit in units])
    found = measure_reach(oracle, estimator, x, key, size, given, units)
    radius, why_radius, doubts = _radius(found, given)
    if found.flat:
        doubts += (
            f"no probe within {found.distance:.2g} per parameter changed the loss by more than its noise, so that "
            "nothing could be settled; write radius=... and lr=...",
        )
    least = estimator.pairs if isinstance(estimator, Evolution) else estimator.samples
    count, why_samples = _samples(found, radius, least, samples)
    shaping = estimator.shaping if isinstance(estimator, Evolution) else "none"
    unit = 1.0 if unit_steps else found.slope if shaping == "none" else _UNIT[shaping]
    first = 1.0 if unit_steps else (unit / count) ** 2
    sloped = not unit_steps and shaping == "none"
    seen = Pace(found.curvature, found.trace, found.looks)
    most = size / _OWN
    room = min(found.distance / 2 * found.curvature / seen.trace, most)
    start = room / math.sqrt(first + (1.0 if unit_steps else unit**2 / count))
    start = min(start, count / found.curvature) if sloped else start
    rate, why_rate = (start, _why_rate(room, start)) if lr is None else (lr, _why_given(lr, start))
    return Settings(
        radius,
        rate,
        count,
        first,
        room,
        most,
        sloped,
        lr is not None,
        found.distance,
        found.slope,
        found.curvature,
        found.trace,
        found.looks,
        found.noise,
        found.asked,
        (found.words(), why_radius, why_samples, why_rate, *_why_units(units)),
        doubts,
        radii,
    )


def _units(
    estimator: RandomDirections | Evolution, unit_steps: bool
) -> tuple[tuple[Stretch, ...], tuple[Stretch, ...]]:
    """The radii of stretches, and what they are in units of the first; (5). Empty where there is one radius."""
    radii: tuple[Stretch, ...] = estimator.radius if isinstance(estimator.radius, tuple) else ()
    if radii and (unit_steps or isinstance(estimator, Evolution)):
        raise InvalidValue(
            f"parameter groups have radii of their own, {[h for *_, h in radii]}, and a learning rate for all of them "
            "is found only for an estimator such as SPSA with no transform behind it; write lr=1e-3, say"
        )
    first = radii[0][2] if radii else 1.0
    return radii, tuple((a, b, h / first) for a, b, h in radii)


def _number(radius: Radius) -> float | None:
    return radius if isinstance(radius, int | float) else None


def _why_units(units: tuple[Stretch, ...]) -> tuple[str, ...]:
    if not units:
        return ()
    times = ", ".join(f"{unit:.3g}" for *_, unit in units)
    return (f"all this in the first group; in each, radius and lengths are {times} times that, and lr their squares.",)


def _radius(found: Reach, given: float | None) -> tuple[float, str, tuple[str, ...]]:
    """The radius, why, and what is wrong with one that was given."""
    floor, wanted = _MARGIN / 2 * found.noise / found.slope, _FRACTION * found.distance
    radius = _rounded(max(floor, wanted))
    if given is None:
        times = 2 * radius * found.slope / found.noise
        if floor > wanted:
            return radius, f"radius {radius:.2g}: as large as it takes for a probe to stand out of that noise.", ()
        return radius, f"radius {radius:.2g}: about a quarter of that; a probe shows {times:.2g} times the noise.", ()
    rise = given * found.slope if math.isnan(found.rise) else found.rise
    change = f"a probe changes the loss by {2 * rise:.1e}, and a value is uncertain by {found.noise:.1e}"
    instead = f"write radius={radius:.2g}, or leave it out"
    doubts: tuple[str, ...] = ()
    if 2 * rise < _MARGIN * found.noise:
        doubts = (f"radius={given:.2g} is too small for the precision of the loss: {change}; {instead}",)
    elif given > 2 * found.distance:
        doubts = (
            f"radius={given:.2g} is beyond {found.distance:.2g}, where the loss bends as much as it falls, so that the "
            f"estimate is of a much smoother function; {instead}",
        )
    return given, f"radius {given:.2g}: given; {change}.", doubts


def _rounded(h: float) -> float:
    return 2.0 ** round(math.log2(h)) if 0 < h < math.inf else h


def _samples(found: Reach, radius: float, least: int, given: int | None) -> tuple[int, str]:
    """As many probes as it takes for their mean to be more signal than noise of the values."""
    if given is not None:
        return given, f"samples {given}: given."
    ratio = (found.noise / (math.sqrt(2) * radius * found.slope)) ** 2
    count = max(least, min(_MOST_SAMPLES, math.ceil(ratio)))
    if count > least:
        return count, f"samples {count}: noise of the values is {ratio:.2g} times the signal of one probe."
    return count, f"samples {count}: the values are exact enough, and as many forwards in more steps go as far."


def _why_rate(room: float, rate: float) -> str:
    return (
        f"lr {rate:.2g} at first: until the loss falls, steps of random sign may lead {room:.2g} per parameter away. "
        "It falls as they add up, rises as the loss falls, and follows the curvature."
    )


def _why_given(lr: float, start: float) -> str:
    times = lr / start
    return f"lr {lr:.2g}: given, and constant; {times:.2g} times the first step that would have been taken."
