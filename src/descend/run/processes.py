"""Evaluations in other processes: started once, given the objective once, replaced when they die, ended when too slow.

A worker that dies says nothing about the point that it was busy with: the memory ran out, or somebody killed it. So its
point is evaluated again, with the same key, and fails only after it has cost several workers. A time limit is about the
point: whoever exceeds it is killed, and the evaluation has failed.
"""

import math
import multiprocessing
import os
import pickle
import signal
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.errors import CompositionError, EvaluationFailed, InvalidValue
from descend.key import Key
from descend.oracle.function import Outcome
from descend.run.worker import LOADED, Objective, cloudpickle, serve

__all__ = ["Processes", "check_workers"]

_GRACE = 0.5
"""Seconds in which a worker that is told to end may clean up after itself, before it is killed."""

_STILLBORN = 3
"""Workers in a row that may die before they have loaded the objective."""

_QUICK = 0.1
"""Seconds below which the next point waits at the worker already, so that no time is lost on the way."""

_SMALL = 2**15
"""Bytes of a point that may wait there: the pipe takes them without being read."""

# Libraries read these when they are loaded, so they have to be there before a worker starts.
_ONE_THREAD = {
    f"{library}_THREADS": "1"
    for library in ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "BLIS_NUM", "NUMEXPR_NUM", "NUMBA_NUM", "VECLIB_MAXIMUM")
}


@dataclass(slots=True, eq=False)
class _Task:
    """The i-th point, how many workers died of it, and since when it is evaluated, infinity if it is not yet."""

    i: int
    x: Any
    deaths: int = 0
    begun: float = math.inf


@dataclass(slots=True, eq=False)
class _Worker:
    """A process; the objective that it was sent last, and whether it has said that it loaded it; what it has to do, the
    first of which it does now; and whether its last evaluation was quick."""

    process: BaseProcess
    objective: Objective | None = None
    loaded: bool = False
    tasks: deque[_Task] = field(default_factory=deque)
    quick: bool = False


class _Row:
    """A point that travels as a NumPy array, 20 times as quickly as a tensor does, and arrives as a tensor."""

    def __init__(self, row: np.ndarray) -> None:
        self.row = row

    def __reduce__(self) -> tuple[Any, ...]:
        return torch.from_numpy, (self.row,)


class Processes:
    """Points are shared out among worker processes, which are started once and live until the run ends.

    The objective is shipped by value with cloudpickle, once to every worker, so it may be a lambda or live in a
    notebook, and a script needs no ``if __name__ == "__main__"``. A worker that dies is replaced, and its point is
    evaluated again. An interrupt ends the workers and what they have started, and so does the end of this process,
    however it comes. Each worker uses one thread. Worth it where one evaluation takes a millisecond or more.

    Args:
        workers: how many, at least 1.
        seconds: how long one evaluation may take, > 0; default for ever. Who exceeds it is killed, with the programs
            that it started, and the evaluation fails. The time to start a worker and to load the objective is not
            counted.
        deaths: how many workers may die of one point before it fails, at least 1; default 3.

    Raises:
        InvalidValue: an argument outside of its range.
        MissingExtra: cloudpickle is not installed.

    ``with Processes(4) as executor:`` ends the workers where the block ends; `minimize` does so by itself.
    """

    def __init__(self, workers: int, seconds: float | None = None, deaths: int = 3) -> None:
        check_workers("Processes", workers)
        if type(deaths) is not int or deaths < 1:
            raise InvalidValue(f"Processes needs a whole number deaths >= 1, got {deaths!r}; write deaths=3")
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if seconds is not None and not (number and 0 < seconds < math.inf):
            raise InvalidValue(f"Processes needs seconds > 0 for one evaluation, got {seconds!r}; write seconds=60")
        self.workers, self.seconds, self.deaths = workers, seconds, deaths
        self._pickle = cloudpickle()
        self._objective: Objective | None = None
        self._payload = b""
        self._running: dict[Connection, _Worker] = {}
        self._stillborn = 0
        self._at_work = False

    def __repr__(self) -> str:
        limit = "" if self.seconds is None else f", seconds={self.seconds!r}"
        return f"Processes({self.workers}{limit}{'' if self.deaths == 3 else f', deaths={self.deaths}'})"

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def values(self, f: Objective, xs: Tensor, key: Key) -> list[Outcome]:
        """As `Executor.values`."""
        answers: list[Outcome] = [0.0] * len(xs)
        plain = xs.device.type == "cpu" and xs.dtype in (torch.float64, torch.float32)
        # clones, because a row of a batch would bring the whole batch along
        rows = map(_Row, xs.numpy(force=True)) if plain else (x.clone() for x in xs)
        ahead = len(xs) > 0 and xs[0].numel() * xs.element_size() <= _SMALL
        for i, outcome in self._answers(f, rows, key, ahead):
            answers[i] = outcome
        return answers

    def stream(self, f: Objective, xs: Iterable[Any], key: Key) -> Iterator[tuple[int, Outcome]]:
        """(i, outcome) of f(x, key) for the i-th x, in the order in which they are done.

        A point is taken from `xs` only when a worker is there for it, after the outcomes so far were handed out, so
        an iterator may decide then what to ask next. Points are whatever can be pickled.

        Raises:
            CompositionError: the objective cannot be shipped or loaded, or this executor is at work already.
        """
        return self._answers(f, xs, key, ahead=False)

    def _answers(self, f: Objective, xs: Iterable[Any], key: Key, ahead: bool) -> Iterator[tuple[int, Outcome]]:
        if self._at_work:
            raise CompositionError(f"{self!r} is at work for somebody else; write another Processes(...) for this")
        if f is not self._objective:
            self._objective, self._payload = f, self._shipped(f)
        source, again = enumerate(xs), deque[_Task]()
        self._at_work = True
        try:
            while True:
                while self._has_room(ahead):
                    task = again.popleft() if again else next((_Task(i, x) for i, x in source), None)
                    if task is None:
                        break
                    if not self._send(task, key, ahead):
                        again.appendleft(task)
                if not any(worker.tasks for worker in self._running.values()):
                    return
                for task, outcome in self._finished():
                    if outcome is None:
                        again.append(task)
                    else:
                        yield task.i, outcome
        finally:
            self._at_work = False
            if any(worker.tasks for worker in self._running.values()):
                self.close()  # answers still under way would be taken for those of the next batch

    def close(self) -> None:
        """End the workers, whatever they are doing; new ones start when values are asked again."""
        workers, self._running, self._stillborn = self._running, {}, 0
        for pipe, worker in workers.items():
            worker.process.terminate()
            pipe.close()
        ends, until = [worker.process.sentinel for worker in workers.values()], time.monotonic() + _GRACE
        while ends and (left := until - time.monotonic()) > 0:
            done = wait(ends, left)
            ends = [end for end in ends if end not in done]
        for worker in workers.values():
            _kill(worker.process)

    def _finished(self) -> Iterator[tuple[_Task, Outcome | None]]:
        """Wait until something happens: tasks with their outcomes, None for those to be evaluated once more."""
        busy = [pipe for pipe, worker in self._running.items() if worker.tasks]
        limit = math.inf if self.seconds is None else self.seconds
        soonest = min(self._running[pipe].tasks[0].begun for pipe in busy) + limit
        for pipe in wait(busy, None if soonest == math.inf else max(0.0, soonest - time.monotonic())):
            assert isinstance(pipe, Connection)
            yield from self._heard(pipe)
        now = time.monotonic()
        for pipe in [pipe for pipe in busy if pipe in self._running]:
            tasks = self._running[pipe].tasks
            # who has something to say was in time, and whoever reads the outcomes was not
            if tasks and tasks[0].begun + limit <= now and not pipe.poll():
                self._bury(pipe)
                why = f"the evaluation took longer than {self.seconds:g} s and was ended"
                yield tasks.popleft(), EvaluationFailed(why)
                yield from ((task, None) for task in tasks)

    def _heard(self, pipe: Connection) -> Iterator[tuple[_Task, Outcome | None]]:
        """What a worker says, or that it is dead."""
        worker = self._running[pipe]
        try:
            message = pipe.recv_bytes()
        except (EOFError, OSError):
            yield from self._dead(pipe, worker)
            return
        now = time.monotonic()
        if message == LOADED:
            self._stillborn, worker.loaded = 0, True
        else:
            task = worker.tasks.popleft()
            worker.quick = now - task.begun < _QUICK
            yield task, pickle.loads(message)
        if worker.tasks:
            worker.tasks[0].begun = now

    def _dead(self, pipe: Connection, worker: _Worker) -> Iterator[tuple[_Task, Outcome | None]]:
        """The tasks of a worker that died; the first of them may have been the reason."""
        worker.process.join(_GRACE)  # its exit code is its own
        code = self._bury(pipe)
        if not worker.loaded:
            self._stillborn += 1
            if self._stillborn >= _STILLBORN:
                raise CompositionError(
                    f"{_STILLBORN} worker processes in a row ended before they had loaded the objective, the last "
                    f"with exit code {code}; write executor=Serial() to see what happens in this process"
                )
        else:
            task = worker.tasks.popleft()
            task.deaths += 1
            times = "time" if task.deaths == 1 else "times"
            why = f"a worker process died during the evaluation (exit code {code}), {task.deaths} {times}"
            yield task, None if task.deaths < self.deaths else EvaluationFailed(why)
        yield from ((task, None) for task in worker.tasks)

    def _has_room(self, ahead: bool) -> bool:
        return len(self._running) < self.workers or self._vacant(ahead) is not None

    def _vacant(self, ahead: bool) -> Connection | None:
        """A worker that has nothing to do; or, ahead, one that will soon have nothing to do."""
        for most in range(2 if ahead else 1):
            for pipe, worker in self._running.items():
                if len(worker.tasks) == most and (most == 0 or (worker.quick and worker.loaded)):
                    return pipe
        return None

    def _send(self, task: _Task, key: Key, ahead: bool) -> bool:
        """Give a task to a worker; whether it was there to take it."""
        pipe = self._vacant(ahead=False)
        if pipe is None:
            pipe = self._start() if len(self._running) < self.workers else self._vacant(ahead)
        assert pipe is not None
        worker = self._running[pipe]
        payload = None if worker.objective is self._objective else self._payload
        if payload is not None:
            worker.objective, worker.loaded, worker.quick = self._objective, False, False
        task.begun = math.inf if payload is not None or worker.tasks else time.monotonic()
        try:
            pipe.send_bytes(pickle.dumps((payload, task.x, key)))
        except OSError:
            if worker.tasks:  # its death will be heard of, and until then nothing more waits here
                worker.quick = False
                return False
            self._bury(pipe)  # it died while it was idle, which is nobody's fault
            return False
        worker.tasks.append(task)
        return True

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(there,), daemon=True)
        with _without_main(), _one_thread(), _no_interrupts():
            process.start()
        there.close()  # so that this side sees the end of the pipe when the worker dies
        self._running[here] = _Worker(process)
        return here

    def _bury(self, pipe: Connection) -> int | None:
        """Make sure that a worker is gone, and what it started; its exit code."""
        process = self._running.pop(pipe).process
        pipe.close()
        _kill(process)
        return process.exitcode

    def _shipped(self, f: Objective) -> bytes:
        try:
            return self._pickle.dumps(f)
        except Exception as error:
            raise CompositionError(
                f"the objective cannot be shipped to other processes: {type(error).__name__}: {error}; open files and "
                "connections inside of it, or write executor=Serial()"
            ) from error


def check_workers(kind: str, workers: Any) -> None:
    """Refuse what is no number of workers.

    Raises:
        InvalidValue: workers is not a whole number >= 1.
    """
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise InvalidValue(f"{kind} needs a whole number of workers >= 1, got {workers!r}; write {kind}(4)")


def _take_one(source: Iterator[Any]) -> list[Any]:
    for x in source:
        return [x]
    return []


def _kill(process: BaseProcess) -> None:
    """End a worker and the whole group of processes that it leads, and wait for it."""
    if sys.platform != "win32" and process.pid is not None:
        with suppress(OSError):  # it has not got as far as leading one
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


@contextmanager
def _without_main() -> Iterator[None]:
    """While open, processes that are started do not run the main script again.

    The objective travels by value, so they do not need it; running it is what makes scripts without a guard start
    processes without end.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _one_thread() -> Iterator[None]:
    """While open, processes that are started compute with one thread each."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """While open, processes that are started do not hear Ctrl-C until they have made up their mind about it."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
