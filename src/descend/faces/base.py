"""Methods of other libraries as methods of this one: the same budget, bounds, key, result, ask and tell.

The state is the log of the answers, as for every `Conversation`: a library's objects cannot be saved, but a library
that is given the same seed and the same answers asks the same questions.
"""

import importlib
from abc import abstractmethod
from collections.abc import Callable, Generator
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.errors import InvalidValue, MissingExtra
from descend.key import Key
from descend.population.conversation import Conversation, Turns
from descend.space.domain import Domain

__all__ = ["Face", "Talk", "in_thread", "library", "seed", "sides", "told"]

Talk = Generator[np.ndarray, np.ndarray, str]
"""Yields points (m, d), receives their losses (m,), +inf for failures; returns why it has nothing more to ask."""


class Face(Conversation):
    """Base of the methods of other libraries: a subclass writes `talk` in NumPy."""

    @abstractmethod
    def talk(self, x: np.ndarray, domain: Domain, key: Key) -> Talk:
        """The conversation from x (d,). Points are moved into the domain, and into the middle of cells, by `turns`."""

    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        talk, answers, heard = self.talk(told(x), domain, key), list[np.ndarray](), 0
        try:
            while True:
                try:
                    xs = talk.send(answers[heard - 1]) if heard else next(talk)
                except _Ended:  # it had to make room for another one, and hears everything again
                    talk, heard = self.talk(told(x), domain, key), 0
                    continue
                except StopIteration as end:
                    return end.value
                except Exception as error:
                    if not answers:  # a mistake in the options, say
                        raise
                    return f"{self!r} gave up: {type(error).__name__}: {error}"
                if heard == len(answers):
                    points = torch.as_tensor(np.asarray(xs, dtype=np.float64)).to(x)
                    answers.append((yield domain.centre(domain.clip(points.nan_to_num()))).numpy())
                heard += 1
        finally:
            talk.close()


def told(x: Tensor) -> np.ndarray:
    """A tensor as a NumPy array of its own, float64."""
    return x.detach().cpu().to(torch.float64).numpy().copy()


def seed(key: Key) -> int:
    """A seed that every library takes: from 1 to 2^31 - 1."""
    return 1 + key.fold("face").seed % (2**31 - 2)


def sides(domain: Domain, who: object) -> tuple[np.ndarray, np.ndarray]:
    """The lower and the upper sides (d,), all of which must be there.

    Raises:
        InvalidValue: one is not.
    """
    low, high = told(domain.lower), told(domain.upper)
    if not np.isfinite(high - low).all():
        i = int(np.flatnonzero(~np.isfinite(high - low))[0])
        raise InvalidValue(
            f"{who!r} needs two sides for every coordinate, and x[{i}] lies in [{low[i]:g}, {high[i]:g}]"
        )
    return low, high


def library(name: str, package: str, extra: str) -> Any:
    """A module of a package that is not always there.

    Raises:
        MissingExtra: it is not.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingExtra(package, extra) from None


class _Ended(BaseException):
    """Raised inside of a library that nobody listens to any more; nothing there catches it."""


_holders: dict[str, Callable[[], None]] = {}
"""What ends the thread that holds a lock of its library, by the name of the lock."""


def in_thread(run: Callable[[Callable[[np.ndarray], np.ndarray]], str], lock: str = "") -> Talk:
    """The conversation of a library that calls its objective itself, from a thread of its own.

    Args:
        run: is given the objective, points (m, d) in and losses (m,) out, and returns why it came to an end.
        lock: the name of what the library locks while it runs, if it does. Of several such conversations one at a time
            has a thread; the others begin again, with the answers that they have had, when their turn comes.

    The thread waits whenever a question is open. It ends when the conversation does: its objective then raises.
    """
    said: SimpleQueue[np.ndarray | str | BaseException] = SimpleQueue()
    answers: SimpleQueue[np.ndarray | None] = SimpleQueue()

    def objective(xs: np.ndarray) -> np.ndarray:
        said.put(np.array(xs, dtype=np.float64))
        losses = answers.get()
        if losses is None:
            answers.put(None)  # whoever catches the first one is told again
            raise _Ended
        return losses

    def work() -> None:
        try:
            said.put(run(objective))
        except BaseException as error:
            said.put(error)

    thread = Thread(target=work, name="descend.faces", daemon=True)

    def end() -> None:
        answers.put(None)
        thread.join()

    if lock:
        _holders.pop(lock, _nothing)()
        _holders[lock] = end
    thread.start()
    try:
        while True:
            match said.get():
                case str(reason):
                    return reason
                case BaseException() as error:
                    raise error
                case xs:
                    answers.put((yield xs))
    finally:
        answers.put(None)
        if lock and _holders.get(lock) is end:
            del _holders[lock]


def _nothing() -> None:
    """There is no thread to end."""
