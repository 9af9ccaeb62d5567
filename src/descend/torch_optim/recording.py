"""A run is written down while it happens: a new file is begun, or the run that is in it resumed where it stopped."""

import gc
import json
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO
from weakref import WeakSet

import torch

from descend.errors import CompositionError, InvalidValue, StateMismatch
from descend.key import Key
from descend.oracle import Asks
from descend.torch_optim import snapshot
from descend.torch_optim.parts_text import to_text
from descend.torch_optim.recorder import Recorder
from descend.torch_optim.retrace import decided_by_key, retrace
from descend.torch_optim.trajectory import Header, Tag, Torn, Trajectory, write_header
from descend.tree import from_plain

if TYPE_CHECKING:
    from descend.torch_optim.optimizer import Optimizer

__all__ = ["check_start", "header_of", "record", "report_torn"]

NOISE, UPDATE = 1, 1
"""Versions of the directions' numbers and of the update's arithmetic: another one would not give the same weights."""


def header_of(optimizer: "Optimizer") -> Header:
    """What a file has to say about an optimizer that stands where its run begins.

    Raises:
        CompositionError: its steps are not decided by a key, weights and learning rates alone.
    """
    _check_recordable(optimizer)
    p = optimizer.parameters
    return Header(
        names=p.layout.names,
        shapes=p.layout.shapes,
        dtypes=tuple(str(tensor.dtype).removeprefix("torch.") for tensor in p.tensors),
        digests=snapshot.fingerprints(p.live()),
        groups=tuple(len(group["params"]) for group in optimizer.param_groups),
        key=optimizer.key.seed,
        parts=tuple(to_text(part) for part in optimizer.parts),
        rounding=to_text(optimizer.rounding),
        start=optimizer.t,
        rejected=optimizer.rejected,
        ledger=optimizer.ledger.plain(),
        noise=NOISE,
        update=UPDATE,
        threads=torch.get_num_threads(),
        made_by=f"torch {torch.__version__} on {p.device}",
    )


def _check_recordable(optimizer: "Optimizer") -> None:
    if not optimizer._walks or any(transform.needs != Asks(0) for transform in optimizer.chain):
        raise CompositionError(
            "a run can be recorded where every transform acts on each coordinate alone and a number says how far to "
            f"go; {optimizer!r} has other parts. Write Momentum-like or Adam-like transforms, and lr="
        )
    if len(optimizer.estimators) > 1 or any(own is not None for own in optimizer._own):
        raise CompositionError(f"a run is recorded under one estimator for all groups; {optimizer!r} has other ones")
    decided_by_key(optimizer._lifted)


def check_start(header: Header, now: Header, path: str) -> None:
    """Raise unless parameters stand where a recorded run began.

    Args:
        header: of the file.
        now: of the parameters as they are; its key and parts are not looked at.

    Raises:
        StateMismatch: the sentence names what differs.
    """
    if header.names != now.names:
        lost = [name for name in header.names if name not in now.names] or list(header.names)
        raise StateMismatch(
            f"{path} was recorded with parameters {_few(header.names)}, these are {_few(now.names)}; "
            f"look for {_few(lost)}, and pass them in the same order"
        )
    for what, theirs, ours in (("shape", header.shapes, now.shapes), ("dtype", header.dtypes, now.dtypes)):
        for name, a, b in zip(header.names, theirs, ours, strict=True):
            if a != b:
                raise StateMismatch(f"parameter {name} has {what} {b}, in the run of {path} it was {a}")
    changed = [n for n, a, b in zip(header.names, header.digests, now.digests, strict=True) if a != b]
    if changed:
        raise StateMismatch(
            f"this is not the model the run of {path} started from: the values of {_few(changed)} differ. "
            "Load the weights that training began with"
        )
    if (header.noise, header.update) != (NOISE, UPDATE):
        raise StateMismatch(
            f"{path} was recorded with version {header.noise} of the directions and {header.update} of the update, "
            f"this descend has {NOISE} and {UPDATE}; the weights would not be the same"
        )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def record(
    optimizer: "Optimizer",
    path: str | os.PathLike[str],
    *,
    snapshot_every: int | None = None,
    fsync: bool = False,
    adopt_key: bool = False,
) -> "Recorder":
    """Write the steps from here on to a file, or resume the run that is in it.

    An optimizer whose file is there already is brought to its end with its parameters, from the snapshot beside it if
    there is one, and goes on as if it had never stopped; what follows from the step number, such as which batch is
    next, follows from ``optimizer.t``. Its groups then have the learning rates and hyperparameters of the last step;
    set others after the call.

    Args:
        optimizer: one random-direction estimator, separable transforms, no step rule; before its first step if it
            has transforms.
        path: the file.
        snapshot_every: steps between snapshots of parameters and optimizer in ``path + ".snapshot"``, which bound the
            time to resume or replay; default none.
        fsync: whether each step also survives a failure of power, at some milliseconds a step; it survives the death
            of the process in any case.
        adopt_key: whether the file's key replaces the optimizer's; otherwise they have to be the same.

    Raises:
        CompositionError: its steps are not decided by a key, weights and learning rates alone.
        InvalidValue: snapshot_every < 1, or another recorder writes to the file.
        StateMismatch: the file is of another run: the sentence says in what.
        Damaged: the file has been altered before its end.
    """
    if snapshot_every is not None and snapshot_every < 1:
        raise InvalidValue(f"snapshot_every must be at least 1, got {snapshot_every!r}; write 1000, or None for none")
    path = os.fspath(path)
    now = header_of(optimizer)
    if not os.path.exists(path) or os.path.getsize(path) == 0:
        _create(path, now, optimizer)
    file = open(path, "ab", buffering=0)  # noqa: SIM115  # the recorder closes it
    try:
        _lock(file, path)
        trajectory = Trajectory(path)
        _resume(optimizer, trajectory, now, adopt_key)
        if trajectory.torn is not None:
            report_torn(path, trajectory.torn)
            os.truncate(path, trajectory.size)
        return Recorder(optimizer, file, trajectory, snapshot_every, fsync)
    except BaseException:
        file.close()
        raise


def _create(path: str, header: Header, optimizer: "Optimizer") -> None:
    """A file with a header and no steps, whole as soon as it is there."""
    if optimizer.t > 0 and optimizer.chain:
        raise StateMismatch(
            f"{optimizer!r} has taken {optimizer.t} steps, and its transforms remember them; "
            "a run with transforms is recorded from its first step on: call record before it"
        )
    unfinished = f"{path}.tmp"
    with open(unfinished, "wb") as file:
        file.write(write_header(header))
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


_locked: WeakSet[BinaryIO] = WeakSet()
"""Files that this process writes."""


def _lock(file: BinaryIO, path: str) -> None:
    """One writer at a time; the lock goes with the process, however it ends."""
    if sys.platform == "win32":
        return
    import fcntl

    for last in (False, True):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _locked.add(file)
            return
        except BlockingIOError:
            if last:
                raise InvalidValue(
                    f"{path} is being recorded already; close() that recorder, or write to another file"
                ) from None
            gc.collect()  # it may belong to an optimizer that nobody has any more


def _let_go() -> None:
    """A forked process, such as a worker that loads data, neither writes nor keeps the lock when its parent dies."""
    for file in list(_locked):
        file.close()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_let_go)


def _resume(optimizer: "Optimizer", trajectory: Trajectory, now: Header, adopt_key: bool) -> None:
    """Bring parameters and optimizer to the end of a recorded run."""
    header, path = trajectory.header, trajectory.path
    if optimizer.t not in (0, header.start):
        raise StateMismatch(
            f"the optimizer has taken {optimizer.t} steps, and {path} holds a run that began after {header.start}; "
            "resume it with a new optimizer over the model the run started from"
        )
    if header.key != now.key and not adopt_key:
        raise StateMismatch(
            f"{path} holds a run with key={header.key}, this optimizer has key={now.key}; "
            "write that key to resume it, or another file for another run"
        )
    for what in ("parts", "rounding", "groups"):
        theirs, ours = getattr(header, what), getattr(now, what)
        if theirs != ours:
            raise StateMismatch(
                f"{path} holds a run of {theirs}, this optimizer has {ours}; write the same parts and parameter groups "
                "to resume it, or another file for another run"
            )
    check_start(header, now, path)
    optimizer.key = Key(header.key)
    retrace(optimizer, trajectory)
    if Tag.PACE in trajectory.last:
        optimizer._pace = from_plain(json.loads(trajectory.last[Tag.PACE]))


def report_torn(path: str, torn: Torn) -> None:
    """Warn about the end of a file that is dropped."""
    warnings.warn(
        f"{path} ends within a record: the last {torn.size} bytes, from byte {torn.offset} on, are dropped; the run "
        f"stands after step {torn.step}",
        RuntimeWarning,
        stacklevel=3,
    )
