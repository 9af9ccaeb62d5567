"""The runs that the tests beside it look at, each of several processes: python worker.py SCENARIO PORT FOLDER.

The processes are forks of this one, so that torch is imported once. Each writes what it has to tell into a file. At the
port is a store that outlives them.
"""

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from descend.errors import DescendError
from descend.estimate import SPSA, Evolution, FiniteDifference
from descend.key import Key
from descend.layout import Parameters
from descend.oracle import Closure, Oracle
from descend.parallel import Parallel, Shared, Team
from descend.step import Backtracking
from descend.torch_optim import Optimizer
from descend.torch_optim.recording import record
from descend.transform import BFGS, Adam

STEPS, EVERY = 60, 10
BATCH, INPUTS = 24, 6


def network(width: int = 8) -> nn.Module:
    """A small network that is the same everywhere."""
    model = nn.Sequential(nn.Linear(INPUTS, width), nn.Tanh(), nn.Linear(width, 1))
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(Key(5).fold(i).normal(*p.shape, like=p) * min(0.5, width**-0.5))
    return model


def examples(t: int) -> tuple[Tensor, Tensor]:
    """The batch of step t: inputs and targets."""
    x = Key(6).fold(t).normal(BATCH, INPUTS, like=torch.zeros(()))
    return x, x.sin().sum(1, keepdim=True)


class Loop:
    """The smallest optimizer: x <- x - lr * estimate, on one rank or with others."""

    def __init__(self, parallel: Parallel | None, *, samples: int = 2, key: int = 0, part: slice | None = None) -> None:
        self.model, self.key, self.t, self.asked = network(), Key(key), 0, 0
        self.part = part or slice(None)
        self.parameters = Parameters(self.model.parameters())
        self.closure = Closure(self.parameters, self.loss)
        oracle: Oracle = self.closure
        self.shared: Shared | None = None
        if parallel is not None:
            oracle = self.shared = parallel(self.closure)
        self.oracle = oracle | SPSA(radius=1e-2, samples=samples)
        self.before_evaluation: Callable[[int], None] = lambda t: None

    def loss(self) -> Tensor:
        self.before_evaluation(self.t)
        self.asked += 1
        x, y = examples(self.t)
        return (self.model(x[self.part]) - y[self.part]).square().mean()

    def step(self) -> float:
        if self.shared is not None:
            self.shared.team.meet(self.t, self.parameters.tensors, {"key": str(self.key)})
        home = self.parameters.gather()
        try:
            slope = self.oracle.gradient(home, self.key.fold(self.t))
        finally:
            self.closure.restore(home)
        with torch.no_grad():
            self.parameters.scatter(slope.gradient.add_to(home, -0.02))  # type: ignore[union-attr]
        self.t += 1
        return slope.loss

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    def result(self) -> dict[str, Any]:
        """What the tests look at; the run is over."""
        if self.shared is not None:
            self.shared.team.leave()
        told = {"point": self.parameters.gather(), "asked": self.asked, "counted": self.closure.ledger.total}
        if self.shared is not None:
            told |= {"traffic": asdict(self.shared.team.traffic), "roll": self.shared.team.roll}
        return told


def caught(call: Callable[[], Any]) -> dict[str, Any]:
    """What a run was stopped by."""
    began = time.monotonic()
    try:
        call()
    except DescendError as error:
        return {"error": type(error).__name__, "says": str(error), "seconds": time.monotonic() - began}
    return {"error": ""}


def die(at: int) -> Callable[[int], None]:
    """In the middle of step `at`, at the second evaluation, as if by kill -9."""
    count = [0]

    def before(t: int) -> None:
        count[0] += t == at
        if count[0] == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    return before


def over_gloo(rank: int, ranks: int, port: int, told: Callable[[str, Any], None]) -> None:
    """Many runs of two ranks, one after the other, in one process group; the last one kills rank 1."""
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", timedelta(seconds=60), ranks, rank)
    plain = Parallel(patience=20, check_every=EVERY)

    many = Loop(plain)
    began = time.monotonic()
    many.run(1000)
    told("many", many.result() | {"seconds": time.monotonic() - began})

    # a third of the batch here, the rest there: the mean over the batch weighs them by their numbers of examples
    part = slice(0, BATCH // 3) if rank == 0 else slice(BATCH // 3, None)
    sizes = [BATCH // 3, BATCH - BATCH // 3]
    weighted = Loop(replace(plain, batch=2, weight=float(sizes[rank])), part=part)
    weighted.run(STEPS)
    told("weighted", weighted.result())

    halves = Loop(replace(plain, batch=2), part=slice(rank * BATCH // 2, (rank + 1) * BATCH // 2))
    halves.run(STEPS)
    told("halves", halves.result())

    one = Loop(plain, samples=1)
    one.run(STEPS)
    told("one", one.result())

    other_key = Loop(plain, key=rank)
    told("other key", caught(lambda: other_key.run(STEPS)))

    corrupted = Loop(plain)
    corrupted.run(EVERY + 3)
    if rank == 1:
        with torch.no_grad():
            corrupted.parameters.tensors[0].view(torch.int32).view(-1)[7] ^= 1 << 20  # one bit
    told("corrupted", caught(lambda: corrupted.run(STEPS)))

    def fail(t: int) -> None:
        if rank == 1 and t == 5:
            raise KeyboardInterrupt

    stopped = Loop(plain)
    stopped.before_evaluation = fail
    try:
        told("stopped", caught(lambda: stopped.run(STEPS)))
    except KeyboardInterrupt:
        told("stopped", {"error": "KeyboardInterrupt"})

    killed = Loop(replace(plain, patience=2.0))
    killed.before_evaluation = die(at=7) if rank == 1 else killed.before_evaluation
    told("killed", caught(lambda: killed.run(STEPS)))


def over_three(rank: int, ranks: int, port: int, told: Callable[[str, Any], None]) -> None:
    """Three ranks in a gloo process group."""
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", timedelta(seconds=60), ranks, rank)
    loop = Loop(Parallel(probes=3, patience=20, check_every=EVERY), samples=4)
    loop.run(STEPS)
    told("three", loop.result())


def elastic(rank: int, ranks: int, port: int, told: Callable[[str, Any], None]) -> None:
    """Rank 1 is killed in step 12 and started anew: it gets what it missed at step 20, and is in from step 30 on."""
    store = dist.TCPStore("127.0.0.1", port, is_master=False, timeout=timedelta(seconds=60))
    parallel = Parallel(
        store=store, rank=rank, world_size=ranks, on_lost="continue", patience=2.0, check_every=EVERY, probes=ranks
    )
    loop = Loop(parallel, samples=4)
    again = store.check([f"began/{rank}"])
    store.set(f"began/{rank}", "")
    if rank == 1 and not again:
        loop.before_evaluation = die(at=12)
    first = None
    for t in range(STEPS):
        if rank == 0 and t in (15, 25):  # the late one is sure to find the others at work
            wait_for_somebody(loop.shared.team)  # type: ignore[union-attr]
        loop.step()
        first = t if first is None and loop.asked else first
    told("again" if again else "elastic", loop.result() | {"first": first})


def wait_for_somebody(team: Team) -> None:
    """Until somebody wants to join."""
    until = time.monotonic() + 30
    while not team.waiting:
        assert time.monotonic() < until
        time.sleep(0.01)


COMPOSITIONS: dict[str, tuple[tuple[Any, ...], dict[str, Any], int]] = {
    "signs": ((SPSA(1e-2, samples=4),), {"lr": 0.02}, 8),
    "gains": ((SPSA(1e-2, samples=2),), {}, 8),
    "adam": ((SPSA(1e-2, samples=4), Adam()), {"lr": 0.01}, 8),
    "low rank": ((SPSA(1e-2, samples=4, rank=1),), {"lr": 0.02}, 8),
    "population": ((Evolution(pairs=4), Adam()), {"lr": 0.01}, 8),
    "streamed": ((SPSA(1e-3),), {"lr": 1e-4}, 40_000),
    "quasi-Newton": ((FiniteDifference(), BFGS(), Backtracking()), {}, 4),
}
"""Parts, settings and the width of the network."""


def composed(name: str, parallel: Parallel | None) -> Optimizer:
    parts, settings, width = COMPOSITIONS[name]
    return Optimizer(network(width), *parts, key=0, parallel=parallel, **settings)


def steps(optimizer: Optimizer, until: int) -> dict[str, Any]:
    """Take the steps that are missing, each on its batch."""
    loss = torch.zeros(())
    while optimizer.t < until:
        loss = optimizer.step(lambda model, batch: (model(batch[0]) - batch[1]).square().mean(1), examples(optimizer.t))
    return {"point": optimizer.parameters.gather(), "loss": loss, "counted": optimizer.ledger.total}


def face(rank: int, ranks: int, port: int, told: Callable[[str, Any], None]) -> None:
    """Compositions of all kinds; then a recorded run that rank 1 leaves, to come back with a copy of the record."""
    store = dist.TCPStore("127.0.0.1", port, is_master=False, timeout=timedelta(seconds=60))
    shared = Parallel(store=store, rank=rank, world_size=ranks, patience=20, check_every=EVERY)
    again = store.check([f"began/{rank}"])
    store.set(f"began/{rank}", "")
    for name in COMPOSITIONS if not again else ():
        told(name, steps(composed(name, replace(shared, name=name)), 12))

    file = Path(store.get("file").decode())
    optimizer = composed("adam", replace(shared, name="recorded", on_lost="continue"))
    if rank == 0:
        with record(optimizer, file):
            steps(optimizer, 15)
            store.set("15 are recorded", "")
            wait_for_somebody(optimizer.team)
            steps(optimizer, 25)
            if optimizer.team.roll == (0,):  # it was told what it missed, and asks again
                wait_for_somebody(optimizer.team)
            told("recorded", steps(optimizer, STEPS))
    elif not again:
        steps(optimizer, 7)  # and leaves, since its process ends
    else:
        store.wait(["15 are recorded"])
        copy = file.with_suffix(".copy")
        copy.write_bytes(file.read_bytes())
        with record(optimizer, copy):
            told("came back", steps(optimizer, STEPS))


SCENARIOS = {"gloo": (over_gloo, 2), "three": (over_three, 3), "elastic": (elastic, 2), "face": (face, 2)}
FORK = multiprocessing.get_context("fork")


def start(scenario: str, rank: int, port: int, folder: str) -> Any:
    """One rank, as a process of its own."""
    run, ranks = SCENARIOS[scenario]

    def told(name: str, what: Any) -> None:
        torch.save(what, Path(folder) / f"{name}.{rank}")

    def work() -> None:
        torch.set_num_threads(1)
        run(rank, ranks, port, told)

    process = FORK.Process(target=work, daemon=True)
    process.start()
    return process


def main() -> None:
    scenario, port, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if scenario in ("gloo", "three"):  # rank 0 hosts the store of its process group
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    ranks = [start(scenario, rank, port, folder) for rank in range(SCENARIOS[scenario][1])]
    if scenario in ("elastic", "face"):
        ranks[1].join(60)
        assert ranks[1].exitcode == {"elastic": -signal.SIGKILL, "face": 0}[scenario]
        ranks.append(start(scenario, 1, port, folder))
    for process in ranks:
        process.join(60)
    sys.exit(any(process.exitcode is None for process in ranks))


if __name__ == "__main__":
    main()
