"""The noise kernels beside `p.mul_(c)`, which is the limit of memory: sweeps p += scale * z, rounding, the first call.

Run: python benchmarks/kernels.py
"""

import os
import subprocess
import sys
import tempfile

import torch
from measure import interleaved, table

from descend.noise import Law, add, reference, round_stochastically

SIZES, THREADS = (10_000_000, 100_000_000), (1, 2)

FIRST = """
import time, torch, numba
from descend.noise import Law, add
start = time.perf_counter()
add(torch.zeros(10), 7, Law.SIGN, 1.0)
print(time.perf_counter() - start)
"""


def sweeps() -> str:
    """Throughput in that of `mul_` on the same numbers, and nanoseconds per number."""
    rows = []
    for size in SIZES:
        p = torch.randn(size)
        half = p.bfloat16()
        calls = {"float32 mul_": lambda p=p: p.mul_(1.0), "bfloat16 mul_": lambda h=half: h.mul_(1.0)}
        for law in Law:
            calls[f"float32 {law.value}"] = lambda law=law, p=p: add(p, 7, law, 1e-6)
            calls[f"bfloat16 {law.value}"] = lambda law=law, h=half: add(h, 7, law, 1e-6)
        for threads in THREADS:
            torch.set_num_threads(threads)
            seconds = interleaved(calls, rounds=15, budget=0.05)
            for name, taken in seconds.items():
                limit = seconds[name.split()[0] + " mul_"]
                rows.append([f"{name}, {size:.0e}, threads: {threads}", limit / taken, 1e9 * taken / size])
    torch.set_num_threads(1)
    return table("Noise sweeps p += scale * z", ["sweep", "throughput / mul_'s", "ns per number"], rows)


def others() -> str:
    """What else walks over the numbers: the reference in plain torch, torch's own generator, stochastic rounding."""
    torch.set_num_threads(1)
    p = torch.randn(SIZES[0])
    z, s = torch.empty_like(p), torch.randn(2**18)
    calls = {
        "mul_": lambda: p.mul_(1.0),
        "sign, plain torch": lambda: reference.add(p, 7, Law.SIGN, 1e-6, 0, 0),
        "normal, plain torch": lambda: reference.add(p, 7, Law.NORMAL, 1e-6, 0, 0),
        "add_(randn_like)": lambda: p.add_(torch.randn_like(z), alpha=1e-6),
        "rounding to bfloat16, by chance": lambda: round_stochastically(s, torch.bfloat16, 7),
        "rounding to bfloat16, to nearest": lambda: s.bfloat16(),
    }
    seconds = interleaved(calls, rounds=9, budget=0.05)
    sizes = {name: s.numel() if "rounding" in name else p.numel() for name in calls}
    rows = [[name, 1e9 * seconds[name] / sizes[name]] for name in calls]
    return table("Other passes, one thread", ["pass", "ns per number"], rows)


def first_calls() -> str:
    """Seconds of the first compiled call in a process that has imported numba, compiled and read from the cache."""
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "NUMBA_CACHE_DIR": directory}
        rows = []
        for name in ("compiled", "cached"):
            done = subprocess.run([sys.executable, "-c", FIRST], env=environment, capture_output=True, text=True)
            rows.append([f"first call, {name}", float(done.stdout)])
    return table("The first sweep of a process", ["what", "seconds"], rows)


def main() -> str:
    return "\n".join((sweeps(), others(), first_calls()))


if __name__ == "__main__":
    main()
