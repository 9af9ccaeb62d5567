"""While a process evaluates, a thread of it renews the leases of its trials, several times before they run out."""

import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from descend.errors import StoreFailed
from descend.log.log import Log
from descend.log.memory import Memory

__all__ = ["Heart"]

_BEATS = 3
"""For each lease: two may be missed."""


class Heart:
    """Beats from `with` to its end.

    Args:
        log: whose trials are renewed.
        owner: whose they are.
        lease_seconds: for how long each time.

    >>> log = Memory()
    >>> with Heart(log, "me", lease_seconds=30.0):
    ...     log.ask(0, 0, {"x": 1.0}, "me", 30.0)
    True
    """

    def __init__(self, log: Log | Memory, owner: str, lease_seconds: float) -> None:
        self._log, self._owner, self._lease = log, owner, lease_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="descend heart", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._lease / _BEATS):
            with suppress(StoreFailed):  # the next beat may find the disk or the server again
                self._log.renew(self._owner, self._lease)
