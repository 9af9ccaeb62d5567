"""Appends the steps of an optimizer to the file of a recorded run, each before the next begins.

What is written at a step is one call of the operating system, so a process may be killed at any moment: the file then
holds every step that was taken but perhaps the last, and the continued run takes that one again under its key.
"""

import json
import os
import struct
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from descend.errors import CompositionError, StateMismatch
from descend.torch_optim import snapshot
from descend.torch_optim.trajectory import Tag, Trajectory, frame
from descend.tree import to_plain

if TYPE_CHECKING:
    from descend.torch_optim.optimizer import Optimizer

__all__ = ["Recorder"]


class Recorder:
    """Appends the steps of an optimizer to a file; made by `record`.

    `taken` or `rejected` is called once after every step. `close` writes down what the weights are, by which a replay
    is checked; a run that ends without it loses nothing else. Steps after it are not recorded. It is a context manager.

    Attributes:
        path: the file.
        steps: how many steps it holds.
    """

    def __init__(
        self, optimizer: "Optimizer", file: BinaryIO, trajectory: Trajectory, snapshot_every: int | None, fsync: bool
    ) -> None:
        self.path, self.steps = trajectory.path, trajectory.steps
        self._optimizer, self._file, self._every, self._fsync = optimizer, file, snapshot_every, fsync
        self._start, self._groups = trajectory.header.start, len(trajectory.header.groups)
        self._end = trajectory.size, trajectory.chain  # in one attribute: an interrupt finds both or neither changed
        rates = trajectory.last.get(Tag.RATES, b"")
        self._rates = struct.unpack(f"<{len(rates) // 8}d", rates)
        self._shape: list[int] = json.loads(trajectory.last.get(Tag.SHAPE, b"[]"))
        self._settings = trajectory.last.get(Tag.SETTINGS, b"")
        self._spent = trajectory.last.get(Tag.SPENT, b"")
        self._ledger = optimizer.ledger.plain()
        self._seen: tuple[Any, Any] = (None, None)
        self._checked = True

    def taken(self, rates: Sequence[float], weights: Sequence[Sequence[float]]) -> None:
        """Append a step that the optimizer has just taken.

        Args:
            rates: the learning rate of every group.
            weights: one list per term of the slope's combination.
        """
        if self._file.closed:
            return
        frames = self._changes(tuple(map(float, rates)))
        shape = [len(term) for term in weights]
        if shape != self._shape:
            frames.append((Tag.SHAPE, json.dumps(shape).encode()))
        if self._optimizer._pace is not None:  # it hangs on losses, which are not in the file
            frames.append((Tag.PACE, json.dumps(to_plain(self._optimizer._pace)).encode()))
        flat = [weight for term in weights for weight in term]
        frames.append((Tag.STEP, struct.pack(f"<{len(flat)}d", *flat)))
        self._append(frames)
        self._shape = shape
        self._after()

    def rejected(self) -> None:
        """Append a step that failed and moved nothing."""
        if self._file.closed:
            return
        self._append([*self._changes(self._rates), (Tag.REJECTED, b"")])
        self._after()

    def _changes(self, rates: tuple[float, ...]) -> list[tuple[Tag, bytes]]:
        """Frames for the rates and hyperparameters that are not those of the step before."""
        if self._optimizer.t != self._start + self.steps + 1:
            raise StateMismatch(
                f"{self.path} holds the run up to step {self._start + self.steps}, and the optimizer has just taken "
                f"step {self._optimizer.t}: a step between was interrupted, or another state was loaded. Resume the "
                "run from the file with a new optimizer"
            )
        frames: list[tuple[Tag, bytes]] = []
        seen = self._optimizer._settings, self._optimizer.gains
        if seen[0] is not self._seen[0] or seen[1] is not self._seen[1]:
            text = self._written_settings()
            if text != self._settings:
                frames.append((Tag.SETTINGS, text))
            self._settings, self._seen = text, seen
        spent = self._written_spending()
        if spent != self._spent:
            frames.append((Tag.SPENT, spent))
            self._spent = spent
        if rates != self._rates:
            frames.append((Tag.RATES, struct.pack(f"<{len(rates)}d", *rates)))
            self._rates = rates
        return frames

    def _written_settings(self) -> bytes:
        groups = self._optimizer.param_groups
        if len(groups) != self._groups:
            raise CompositionError(
                f"{self.path} is recorded with {self._groups} parameter groups, and now there are {len(groups)}; "
                "add groups before the run is recorded, or record what follows in another file"
            )
        named = [{name: group[name] for name in self._optimizer._tunable} for group in groups]
        return json.dumps(
            {
                "groups": named,
                "gains": to_plain(self._optimizer.gains),
                "settings": to_plain(self._optimizer.settings),
            },
            default=float,
        ).encode()

    def _written_spending(self) -> bytes:
        """What the last step added to the ledger."""
        before, now = self._ledger, self._optimizer.ledger.plain()
        counts = {kind: n - before["counts"].get(kind, 0) for kind, n in now["counts"].items()}
        spent = {"counts": counts, "failures": now["failures"] - before["failures"]}
        if spent["failures"]:
            spent["last_failure"] = now["last_failure"]
        self._ledger = now
        return json.dumps(spent).encode()

    def _after(self) -> None:
        self.steps += 1
        self._checked = False
        if self._every is not None and self.steps % self._every == 0:
            self.snapshot()

    def snapshot(self) -> None:
        """Save parameters and optimizer beside the file, in place of an older snapshot."""
        unfinished, mark = snapshot.save(self._optimizer, self.path, self._fsync)
        # named first and put in place then: should it end between the two, the older one is still there, named too
        self._append([(Tag.CHECK, snapshot.digest(self._optimizer.parameters.live())), (Tag.SNAPSHOT, mark)])
        os.replace(unfinished, f"{self.path}.snapshot")
        self._checked = True

    def _append(self, frames: Sequence[tuple[Tag, bytes]]) -> None:
        """Write frames at the end of the file, all or none of them."""
        size, chain = self._end
        data = b""
        for tag, payload in frames:
            made, chain = frame(tag, payload, chain)
            data += made
        try:
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) or 0 :]
            if self._fsync:
                os.fsync(self._file.fileno())
            self._end = size + len(data), chain
        except BaseException:  # the disk is full, or the user interrupts
            self._file.truncate(self._end[0])
            raise

    def close(self) -> None:
        """Write down the digest of the weights, and close the file."""
        if self._file.closed:
            return
        if not self._checked:
            self._append([(Tag.CHECK, snapshot.digest(self._optimizer.parameters.live()))])
            self._checked = True
        self._file.close()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
