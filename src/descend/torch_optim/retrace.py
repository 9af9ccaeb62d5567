"""Recorded steps taken again: training's own update, with the weights of the directions read instead of asked for.

Nothing is evaluated, so a step costs one sweep over the parameters. Separable transforms look at one block at a time,
so several steps are taken on a block while it lies in the cache before the next block is touched; the numbers are the
same, since no block looks at another.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from descend.direction import Combination, Dense
from descend.errors import CompositionError, InvalidValue, StateMismatch
from descend.estimate.base import Lifted
from descend.estimate.evolution import Evolution
from descend.estimate.per_example import PerExample
from descend.estimate.random_directions import RandomDirections
from descend.key import Key
from descend.oracle import Ledger, Oracle
from descend.torch_optim import snapshot
from descend.torch_optim.blocks import update_blocks
from descend.torch_optim.trajectory import Event, Header, Tag, Trajectory
from descend.transform.chain import merged, part_of
from descend.tree import from_plain

if TYPE_CHECKING:
    from descend.torch_optim.optimizer import Optimizer

__all__ = ["Progress", "decided_by_key", "retrace"]

SWEEP = 32
"""Steps that are taken on a block before the next block."""

Progress = Callable[[int, int], None]


class _Step(NamedTuple):
    """One step that moved: along a combination, at the groups' learning rates, under its key."""

    source: Combination
    rates: tuple[float, ...]
    key: Key
    t: int


def decided_by_key(oracle: Oracle) -> RandomDirections | Evolution | PerExample:
    """The estimator of an oracle, if its directions are made from a key and nothing else.

    Raises:
        CompositionError: it is another one.
    """
    estimator = oracle.estimator if isinstance(oracle, Lifted) else None
    if isinstance(estimator, RandomDirections | Evolution | PerExample):
        return estimator
    raise CompositionError(
        f"a run is recorded as the weights of directions that a key decides, and {oracle!r} has a gradient of another "
        "kind; write one estimator such as SPSA() or Evolution()"
    )


def retrace(
    optimizer: "Optimizer",
    trajectory: Trajectory,
    *,
    until: int | None = None,
    progress: Progress | None = None,
    from_snapshot: bool = True,
) -> None:
    """Take the recorded steps; parameters and optimizer end as they were in training, bit for bit.

    Args:
        optimizer: of the parts and parameters of the run, which stand where the run began.
        until: how many steps; default all.
        progress: called with the number of steps taken and of all, now and then.
        from_snapshot: whether to begin at the snapshot beside the file, if it is there.

    Raises:
        InvalidValue: there are fewer steps.
        StateMismatch: the weights are not those of training where the file knows them. The parameters are then
            somewhere on the way, as they are after an interrupt.
    """
    if until is not None and until > trajectory.steps:
        raise InvalidValue(f"{trajectory.path} has {trajectory.steps} steps, got until={until}; write no more")
    start = optimizer.t = trajectory.header.start
    optimizer.rejected = trajectory.header.rejected
    optimizer.ledger.restore(trajectory.header.ledger)
    stop = start + (trajectory.steps if until is None else until)
    if from_snapshot and snapshot.latest(trajectory, stop) is not None:
        snapshot.load(optimizer, trajectory)
    walk = _Walk(optimizer)
    with _threads_of(trajectory.header):
        for event in trajectory.events():
            moves = event.tag is Tag.STEP or event.tag is Tag.REJECTED
            if moves and event.t >= stop:
                break
            if event.t < walk.t:
                continue
            if moves:
                walk.take(event)
            elif event.tag is Tag.CHECK:
                walk.check(event, trajectory)
            if progress is not None and not walk.waiting:
                progress(walk.t - start, stop - start)
        walk.finish()
    if progress is not None:
        progress(stop - start, stop - start)


@contextmanager
def _threads_of(header: Header) -> Iterator[None]:
    """As many threads as in training, where that can change a number.

    torch's bfloat16 and float16 sums round once in vectors and twice in what is left over at the end of a thread's
    share.
    """
    ours = torch.get_num_threads()
    narrow = {"bfloat16", "float16"} & {*header.dtypes}
    if narrow and ours != header.threads:
        torch.set_num_threads(header.threads)
    try:
        yield
    finally:
        if narrow and ours != header.threads:
            torch.set_num_threads(ours)


class _Walk:
    """An optimizer on the way, and the steps that wait to be taken in one sweep."""

    def __init__(self, optimizer: "Optimizer") -> None:
        p = optimizer.parameters
        self.optimizer = optimizer
        self.t = self._start = optimizer.t
        self.waiting: list[_Step] = []
        self._settings: Any = None
        self._rates: tuple[float, ...] = ()
        # a point of the right size that takes no memory
        self._like = torch.zeros(1, dtype=p.dtype, device=p.device).expand(p.size)

    def take(self, event: Event) -> None:
        """One more recorded step."""
        if event.settings is not self._settings:
            self.finish()
            self._set(event.settings)
        self._rates = event.rates or self._rates
        self.t = event.t + 1
        _spend(self.optimizer.ledger, event.spent)
        if event.tag is Tag.REJECTED:
            self.optimizer.rejected += 1
            return
        key = self.optimizer.key.fold(event.t)
        estimator = decided_by_key(self.optimizer._lifted.at(event.t))
        if len(event.weights) != 1:
            raise StateMismatch(f"step {event.t} has {len(event.weights)} terms; {estimator!r} makes one")
        source = estimator.combination(event.weights[0], self._like, key, self.optimizer.parameters.layout)
        z = source.terms[0][1]
        if z.count != len(event.weights[0]):
            raise StateMismatch(
                f"step {event.t} has {len(event.weights[0])} weights, but {estimator!r} has {z.count} directions; "
                "the run was recorded by another version of descend"
            )
        self.waiting.append(_Step(source, event.rates, key, event.t))
        if len(self.waiting) == SWEEP or isinstance(z, Dense):  # dense directions are not held for later
            self.finish()

    def _set(self, settings: Any) -> None:
        """The hyperparameters that were in force."""
        self._settings = settings
        for group, values in zip(self.optimizer.param_groups, settings["groups"], strict=True):
            group.update({name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
        self.optimizer.gains = from_plain(settings["gains"])
        self.optimizer.settings = from_plain(settings["settings"])
        self.optimizer._settings = None
        self.optimizer._refresh()

    def finish(self) -> None:
        """Take the steps that wait; the optimizer stands where it stood in training."""
        if self.t > self._start and self.optimizer._states is None:
            self.optimizer._begin(None)
        if self.waiting:
            _sweep(self.optimizer, self.waiting)
        self.waiting = []
        self.optimizer.t = self.t
        if self._rates and self.optimizer.gains is None:
            for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate

    def check(self, event: Event, trajectory: Trajectory) -> None:
        """Compare the weights with what the file says of them."""
        self.finish()
        if snapshot.digest(self.optimizer.parameters.live()) != event.payload:
            raise StateMismatch(
                f"after step {event.t} the replayed weights are not those of the run, which was made by "
                f"{trajectory.header.made_by}; this is torch {torch.__version__} on {self._like.device}. Signs are the "
                "same everywhere; for other laws and many directions a step, replay on the device that made the run"
            )


def _spend(ledger: Ledger, spent: dict[str, Any]) -> None:
    """Count what a step cost; it may not be made again, so no limit is looked at."""
    for kind, n in spent["counts"].items():
        ledger.counts[kind] = ledger.counts.get(kind, 0) + n
    ledger.failures += spent["failures"]
    ledger.last_failure = spent.get("last_failure", ledger.last_failure)


def _sweep(optimizer: "Optimizer", steps: Sequence[_Step]) -> None:
    """Take the steps block by block."""
    p, blocks = optimizer.parameters, optimizer._blocks
    states = optimizer._states or ()
    after = states
    for block in blocks:
        part = states if len(blocks) == 1 else part_of(states, block.start, block.stop, p.size)
        for step in steps:
            # a single block's states are taken whole, and these are the block's own already
            part = update_blocks(
                p,
                [block],
                optimizer._chains,
                step.rates,
                step.source,
                part,
                optimizer._lifted,
                step.key,
                math.nan,
                optimizer.rounding,
                optimizer._residual,
                step.t,
            )
        after = part if len(blocks) == 1 else merged(states, part, block.start, block.stop, p.size)
    optimizer._states = after
