"""Runs that somebody will kill: for every line "PARTS FILE" it is told, a process of its own goes on without end.

What is imported is imported once, and a process begins in a few milliseconds. Its number is printed.
"""

import os
import signal
import sys
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parent))

from recorded_runs import Recording, network, train

from descend.estimate import SPSA
from descend.transform import Adam

PARTS = {"plain": (SPSA(1e-2),), "Adam": (SPSA(1e-2, samples=2), Adam())}


def run(path: str, steps: int, parts: str) -> tuple[torch.nn.Module, Recording]:
    """Go on with the run in a file, or begin it."""
    model = network()
    optimizer = Recording(model, *PARTS[parts], lr=lambda t: 0.05 / (1 + t // 100), key=11)
    optimizer.record(path, snapshot_every=50)
    train(optimizer, model, steps)
    optimizer.left()
    return model, optimizer


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    torch.set_num_threads(1)
    train(Recording(model := network(), SPSA(1e-2), Adam(), lr=0.1), model, 3)  # all that is compiled is compiled
    for line in sys.stdin:
        parts, path = line.strip().split(" ", 1)
        child = os.fork()
        if child == 0:
            try:
                run(path, 10**9, parts)
            finally:
                os._exit(1)
        print(child, flush=True)


if __name__ == "__main__":
    main()
