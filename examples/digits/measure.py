"""What a step needs beside inference: peak memory, as torch's own allocator reports it, and the time of each question.

Both are short runs of their own, apart from the training runs, whose seconds they would disturb.
"""

import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.profiler import ProfilerActivity, profile

import descend as dd

from .methods import Method
from .task import BATCH, Digits, Network

__all__ = ["extra_memory", "peak_bytes", "time_ratios"]

_STEPS = 3
"""Optimizer steps that are measured: the first makes the optimizer's memory, the others run with it."""


def extra_memory(method: Method, data: Digits, key: dd.Key) -> float:
    """Peak bytes of an optimizer and its first steps above those of inference, as a multiple of the parameters' bytes.

    Counted is every block that torch's allocator hands out after the network and the mini-batch are there:
    activations kept for the backward pass, gradients, directions, copies of the parameters, and what Adam remembers.
    Inference is the forward pass and loss of the same mini-batch without a graph. Python's own objects are not counted.
    """
    network = Network(key)
    images, labels = data.train_images[:BATCH].clone(), data.train_labels[:BATCH].clone()

    def infer() -> None:
        with torch.no_grad():
            F.cross_entropy(network(images), labels)

    def learn() -> None:
        optimizer = method.make(network, key)
        for _ in range(_STEPS):
            optimizer.step(lambda: F.cross_entropy(network(images), labels))

    size = sum(p.numel() * p.element_size() for p in network.parameters())
    return (peak_bytes(learn) - peak_bytes(infer)) / size


def peak_bytes(work: Callable[[], None]) -> int:
    """The most bytes that were allocated at one time while `work` ran and had not been before."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler announces itself on the standard error otherwise
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    events: Any = recorded.profiler.kineto_results.events()  # type: ignore[union-attr]  # it ran
    now = most = 0
    for _, change in sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"):
        now += change
        most = max(most, now)
    return most


def time_ratios(data: Digits, key: dd.Key, repeats: int = 60) -> dict[str, float]:
    """Seconds of a gradient and of a jvp as multiples of those of a forward pass, here and now; medians."""
    network = Network(key)
    images, labels = data.train_images[:BATCH], data.train_labels[:BATCH]
    tangents = {name: torch.ones_like(p) for name, p in network.named_parameters()}

    def value() -> None:
        with torch.no_grad():
            F.cross_entropy(network(images), labels)

    def gradient() -> None:
        network.zero_grad()
        F.cross_entropy(network(images), labels).backward()

    def jvp() -> None:
        with torch.no_grad(), forward_ad.dual_level():
            dual: dict[str, Tensor] = {
                name: forward_ad.make_dual(p.detach(), tangents[name]) for name, p in network.named_parameters()
            }
            F.cross_entropy(functional_call(network, dual, (images,)), labels)

    questions = {"value": value, "gradient": gradient, "jvp": jvp}
    taken: dict[str, list[float]] = {name: [] for name in questions}
    for i in range(repeats + 5):
        for name, ask in questions.items():
            start = time.perf_counter()
            ask()
            if i >= 5:  # the first ones are slower
                taken[name].append(time.perf_counter() - start)
    return {name: median(seconds) / median(taken["value"]) for name, seconds in taken.items()}
