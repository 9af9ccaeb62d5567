"""The memory of a training step above that of inference: the resident size of a process in which nothing else runs.

One process is started, loads the model and makes the mini-batch, on one thread; each kind of step then runs in a fork
of it. So they all begin with the same pages, and what one leaves behind the next does not find.

From the root of the repository: python -m examples.sentiment.memory
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import torch

import descend as dd

from .encoder import ANCHORS, Encoder, Whole, pad
from .problem import Batch, cross_entropy

__all__ = ["KINDS", "in_fork", "peaks"]

STATM = Path("/proc/self/statm")

SNIPPETS, TOKENS, STEPS = 64, 32, 3
"""Of the mini-batch, and the steps that are taken."""

KINDS = {
    "inference": (0, "inference"),
    "forward-only": (2, "forward-only"),
    "backpropagation": (2, "backpropagation"),
    "forward-only-all": (6, "forward-only, all layers"),
    "backpropagation-all": (6, "backpropagation, all layers"),
}
"""What is measured: how many of the last layers learn, and what it is called. The whole encoder runs every time."""


def peaks() -> dict[str, int]:
    """Bytes above the loaded model at the peak of each of the `KINDS`, measured in a process of its own.

    Empty where the operating system does not say what a process takes as Linux does.
    """
    if not STATM.exists():
        return {}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", __name__],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "MALLOC_TRIM_THRESHOLD_": "0", "OMP_NUM_THREADS": "1"},
    )
    return json.loads(done.stdout.splitlines()[-1])


def _measure_all() -> dict[str, int]:
    torch.set_num_threads(1)  # a fork has no threads but the one that made it
    encoder = Encoder.pretrained()
    model = Whole(encoder.model, encoder.embed(ANCHORS)).requires_grad_(False)
    for p in model.parameters():
        p.data = p.data.clone()  # read from the file already, not when it is used
    length = torch.full((SNIPPETS, TOKENS), 2000)
    batch = Batch(*pad(list(length)), torch.arange(SNIPPETS) % 2)
    return {kind: in_fork(lambda kind=kind: _work(kind, model, batch), _warm_up) for kind in KINDS}


def _warm_up() -> None:
    """Have all the code loaded and compiled that any kind needs."""
    small = torch.nn.Sequential(torch.nn.Linear(300, 300), torch.nn.LayerNorm(300), torch.nn.Linear(300, 2))
    optimizer = dd.Optimizer(small, dd.SPSA(radius=1e-3), lr=1e-4, key=0)
    for _ in range(2):
        optimizer.step(lambda model, x: model(x).square().mean(1), torch.ones(2, 300))
    adam = torch.optim.Adam(small.parameters())
    small(torch.ones(2, 300)).sum().backward()
    adam.step()


def _work(kind: str, model: Whole, batch: Batch) -> None:
    """A few steps of one kind."""
    learning, layers = KINDS[kind][0], model.model.encoder.layer  # type: ignore[union-attr]
    for layer in layers[len(layers) - learning :]:  # type: ignore[arg-type, index]
        layer.requires_grad_(True)
    learners = [p for p in model.parameters() if p.requires_grad]
    if kind == "inference":
        with torch.no_grad():
            for _ in range(STEPS):
                cross_entropy(model, batch)
    elif kind.startswith("forward-only"):
        optimizer = dd.Optimizer(model, dd.SPSA(radius=1e-3), lr=1e-4, key=0)
        for _ in range(STEPS):
            optimizer.step(cross_entropy, batch)
    else:
        adam = torch.optim.Adam(learners, lr=1e-4)
        for _ in range(STEPS):
            adam.zero_grad()
            cross_entropy(model, batch).mean().backward()
            adam.step()


def in_fork(work: Callable[[], None], prepare: Callable[[], None]) -> int:
    """The bytes at the peak of a fork of this process that works, above where it was when it was prepared."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            prepare()
            before = _resident()
            top, done = [before], threading.Event()
            watcher = threading.Thread(target=_watch, args=(top, done))
            watcher.start()
            work()
            done.set()
            watcher.join()
            os.write(writing, str(top[0] - before).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return int(said)


def _watch(top: list[int], done: threading.Event) -> None:
    """Keep the largest resident size, looking every 2 ms."""
    while not done.wait(0.002):
        top[0] = max(top[0], _resident())


def _resident() -> int:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(json.dumps(_measure_all()))
