"""Evaluations in threads of this process: for objectives that wait, for a program, a device or a server."""

import queue
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from torch import Tensor

from descend.key import Key
from descend.oracle.function import Outcome, attempt
from descend.oracle.leaf import Randomness
from descend.run.processes import check_workers
from descend.run.worker import Objective

__all__ = ["Threads"]

_Answer = tuple[int, Outcome | BaseException]


class _Job:
    """One evaluation, and where its outcome is waited for."""

    def __init__(self, i: int, f: Objective, x: Any, key: Key, done: "queue.SimpleQueue[_Answer]") -> None:
        self.i, self.f, self.x, self.key, self.done = i, f, x, key, done

    def run(self) -> None:
        try:
            outcome: Outcome | BaseException = attempt(self.f, self.x, self.key)
        except BaseException as error:  # sys.exit() in an objective ends the run, as it does without threads
            outcome = error
        self.done.put((self.i, outcome))


class Threads:
    """Points are shared out among threads, which see the objects of this process; nothing has to be shipped.

    Python computes in one thread at a time. So it pays where an evaluation waits or computes outside of Python, as a
    `Command` does; else write `Processes`. A thread cannot be ended: after an interrupt, evaluations that are under
    way go on unheard until they are done or this process ends.

    Threads share torch's and NumPy's generators, so an objective that draws from them is not repeatable here; one that
    takes a `Key` is. Torch's generator is left as it was found.

    Args:
        workers: how many, at least 1.

    Raises:
        InvalidValue: workers is not a whole number >= 1.

    >>> import torch
    >>> with Threads(2) as executor:
    ...     executor.values(lambda x, key: x.sum(), torch.eye(3), Key(0))
    [1.0, 1.0, 1.0]
    """

    def __init__(self, workers: int) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._started = 0
        check_workers("Threads", workers)
        self.workers = workers

    def __repr__(self) -> str:
        return f"Threads({self.workers})"

    def __enter__(self) -> "Threads":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def values(self, f: Objective, xs: Tensor, key: Key) -> list[Outcome]:
        """As `Executor.values`."""
        answers: list[Outcome] = [0.0] * len(xs)
        for i, outcome in self.stream(f, xs, key):
            answers[i] = outcome
        return answers

    def stream(self, f: Objective, xs: Iterable[Any], key: Key) -> Iterator[tuple[int, Outcome]]:
        """(i, outcome) of f(x, key) for the i-th x, in the order in which they are done.

        A point is taken from `xs` only when a thread is there for it, after the outcomes so far were handed out.
        """
        done: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        under_way, source = 0, enumerate(xs)
        try:
            with Randomness(key):
                while True:
                    while under_way < self.workers and (fresh := next(source, None)) is not None:
                        self._give(_Job(fresh[0], f, fresh[1], key, done))
                        under_way += 1
                    if not under_way:
                        return
                    i, outcome = done.get()
                    under_way -= 1
                    if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
                        raise outcome
                    yield i, outcome
        finally:
            if under_way:
                self.close()  # threads that are busy for nobody are no workers of the next batch

    def close(self) -> None:
        """Let the threads go, each when its evaluation is done; new ones start when values are asked again."""
        for _ in range(self._started):
            self._jobs.put(None)
        self._jobs, self._started = queue.SimpleQueue(), 0

    def _give(self, job: _Job) -> None:
        self._jobs.put(job)
        if self._started < self.workers:
            self._started += 1
            # a daemon, so that the program can end while an evaluation hangs
            threading.Thread(target=_work, args=(self._jobs,), name=f"descend-{self._started}", daemon=True).start()


def _work(jobs: "queue.SimpleQueue[_Job | None]") -> None:
    while (job := jobs.get()) is not None:
        job.run()
