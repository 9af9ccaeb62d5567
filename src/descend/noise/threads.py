"""Threads of our own for kernels that hold no interpreter lock: as many as torch may use, kept from call to call."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import torch

__all__ = ["share"]


def share(work: Callable[[int, int], None], count: int) -> None:
    """work(a, b) for the parts [a, b) of [0, count), one part to each thread torch may use; the caller takes one."""
    threads = min(torch.get_num_threads(), count)
    cuts = [count * i // threads for i in range(threads + 1)]
    parts = [_pool().submit(work, a, b) for a, b in pairwise(cuts[1:])]
    work(cuts[0], cuts[1])
    for part in parts:
        part.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="descend-noise")


if sys.platform != "win32":  # a forked child inherits the pool without its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
