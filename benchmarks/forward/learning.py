"""Digits from scratch by a population of rank-one members: test accuracy beside backpropagation's, and EvoX's."""

from statistics import median

import torch
from measure import table

from forward.digits import LR, SIGMA, STEPS, Digits, backpropagated, digits, forward_only, network
from forward.peers import EvoX
from forward.tools import NO_TARGET, Target, clock

KEYS = (0, 1, 2)
MEMBERS = {2048: Target(least=95.7, unit=" %"), 512: NO_TARGET, 64: Target(least=90.0, unit=" %")}


def _evox(data: Digits, members: int, seed: int, shaped: bool) -> float:
    model = network(seed)
    torch.manual_seed(seed)
    evox = EvoX(model, data.train, data.train_labels, members, sigma=SIGMA, lr=LR, shaped=shaped)
    for _ in range(STEPS):
        evox.step()
    return data.accuracy(evox.trained())


def main() -> str:
    torch.set_num_threads(2)
    data = digits()
    runs = [
        (f"descend, {n} members of rank one", lambda seed, n=n: forward_only(data, n, seed), KEYS, target)
        for n, target in MEMBERS.items()
    ]
    runs += [
        ("EvoX VirtualLoRAES, 64 members", lambda seed: _evox(data, 64, seed, False), KEYS, NO_TARGET),
        ("the same, losses z-scored for it", lambda seed: _evox(data, 64, seed, True), KEYS, NO_TARGET),
        ("backpropagation, Adam", lambda seed: backpropagated(data, seed), KEYS, NO_TARGET),
    ]
    rows = []
    for name, run, keys, target in runs:
        start = clock()
        found = [run(seed) for seed in keys]
        seconds = (clock() - start) / len(keys)
        every = ", ".join(f"{f:.1f}" for f in found)
        rows.append([name, f"{median(found):.1f} %", every, f"{seconds:.1f} s", *target.cells(median(found))])
    heads = ["what", "test accuracy, median", "of each key", "a run", "target", "met"]
    return table(f"Digits, MLP 64-64-10 from scratch, {STEPS} steps of 128 examples", heads, rows)
