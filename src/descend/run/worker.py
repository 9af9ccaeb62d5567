"""The other end of `Processes`: the life of a worker process, from which points come back as outcomes."""

import importlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from descend.errors import CompositionError, EvaluationFailed, MissingExtra
from descend.key import Key
from descend.oracle.function import attempt

__all__ = ["LOADED", "Objective", "cloudpickle", "serve"]

Objective = Callable[[Any, Key], Any]
"""f(point, key) -> one number."""

LOADED = b"loaded"
"""What a worker says when it has the objective; its other messages are pickles."""


class _Ended(SystemExit):
    """The parent says that it is over. An exception, so that the objective's `finally` is heard."""


def serve(pipe: Connection) -> None:
    """The life of a worker: points in, outcomes out, until the pipe is closed."""
    _stand_alone()
    torch.set_num_threads(1)
    dumps = cloudpickle().dumps
    f: Objective = _nothing
    try:
        while True:
            payload, x, key = pickle.loads(pipe.recv_bytes())
            if payload is not None:
                f = _loaded(payload)
                pipe.send_bytes(LOADED)
            try:
                outcome = attempt(f, x, key)
            except SystemExit as error:
                if isinstance(error, _Ended):
                    raise
                outcome = EvaluationFailed(f"the objective called sys.exit({error.code!r})")
            try:
                sent = dumps(outcome)
                pickle.loads(sent)
            except Exception:  # an exception that does not survive the journey
                sent = dumps(EvaluationFailed(f"{type(outcome).__name__}: {outcome}"))
            pipe.send_bytes(sent)
    except (EOFError, OSError, _Ended) as end:
        sys.stdout.flush()
        if isinstance(end, _Ended):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        os._exit(0)  # at once, as nobody waits for it any more


def _stand_alone() -> None:
    """Ctrl-C is the parent's business, the end of the parent ends this process, and whatever this one starts too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.setsid()
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait([parent.sentinel])
        if sys.platform != "win32":
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _leave(number: int, frame: Any) -> None:
    raise _Ended


def _nothing(x: Any, key: Key) -> Any:
    raise CompositionError("a worker process was asked before it was given an objective")


def _loaded(payload: bytes) -> Objective:
    """The objective; if it cannot be loaded here, one that says so for every point."""
    try:
        return pickle.loads(payload)
    except Exception as error:
        why = f"the objective cannot be loaded in another process: {type(error).__name__}: {error}"

    def refuse(x: Any, key: Key) -> Any:
        raise CompositionError(why)

    return refuse


def cloudpickle() -> Any:
    """The package of this name.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return importlib.import_module("cloudpickle")
    except ImportError:
        raise MissingExtra("cloudpickle", "processes") from None
