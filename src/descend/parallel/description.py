"""How several processes share the evaluations of one optimization, in one line of the user's program."""

import math
import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing.util import Finalize

from torch import distributed as dist

from descend.errors import InvalidValue
from descend.oracle import Oracle
from descend.parallel.shared import Shared
from descend.parallel.team import Team
from descend.parallel.wire import OnLost, Store

__all__ = ["Parallel"]

_FAREWELL_SECONDS = 5.0

_made: "weakref.WeakKeyDictionary[Store, dict[tuple[str, int], int]]" = weakref.WeakKeyDictionary()
"""How many teams of a name and rank were made on a store: a second optimizer must not read the first one's mail."""


@lru_cache(maxsize=1)
def _from_environment() -> tuple[Store, int, int]:
    return next(dist.rendezvous("env://"))  # pyright: ignore[reportPrivateImportUsage]


@dataclass(frozen=True)
class Parallel:
    """Several processes, the ranks, take the same steps and share the evaluations; only scalars travel.

    Args:
        probes: how many parts the values of a question are cut into; each part is evaluated by other ranks.
        batch: how many parts the batch is cut into; rank r holds part r % batch, and values are averaged over the
            parts. probes * batch is the number of ranks; with neither, all ranks share the probes.
        weight: of this rank's part of the batch in the mean, for example its number of examples, or a function that
            tells it before every question. Default: all parts weigh the same.
        on_lost: what happens when a rank dies or leaves: "stop" (default) stops the others with a `LostWorker` error;
            with "continue" they evaluate themselves what it owed and go on without it, and workers may join late.
        patience: seconds, default 60, that a rank waits for the others after it is done with its own part. Allow for
            the difference between the quickest and the slowest rank, not for the time of a forward.
        check_every: steps between two comparisons of the replicas' hashes, default 100; workers that join are let
            in there too.
        store, rank, world_size: of ``torch.distributed``. Default: those of the process group if there is one, else
            what torchrun says in the environment. A `TCPStore` that is hosted outside the ranks survives every one.
        name: sets this run apart from others on the same store.

    All ranks must have the same model, parts, settings and ``key=``: that is compared at the start. The data loader
    of rank r gives part ``r % batch`` of every batch; ranks with the same part must give the same examples.

    Use it as ``Optimizer(model, SPSA(samples=8), lr=1e-4, key=0, parallel=Parallel(probes=2))``, or on any oracle:
    ``oracle | Parallel() | SPSA()``.

    Raises:
        InvalidValue: a number that means nothing; when it connects: no ranks are there, or not probes * batch.

    >>> Parallel(probes=2, batch=4)
    Parallel(probes=2, batch=4, weight=1.0, on_lost='stop', patience=60.0, check_every=100, name='descend')
    """

    probes: int | None = None
    batch: int | None = None
    weight: float | Callable[[], float] = 1.0
    on_lost: OnLost = "stop"
    patience: float = 60.0
    check_every: int = 100
    store: Store | None = field(default=None, repr=False)
    rank: int | None = field(default=None, repr=False)
    world_size: int | None = field(default=None, repr=False)
    name: str = "descend"

    def __post_init__(self) -> None:
        for what, number in (("probes", self.probes), ("batch", self.batch), ("check_every", self.check_every)):
            if number is not None and number < 1:
                raise InvalidValue(f"{what} must be at least 1, got {what}={number!r}; leave it out for the default")
        if not callable(self.weight) and not (math.isfinite(self.weight) and self.weight > 0):
            raise InvalidValue(
                f"weight must be a finite number > 0, got weight={self.weight!r}; write how many examples the part has"
            )
        if self.on_lost not in ("stop", "continue"):
            raise InvalidValue(f"on_lost must be 'stop' or 'continue', got on_lost={self.on_lost!r}")
        if not self.patience > 0:
            raise InvalidValue(f"patience must be seconds > 0, got patience={self.patience!r}; write patience=60")
        if self.store is not None and (self.rank is None or self.world_size is None):
            raise InvalidValue("a store says nothing of who is who; write rank= and world_size= beside store=")

    def __call__(self, oracle: Oracle) -> Shared:
        """The oracle, shared out among the ranks: connects to them."""
        return Shared(oracle, self.connect())

    def connect(self) -> Team:
        """This rank's view of all ranks. All ranks connect in the same order; nothing is waited for yet."""
        store, rank, world_size = self._where()
        if rank < 0 or (rank >= world_size and self.on_lost == "stop"):
            raise InvalidValue(f"rank must be in [0, {world_size}), got rank={rank}; ranks count from 0")
        shards = self._grid(world_size)
        made = _made.setdefault(store, {})
        number = made[self.name, rank] = made.get((self.name, rank), -1) + 1
        store = dist.PrefixStore(f"{self.name}/{number}", store)  # pyright: ignore
        team = Team(store, rank, world_size, shards, self.weight, self.on_lost, self.patience, self.check_every)
        # not atexit: that is not called in processes that multiprocessing starts
        Finalize(team, team.wire.farewell, ("its optimizer or its process ended",), exitpriority=20)
        Finalize(None, team.wire.linger, (_FAREWELL_SECONDS,), exitpriority=10)
        return team

    def _where(self) -> tuple[Store, int, int]:
        """The store that the ranks share, which of them this is, and how many they are."""
        if self.store is not None and self.rank is not None and self.world_size is not None:
            return self.store, self.rank, self.world_size
        if dist.is_available() and dist.is_initialized():
            return dist.distributed_c10d._get_default_store(), dist.get_rank(), dist.get_world_size()
        if {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= set(os.environ):
            return _from_environment()
        raise InvalidValue(
            f"{self!r} finds no other ranks: start the program with torchrun, or call "
            "torch.distributed.init_process_group first, or write store=, rank= and world_size="
        )

    def _grid(self, world_size: int) -> int:
        """How many parts the batch is cut into."""
        if self.probes is None and self.batch is None:
            return 1
        probes, batch = self.probes or 1, self.batch or 1
        if probes * batch != world_size:
            raise InvalidValue(
                f"probes={probes} times batch={batch} must be the number of ranks, which is {world_size}; write "
                f"Parallel(probes={world_size}), Parallel(batch={world_size}), or a grid of both"
            )
        return batch
