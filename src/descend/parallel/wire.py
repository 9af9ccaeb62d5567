"""What travels between ranks: each posts a few bytes per question in a key-value store, and reads those of the others.

The store of torch.distributed (`TCPStore`, the one behind every process group) was measured at a tenth of the latency
of an all-gather of gloo for a few bytes, and it survives the death of a client, which breaks a process group. So it is
the one transport, for strict and elastic runs. Nothing waits inside the store: its keys are looked for at growing
intervals, so that interrupts get through, and the time that a rank may be late is counted here.

Where workers may be lost, the ranks that go on have to agree on who is in. The first to give up on a worker writes the
list of those whose message it saw; the store lets only one such list stand (compare and set), and everyone takes it.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import distributed as dist

from descend.parallel.errors import LostWorker

__all__ = ["OnLost", "Store", "Traffic", "Wire"]

OnLost = Literal["stop", "continue"]

_FAREWELL = b"left:"
_WORD = 4
"""Messages are whole words, so one that is not is a farewell."""


class Store(Protocol):
    """What is asked of a store of torch.distributed."""

    def set(self, name: str, value: str, /) -> None: ...
    def get(self, name: str, /) -> bytes: ...
    def multi_get(self, names: list[str], /) -> list[bytes]: ...
    def check(self, names: list[str], /) -> bool: ...
    def compare_set(self, name: str, expected: str, desired: str, /) -> bytes: ...
    def delete_key(self, name: str, /) -> bool: ...


@dataclass(slots=True)
class Traffic:
    """What this rank put on the wire, and took from it.

    Fields: questions, how many were exchanged; evaluations, whose values this rank sent; sent and received, bytes of
    values and weights of shards; checks, bytes this rank sent to compare replicas. What the store and the network wrap
    around a message (its name, its length, the answers, the headers of packets) is not counted here.
    """

    questions: int = 0
    evaluations: int = 0
    sent: int = 0
    received: int = 0
    checks: int = 0


class Wire:
    """The exchange of short messages among the ranks of a roll, in numbered rounds.

    Args:
        store: that all ranks share.
        rank: of this process.
        patience: seconds to wait for the others' messages once the own one is posted.
        on_lost: "stop" raises when somebody is missing, "continue" goes on with those who are there.
    """

    def __init__(self, store: Store, rank: int, patience: float, on_lost: OnLost) -> None:
        self.store, self.rank, self.patience, self.on_lost = store, rank, patience, on_lost
        self.round = 0  # the next one
        self.left = ""
        self.others: set[int] = set()  # who were in at the last round and did not get lost
        self._unanimous = False

    def exchange(self, roll: tuple[int, ...], message: bytes, when: str, patience: float = 0.0) -> dict[int, bytes]:
        """Post a message, and return those of all ranks of the roll that are still there, by rank in order.

        Args:
            roll: the ranks to expect, this one among them.
            message: whole words of 4 bytes.
            when: for error messages, "step 7".
            patience: seconds, if more than usual.

        Raises:
            LostWorker: somebody is missing and that is not allowed, or this rank itself was given up by the others.
        """
        if self.left:
            raise LostWorker(f"this rank left the others: {self.left}; start all ranks again")
        try:
            return self._exchange(roll, message, when, max(patience, self.patience))
        except dist.DistNetworkError as error:
            raise LostWorker(
                f"at {when}, the store that connects the ranks is gone: the process that hosts it, rank 0 unless it "
                "was started elsewhere, has ended or cannot be reached; start all ranks again from the last saved state"
            ) from error

    def _exchange(self, roll: tuple[int, ...], message: bytes, when: str, patience: float) -> dict[int, bytes]:
        now, self.round = self.round, self.round + 1
        self.others = {*roll} - {self.rank}
        if roll == (self.rank,):
            return {self.rank: message}
        before = self._unanimous
        self.post(now, message)
        found = self._collect(now, roll, patience)
        lost = {rank: f"did not answer within {patience:g} s" for rank in roll if rank not in found}
        for rank in [rank for rank, text in found.items() if len(text) % _WORD]:
            text = found.pop(rank)
            lost[rank] = f"left ({text.removeprefix(_FAREWELL).decode().strip()})"
        self.others -= set(lost)
        if self.on_lost == "continue":
            found = self._agree(now, roll, found, when)
        elif lost:
            self.farewell("it lost " + ", ".join(f"rank {rank}" for rank in lost))
            raise LostWorker(
                f"at {when}, "
                + " and ".join(f"rank {rank} {why}" for rank, why in lost.items())
                + "; if it was killed, start all ranks again from the last saved state. If it is only slow, raise "
                "Parallel(patience=...); to let the others go on without it, write on_lost='continue'"
            )
        # whoever posted in this round has read all of the one before. A list that somebody is missing from stays for
        # good, so that the missing one finds it however late it comes
        self.store.delete_key(f"{now - 1}/{self.rank}")
        if before and self.rank == roll[0]:
            self.store.delete_key(f"{now - 1}/in")
        return found

    def append(self, name: str, entry: str) -> None:
        """Add to a text that several may be adding to."""
        before = self.store.get(name).decode() if self.store.check([name]) else ""
        while (after := self.store.compare_set(name, before, before + entry).decode()) != before + entry:
            before = after

    def post(self, now: int, message: bytes) -> None:
        """Leave a message for a round."""
        self.store.set(f"{now}/{self.rank}", message)  # pyright: ignore[reportArgumentType]  # bytes are fine, too

    def _collect(self, now: int, roll: tuple[int, ...], patience: float) -> dict[int, bytes]:
        """The messages of this round that arrive in time, or before the others have settled who is in."""
        names = [f"{now}/{rank}" for rank in roll]
        verdict = [f"{now}/in"] if self.on_lost == "continue" else []
        if self._appears(names, patience, verdict):
            return dict(zip(roll, self.store.multi_get(names), strict=True))
        return {rank: self.store.get(name) for rank, name in zip(roll, names, strict=True) if self.store.check([name])}

    def _appears(self, names: list[str], patience: float, verdict: list[str]) -> bool:
        """Wait until the store has all these names; False if that takes too long, or a verdict stands meanwhile."""
        began = time.monotonic()
        while not self.store.check(names):
            waited = time.monotonic() - began
            if waited > patience or (verdict and waited > 0.1 and self.store.check(verdict)):
                return False
            time.sleep(min(max(waited / 100, 2e-5), 0.05))  # what is slept too long is at most 1 % of the wait
        return True

    def ask(self, name: str, patience: float, others: list[int]) -> bytes:
        """What the others put under a name, as soon as it is there.

        Raises:
            LostWorker: it did not come, or they have all left.
        """
        if not self._appears([name], patience, [f"left/{rank}" for rank in others]):
            raise LostWorker(
                f"rank {self.rank} came to join, and the others have left or did not answer within {patience:g} s; "
                "they let somebody in when they compare their replicas, every check_every steps"
            )
        return self.store.get(name)

    def _agree(self, now: int, roll: tuple[int, ...], found: dict[int, bytes], when: str) -> dict[int, bytes]:
        """The messages of the ranks that all survivors take to be in."""
        agreed = self.store.compare_set(f"{now}/in", "", ",".join(map(str, found))).decode()
        ranks = tuple(int(rank) for rank in agreed.split(","))
        if self.rank not in ranks:
            self.left = "the others gave it up"
            raise LostWorker(
                f"at {when}, the others had waited {self.patience:g} s for rank {self.rank} and gone on without it; "
                "start this rank again, and it joins them at their next check"
            )
        self._unanimous = ranks == roll
        return {rank: found[rank] if rank in found else self.store.get(f"{now}/{rank}") for rank in ranks}

    def farewell(self, why: str) -> None:
        """Tell the others that this rank answers no more, so that they need not wait for it."""
        if self.left:
            return
        self.left = why
        text = _FAREWELL + why[:400].encode()
        with suppress(RuntimeError):  # where the store is gone, so are the others
            self.post(self.round, text + b" " * (len(text) % _WORD == 0))
            self.store.set(f"left/{self.rank}", "")

    def linger(self, seconds: float) -> None:
        """Where this rank may host the store, wait a while for the others to leave, since they may still read there."""
        if self.rank == 0:
            with suppress(RuntimeError):
                self._appears([f"left/{rank}" for rank in self.others], seconds, [])
