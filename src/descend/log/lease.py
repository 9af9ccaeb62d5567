"""Who is dead: a trial is taken over only from an owner that is certainly gone, or whose lease has stood still.

Clocks are set back and forth, differ between machines, and a laptop sleeps. So it is not enough that a lease has run
out by the clock. Owners renew their leases several times before these run out, and whoever wants to take a trial over
watches the lease by its own steady clock: half a lease without renewal is enough if it has run out by the clock as
well, a whole one whatever the clocks say. An owner on the same machine whose process has ended is gone at once.
"""

from dataclasses import dataclass

from descend.log.owner import is_gone
from descend.log.row import Clock

__all__ = ["Held", "Watch"]


@dataclass(frozen=True, slots=True)
class Held:
    """A running trial and its lease: until when (`until`) and since when (`seen`), both unix times."""

    number: int
    owner: str
    until: float
    seen: float
    attempts: int


class Watch:
    """What one process has seen of the leases of others.

    >>> now = [0.0]
    >>> watch = Watch(Clock(wall=lambda: 1000.0, steady=lambda: now[0]))
    >>> held = Held(number=0, owner="somebody", until=990.0, seen=960.0, attempts=1)
    >>> watch.ended(held)
    False
    >>> now[0] = 15.0
    >>> watch.ended(held)
    True
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[int, tuple[Held, float]] = {}

    def ended(self, held: Held) -> bool:
        """Whether its owner may be taken for dead."""
        if is_gone(held.owner):
            return True
        now = self._clock.steady()
        known, since = self._since.get(held.number, (None, now))
        if known != held:
            self._since[held.number] = (held, now)
            return False
        lease = held.until - held.seen
        over = self._clock.wall() >= held.until
        return now - since >= (lease / 2 if over else lease)

    def keep(self, numbers: set[int]) -> None:
        """Forget all others."""
        for number in self._since.keys() - numbers:
            del self._since[number]
