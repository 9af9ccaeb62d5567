"""The ranks of a parallel run, seen from one of them: who is in, what they answered, and whether they are still copies.

Every step begins with `meet`. At the first one the ranks compare what they are about to do; every `check_every` steps
they compare a hash of their parameters, and take in workers that wait to join. A worker that joins late, or anew after
it died, takes the steps it missed on the logged answers of the others: the same optimizer computes the same updates
from them, whatever it is made of, and not one evaluation is made.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from struct import pack, unpack
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.errors import InvalidValue, StateMismatch
from descend.parallel.errors import LostWorker, ReplicasDiffer
from descend.parallel.fingerprint import fingerprint
from descend.parallel.log import Log
from descend.parallel.wire import OnLost, Store, Traffic, Wire

__all__ = ["Team"]

_END = b"\xff" * 4
"""What an even number of float32 ends with: a NaN of bits that no arithmetic makes."""

_START = 10.0
"""The first meeting waits this many times as long: processes do not start at the same moment."""


class Team:
    """This rank's view of all ranks; made by ``Parallel(...).connect()``.

    Args:
        store: that all ranks share.
        rank: of this process.
        world_size: how many ranks there are at the start; fewer or more may be in later, see `roll`.
        shards: parts of the batch; rank r holds part r % shards.
        weight: of this rank's part in the mean over the batch, or what gives it; it travels when it changes.
        on_lost, patience: as in `Wire`.
        check_every: steps between two checks.

    Attributes:
        roll: the ranks that are in, ascending; the same on all of them.
        catching_up: whether this rank is taking steps that it missed.
        traffic: what this rank sent and received.
    """

    def __init__(
        self,
        store: Store,
        rank: int,
        world_size: int,
        shards: int,
        weight: float | Callable[[], float],
        on_lost: OnLost,
        patience: float,
        check_every: int,
    ) -> None:
        self.rank, self.shards, self.weight, self.check_every = rank, shards, weight, check_every
        self.roll = self._first_roll = tuple(range(world_size))
        self.wire = Wire(store, rank, patience, on_lost)
        self.elastic = on_lost == "continue"
        self.weights: dict[int, float] = {}
        self.idle_was_told = False
        self.traffic, self._log = Traffic(), Log()
        self._step, self._met, self._applications = 0, False, 0
        self._missed: list[bytes] = []
        self._live_at: int | None = None
        self._home: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Team(rank {self.rank} of {', '.join(map(str, self.roll))})"

    @property
    def shard(self) -> int:
        """The part of the batch that this rank holds, 0 <= shard < shards."""
        return self.rank % self.shards

    @property
    def catching_up(self) -> bool:
        return self._live_at is not None

    @property
    def waiting(self) -> int:
        """How many workers want to join; they are told what they missed at the next check."""
        return len(self._applicants()) - self._applications

    # Answers

    def gather(self, values: Tensor, counts: Mapping[int, int]) -> dict[int, Tensor]:
        """This rank's values and those of all others that are in, by rank.

        Args:
            values: (k,) float64 on the CPU.
            counts: how many values each rank of the roll is to send.

        Raises:
            LostWorker: see `Wire`.
            StateMismatch: a rank sent more or fewer, so the ranks do not ask the same questions.
        """
        weight = float(self.weight() if callable(self.weight) else self.weight)
        if weight != self.weights.get(self.rank, 1.0):
            if not (math.isfinite(weight) and weight > 0):
                raise InvalidValue(f"the weight of a shard must be a finite number > 0, got {weight!r}")
            message = _packed(values) + pack("<d", weight)
        else:
            message = _shortly(values) if _is_short(values) else _packed(values)
        found = self.wire.exchange(self.roll, message, f"step {self._step}")
        self.roll = tuple(found)
        self.traffic.questions += 1
        self.traffic.evaluations += len(values)
        self.traffic.sent += len(message)
        self.traffic.received += sum(map(len, found.values())) - len(message)
        return {rank: self._read(rank, text, counts[rank]) for rank, text in found.items()}

    def _read(self, rank: int, text: bytes, count: int) -> Tensor:
        short = len(text) % 8 > 0
        numbers = np.frombuffer(text.removesuffix(_END), "<f4") if short else np.frombuffer(text, "<f8")
        if len(numbers) == count + 1 and not short:
            self.weights[rank] = float(numbers[-1])
        elif len(numbers) != count:
            self.wire.farewell("the ranks ask different questions")
            raise StateMismatch(
                f"at step {self._step}, rank {rank} sent {len(numbers)} values where {count} were expected: the ranks "
                "do not ask the same questions. Whatever decides what is asked, a learning rate, a stopping rule, a "
                "branch in the training loop, must not depend on the rank"
            )
        return torch.from_numpy(numbers[:count].astype(np.float64))

    def recall(self) -> Tensor | None:
        """The answer to the next question if this rank is catching up, else None."""
        if self._live_at is None:
            return None
        if not self._missed:
            raise self._other_questions()
        return torch.from_numpy(np.frombuffer(self._missed.pop(0), "<f8").astype(np.float64))

    def note(self, answer: Tensor) -> None:
        """Keep an answer for those who join later."""
        if self.elastic:
            self._log.add(_packed(answer))

    # Meetings

    def meet(self, t: int, parameters: Iterable[Tensor], about: Mapping[str, str]) -> None:
        """What comes before step t: the start, a check, or nothing.

        Args:
            t: the number of steps taken.
            parameters: of this replica, as they are.
            about: what has to be the same on all ranks, as texts by name; only read at the first meeting.

        Raises:
            ReplicasDiffer: the ranks are about to do different things, or their parameters differ.
            LostWorker: see `Wire`.
        """
        first, self._step, self._met = not self._met, t, True
        if first:
            if self.rank not in self.roll:  # one more than there were to be: it can only join
                self._await("started")
            if self.wire.store.check(["started"]):
                self._apply(t, about)
            else:
                self._start(t, parameters, about)
        if self._live_at == t:
            self._arrive(t, parameters, about)
        elif self._live_at is None and (first or t % self.check_every == 0):
            self._check(parameters)
        if self.elastic:
            self._log.begin(t)

    def _start(self, t: int, parameters: Iterable[Tensor], about: Mapping[str, str]) -> None:
        mine = {"step": str(t), **about}
        text = json.dumps(mine)
        found = self.wire.exchange(
            self.roll, (text + " " * (-len(text) % 8)).encode("ascii"), "the start", _START * self.wire.patience
        )
        self.roll = tuple(found)
        told = {rank: json.loads(text) for rank, text in found.items()}
        for name in dict.fromkeys(name for theirs in told.values() for name in theirs):
            groups = _groups({rank: theirs.get(name, "nothing") for rank, theirs in told.items()})
            if len(groups) > 1:
                self.wire.farewell(f"the ranks have another {name}")
                raise ReplicasDiffer(
                    f"the ranks must agree on the {name}, and they do not: "
                    + "; ".join(map("{}: {}".format, map(_named, groups.values()), _apart(list(groups))))
                    + ". Give every rank the same"
                )
        if self.rank == self.roll[0]:
            self.wire.store.set("about", json.dumps(dict(about)))
            self.wire.store.set("started", "")

    def _check(self, parameters: Iterable[Tensor]) -> None:
        """Compare the replicas, and take in those who wait."""
        here = fingerprint(parameters)
        message = pack("<Q", here)
        if self.elastic and self.rank == self.roll[0]:
            waiting = self._acceptable()
            message += pack("<q", waiting) if waiting > self._applications else b""
        found = self.wire.exchange(self.roll, message, f"the check before step {self._step}")
        self.roll = tuple(found)
        self.traffic.checks += len(message)
        groups = _groups({rank: unpack("<Q", text[:8])[0] for rank, text in found.items()})
        if len(groups) > 1:
            self._refuse(groups)
        for text in found.values():
            if len(text) == 16:
                self._admit(unpack("<q", text[8:])[0], here)

    def _refuse(self, groups: dict[Any, list[int]]) -> None:
        self.wire.farewell("the replicas differ")
        most = max(groups.values(), key=len)
        odd = [rank for ranks in groups.values() if ranks is not most for rank in ranks]
        agree = f"; {_named(most)} agree" if len(most) > len(odd) else ""
        who = _named(odd) if agree else " and ".join(map(_named, groups.values()))
        raise ReplicasDiffer(
            f"before step {self._step} the parameters of the ranks are not the same any more: those of {who} differ"
            f"{agree}. They are compared every {self.check_every} steps, and were equal the time before. Something but "
            "the optimizer wrote to the parameters of a rank, or its hardware computes the update differently; start "
            "again from the last saved state"
        )

    # Joining

    def _applicants(self) -> list[tuple[int, int]]:
        """(rank, step) of all who ever asked to join, in order."""
        if not self.wire.store.check(["applicants"]):
            return []
        entries = self.wire.store.get("applicants").decode().split(";")[:-1]
        return [(int(rank), int(t)) for rank, t in (entry.split(":") for entry in entries)]

    def _acceptable(self) -> int:
        """How many of the applicants may be in now; one whose forerunner of the same rank has not been missed waits."""
        count = self._applications
        for rank, _ in self._applicants()[count:]:
            if rank in self.roll:
                break
            count += 1
        return count

    def _admit(self, count: int, here: int) -> None:
        """Tell those who wait what they missed, and let in who is close: nobody should wait for a long way."""
        new = self._applicants()[self._applications : count]
        first, known = self._applications, self.roll
        self._applications = count
        close = {rank for rank, t in new if self._step - t <= self.check_every}
        self.roll = tuple(sorted({*known, *close}))
        for rank in close:
            self.weights.pop(rank, None)
        if self.rank != known[0]:
            return
        home: dict[str, Any] = {"step": self._step, "round": self.wire.round, "roll": self.roll, "hash": here}
        home |= {"weights": {str(rank): weight for rank, weight in self.weights.items()}, "applications": count}
        for place, (rank, t) in enumerate(new, first):
            facts, answers = {**home, "in": rank in close}, b""
            try:
                answers = self._log.since(t)
            except StateMismatch as error:
                facts = {"refused": str(error)}
            self.wire.store.set(f"answers/{place}", answers)  # pyright: ignore[reportArgumentType]
            self.wire.store.set(f"admitted/{place}", json.dumps(facts))

    def _apply(self, t: int, about: Mapping[str, str]) -> None:
        """Ask to be let in, and take over what the others answered since step t."""
        store = self.wire.store
        if not self.elastic:
            raise LostWorker(
                f"the others have started without rank {self.rank}; with Parallel(..., on_lost='continue') on all "
                "ranks a worker may come late, else start all of them again"
            )
        theirs = json.loads(store.get("about"))
        for name, text in about.items():
            if theirs.get(name) != text:
                ours, other = _apart([text, theirs.get(name, "nothing")])
                raise ReplicasDiffer(
                    f"rank {self.rank} wants to join with another {name}: {ours}, the others have {other}. "
                    "Give every rank the same"
                )
        self.wire.append("applicants", f"{self.rank}:{t};")
        place = max(i for i, applicant in enumerate(self._applicants()) if applicant == (self.rank, t))
        facts = json.loads(self._await(f"admitted/{place}"))
        if "refused" in facts:
            raise StateMismatch(facts["refused"])
        self._missed = Log.unpack(store.get(f"answers/{place}"))
        store.delete_key(f"answers/{place}")
        self._home, self._live_at = facts, facts["step"]
        self.weights = {int(rank): weight for rank, weight in facts["weights"].items()}

    def _await(self, name: str) -> bytes:
        others = [rank for rank in self._first_roll if rank != self.rank]
        return self.wire.ask(name, _START * self.wire.patience, others)

    def _arrive(self, t: int, parameters: Iterable[Tensor], about: Mapping[str, str]) -> None:
        """Nothing is missing that was known then: be one of them if it was close, else ask for what came since."""
        if self._missed:
            raise self._other_questions()
        if fingerprint(parameters) != self._home["hash"]:
            self.leave("its parameters are not those of the others")
            raise ReplicasDiffer(
                f"rank {self.rank} took the steps it had missed up to {self._step}, and its parameters are not those "
                "of the others; it began from another model, or its hardware computes the update differently"
            )
        if not self._home["in"]:
            self._apply(t, about)
            return
        self.roll, self._applications = tuple(self._home["roll"]), self._home["applications"]
        self.wire.round, self._live_at = self._home["round"], None

    def _other_questions(self) -> StateMismatch:
        return StateMismatch(
            f"catching up at step {self._step}, rank {self.rank} does not ask the questions that the others asked "
            "there; give it the same parts, learning rates and schedules"
        )

    def leave(self, why: str = "it is done") -> None:
        """Answer no more; the others are told at once, and need not wait to find out."""
        self.wire.farewell(why)


def _packed(values: Tensor) -> bytes:
    return values.numpy().astype("<f8").tobytes()


def _is_short(values: Tensor) -> bool:
    """Whether float32 holds these float64 numbers exactly, as it holds most losses of models in float32."""
    return len(values) > 0 and bool(((values.float().double() == values) | values.isnan()).all())


def _shortly(values: Tensor) -> bytes:
    """An odd number of words of 4 bytes, so that the length tells what they are."""
    return values.numpy().astype("<f4").tobytes() + (_END if len(values) % 2 == 0 else b"")


def _groups(told: Mapping[int, Any]) -> dict[Any, list[int]]:
    """The ranks by what they told."""
    groups: dict[Any, list[int]] = {}
    for rank, what in told.items():
        groups.setdefault(what, []).append(rank)
    return groups


def _named(ranks: list[int]) -> str:
    return ("rank " if len(ranks) == 1 else "ranks ") + ", ".join(map(str, ranks))


def _apart(texts: list[str]) -> list[str]:
    """Texts that differ, where they differ: long ones without most of what they have in common."""
    if max(map(len, texts)) <= 200:
        return texts
    same = next(i for i in range(max(map(len, texts))) if len({text[i : i + 1] for text in texts}) > 1)
    start = max(0, same - 40)
    return [("..." if start else "") + text[start : start + 200] for text in texts]
