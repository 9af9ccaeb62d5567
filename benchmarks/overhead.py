"""What a step costs beside the evaluations it makes: SPSA in bare forwards, Adam beside torch's own, import time.

Run: python benchmarks/overhead.py
"""

import copy
import subprocess
import sys
from itertools import pairwise
from statistics import median

import torch
import torchzero as tz
from measure import interleaved, table
from torch import nn

import descend as dd


def rosenbrock():
    x = nn.Parameter(torch.tensor([-1.1, 2.5]))
    return [x], lambda backward=False: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def mlp():
    """About 116,000 parameters in 8 tensors."""
    torch.manual_seed(0)
    widths = [784, 128, 96, 26, 17]
    layers = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    inputs, labels = torch.randn(64, 784), torch.randint(0, widths[-1], (64,))
    return list(model.parameters()), lambda backward=False: nn.functional.cross_entropy(model(inputs), labels)


def spsa_row(name, make):
    ours_p, ours_f = make()
    theirs_p, theirs_f = make()
    ours = dd.Optimizer(ours_p, dd.SPSA(1e-3), lr=1e-7, key=0)
    theirs = tz.Optimizer(theirs_p, tz.m.SPSA(h=1e-3, seed=0), tz.m.LR(1e-7))
    with torch.no_grad():
        seconds = interleaved(
            {"forward": ours_f, "descend": lambda: ours.step(ours_f), "torchzero": lambda: theirs.step(theirs_f)}
        )
    forward, count = seconds["forward"], sum(p.numel() for p in ours_p)
    mine, peer = seconds["descend"], seconds["torchzero"]
    return [f"SPSA step, {name} ({count}), forward {1e6 * forward:.0f} us", mine / forward, peer / forward, peer / mine]


def spsa_rows():
    return [spsa_row(name, make) for name, make in (("2 parameters", rosenbrock), ("MLP", mlp))]


def adam_rows():
    params, loss = mlp()
    loss().backward()
    others = [copy.deepcopy(params) for _ in range(2)]
    for other in others:
        for p, q in zip(params, other, strict=True):
            q.grad = p.grad.clone()
    ours = dd.Optimizer(params, dd.Adam(), lr=1e-4)
    torchs = torch.optim.Adam(others[0], lr=1e-4, foreach=True)
    theirs = tz.Optimizer(others[1], tz.m.Adam(), tz.m.LR(1e-4))
    seconds = interleaved({"descend": ours.step, "torch": torchs.step, "torchzero": theirs.step})
    return [["Adam step, MLP", seconds["descend"] / seconds["torch"], seconds["torchzero"] / seconds["torch"],
             seconds["torchzero"] / seconds["descend"]]]  # fmt: skip


def import_rows(rounds: int = 9):
    """Seconds that an import adds to torch's, each in a new process."""
    script = "import time, torch; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
    taken = {"descend": [], "torchzero": [], "descend, every name": []}
    lines = {
        "descend": script.format("descend"),
        "torchzero": script.format("torchzero"),
        "descend, every name": script.format("descend; [getattr(descend, n) for n in descend._ROOM_OF]"),
    }
    for _ in range(rounds):
        for name, line in lines.items():
            done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
            taken[name].append(float(done.stdout))
    ours, theirs, full = (median(taken[name]) for name in ("descend", "torchzero", "descend, every name"))
    return [
        ["import, seconds beside torch", ours, theirs, theirs / ours],
        ["import, and every name used", full, theirs, theirs / full],
    ]


def main() -> str:
    torch.set_num_threads(1)
    heads = ["what", "descend", "torchzero", "torchzero / descend"]
    text = table("A step in bare no-grad forwards", heads, spsa_rows())
    text += "\n" + table("Adam, in units of torch.optim.Adam(foreach=True)", heads, adam_rows())
    return text + "\n" + table("Import", heads, import_rows())


if __name__ == "__main__":
    main()
