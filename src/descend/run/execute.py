"""Where the evaluations of a batch run: one after the other, vmapped, or in other processes.

An executor decides where, never what: the points, the key and the order of the answers are the same everywhere, so
every executor leads to the same trajectory.
"""

import importlib
import multiprocessing
import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import ModuleType, TracebackType
from typing import Any

import torch
from torch import Tensor

from descend.errors import CompositionError, EvaluationFailed, InvalidValue, MissingExtra
from descend.key import Key
from descend.oracle.function import Executor, Outcome, attempt
from descend.oracle.leaf import with_randomness

__all__ = ["Batched", "Executor", "Processes", "Serial"]

Objective = Callable[[Tensor, Key], Any]


class Serial:
    """One point after the other, in this process, without a trial whether f can be vmapped.

    >>> Serial().values(lambda x, key: x.sum(), torch.eye(2), Key(0))
    [1.0, 1.0]
    """

    def __repr__(self) -> str:
        return "Serial()"

    def values(self, f: Objective, xs: Tensor, key: Key) -> list[Outcome]:
        return [attempt(f, x, key) for x in xs]

    def close(self) -> None:
        """There is nothing to let go of."""


class Batched:
    """All points in one call of ``torch.func.vmap(f)``: f must be made of torch functions of tensors.

    An f that takes many points itself is declared by ``Function(f, batched=True)`` and needs no executor.

    >>> Batched().values(lambda x, key: x.square().sum(), torch.eye(2), Key(0))
    [1.0, 1.0]
    """

    def __repr__(self) -> str:
        return "Batched()"

    def values(self, f: Objective, xs: Tensor, key: Key) -> list[Outcome]:
        """As `Executor.values`.

        Raises:
            CompositionError: f cannot be vmapped.
        """

        def mapped() -> Tensor:
            return torch.func.vmap(lambda x: f(x, key).reshape(()), randomness="same")(xs)

        try:
            return with_randomness(key, mapped).tolist()
        except Exception as error:
            raise CompositionError(
                f"Batched() could not vmap the objective: {type(error).__name__}: {error}; write executor=Serial(), or "
                "leave the executor out, and points are asked one by one"
            ) from error

    def close(self) -> None:
        """There is nothing to let go of."""


@dataclass(slots=True)
class _Worker:
    """A process, and the objective that it was sent last."""

    process: BaseProcess
    objective: Objective | None = None


class Processes:
    """Points are shared out among worker processes, which are started once and live until the run ends.

    The objective is shipped by value with cloudpickle, so it may be a lambda or live in a notebook, and a script needs
    no ``if __name__ == "__main__"``. A worker that dies costs its point, which fails, and is replaced. An interrupt
    ends the workers at once. Each worker uses one thread. Worth it where one evaluation takes milliseconds or more.

    Args:
        workers: how many, at least 1.

    Raises:
        InvalidValue: workers is not a whole number >= 1.
        MissingExtra: cloudpickle is not installed.
    """

    def __init__(self, workers: int) -> None:
        if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
            raise InvalidValue(f"Processes needs a whole number of workers >= 1, got {workers!r}; write Processes(4)")
        self.workers = workers
        self._pickle = _cloudpickle()
        self._objective: Objective | None = None
        self._payload = b""
        self._running: dict[Connection, _Worker] = {}

    def __repr__(self) -> str:
        return f"Processes({self.workers})"

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def values(self, f: Objective, xs: Tensor, key: Key) -> list[Outcome]:
        """As `Executor.values`."""
        if f is not self._objective:
            self._objective, self._payload = f, self._shipped(f)
        answers: list[Outcome] = [0.0] * len(xs)
        todo, busy = deque(range(len(xs))), dict[Connection, int]()
        try:
            while todo or busy:
                while todo and len(busy) < self.workers:
                    idle = [pipe for pipe in self._running if pipe not in busy]
                    pipe = idle[0] if idle else self._start()
                    busy[pipe] = todo.popleft()
                    self._send(pipe, xs[busy[pipe]], key)
                for pipe in wait(list(busy)):
                    assert isinstance(pipe, Connection)
                    answers[busy.pop(pipe)] = self._receive(pipe)
        except BaseException:
            self.close()  # answers still under way would be taken for those of the next batch
            raise
        return answers

    def close(self) -> None:
        """End the workers, whatever they are doing; new ones start when values are asked again."""
        for pipe, worker in self._running.items():
            worker.process.terminate()
            pipe.close()
        for worker in self._running.values():
            worker.process.join()
        self._running = {}

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there,), daemon=True)
        with _without_main():
            process.start()
        there.close()  # so that this side sees the end of the pipe when the worker dies
        self._running[here] = _Worker(process)
        return here

    def _shipped(self, f: Objective) -> bytes:
        try:
            return self._pickle.dumps(f)
        except Exception as error:
            raise CompositionError(
                f"the objective cannot be shipped to other processes: {type(error).__name__}: {error}; open files and "
                "connections inside of it, or write executor=Serial()"
            ) from error

    def _send(self, pipe: Connection, x: Tensor, key: Key) -> None:
        worker = self._running[pipe]
        payload = None if worker.objective is self._objective else self._payload
        worker.objective = self._objective
        with suppress(OSError):  # the worker is dead, as `_receive` will find out
            # a clone, because a row of a batch would bring the whole batch along
            pipe.send_bytes(pickle.dumps((payload, x.clone(), key)))

    def _receive(self, pipe: Connection) -> Outcome:
        try:
            return pickle.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            process = self._running.pop(pipe).process
            process.join()
            pipe.close()
            return EvaluationFailed(f"a worker process died during the evaluation (exit code {process.exitcode})")


def _serve(pipe: Connection) -> None:
    """The life of a worker: points in, outcomes out, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to every process of a terminal; the parent decides
    torch.set_num_threads(1)
    dumps = _cloudpickle().dumps
    f: Objective = _nothing
    while True:
        try:
            payload, x, key = pickle.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        f = f if payload is None else _loaded(payload)
        outcome = attempt(f, x, key)
        try:
            sent = dumps(outcome)
            pickle.loads(sent)
        except Exception:  # an exception that does not survive the journey
            sent = dumps(EvaluationFailed(f"{type(outcome).__name__}: {outcome}"))
        pipe.send_bytes(sent)


def _nothing(x: Tensor, key: Key) -> Any:
    raise CompositionError("a worker process was asked before it was given an objective")


def _loaded(payload: bytes) -> Objective:
    """The objective; if it cannot be loaded here, one that says so for every point."""
    try:
        return pickle.loads(payload)
    except Exception as error:
        why = f"the objective cannot be loaded in another process: {type(error).__name__}: {error}"

    def refuse(x: Tensor, key: Key) -> Any:
        raise CompositionError(why)

    return refuse


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


def _cloudpickle() -> Any:
    try:
        return importlib.import_module("cloudpickle")
    except ImportError:
        raise MissingExtra("cloudpickle", "processes") from None
