"""Who evaluates a trial, as a text from which others on the same machine can tell that it is gone.

``host-place:process:start``: place is this boot of this machine and the space of its process numbers, start the moment
at which the process began in ticks of the kernel, since numbers of processes are used again.
"""

import errno
import os
import platform
from functools import cache
from hashlib import blake2s
from pathlib import Path

__all__ = ["here", "is_alive", "is_gone"]


def here() -> str:
    """The owner that this process is.

    >>> is_gone(here())
    False
    """
    return _named(os.getpid())


@cache
def _named(process: int) -> str:
    return f"{_place()}:{process}:{_started(process) or ''}"


def is_gone(owner: str) -> bool:
    """Whether a process is certainly no more: True only if it was on this machine and has ended.

    >>> is_gone("somebody elsewhere")
    False
    """
    return _lives(owner) is False


def is_alive(owner: str) -> bool:
    """Whether a process certainly is: True only if it is on this machine.

    >>> is_alive(here())
    True
    """
    return _lives(owner) is True


def _lives(owner: str) -> bool | None:
    """Whether a process of this machine is; None if nobody here can say."""
    place, process, start = ("", "", *owner.rsplit(":", 2))[-3:]
    if place != _place() or not process.isdigit() or os.name != "posix":
        return None
    if start:
        return _started(int(process)) == start
    try:
        os.kill(int(process), 0)
    except OSError as error:
        return error.errno != errno.ESRCH
    return True


@cache
def _place() -> str:
    found = blake2s(digest_size=3)
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            found.update((os.readlink(path) if "ns" in path else Path(path).read_text()).encode())
        except OSError:
            found.update(b"?")
    return f"{platform.node().replace(':', '-')}-{found.hexdigest()}"


def _started(process: int) -> str | None:
    """When a process began, None if there is none (or it has died and its parent has not looked) or if nobody says."""
    try:
        state, *fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else fields[18]
