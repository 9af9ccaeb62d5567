"""What the parts share: targets, a clock, timing in turns, peak memory, and measurements in a process of their own."""

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Target:
    """What a number has to be: `least` <= number <= `most`, as a cell of a table and as a verdict."""

    least: float | None = None
    most: float | None = None
    unit: str = ""

    def cells(self, value: float) -> list[str]:
        """The target in words, and whether the number meets it."""
        bounds = [
            f"{sign} {bound:g}{self.unit}" for sign, bound in (("≥", self.least), ("≤", self.most)) if bound is not None
        ]
        good = (self.least is None or value >= self.least) and (self.most is None or value <= self.most)
        return [" and ".join(bounds), ("yes" if good else "**no**") if bounds else ""]


NO_TARGET = Target()


def clock() -> float:
    """Seconds; of this process's work where the environment variable BENCH_CLOCK is "cpu", for a busy machine."""
    return CLOCKS[os.environ.get("BENCH_CLOCK", "wall")]()


def in_turns(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every call in every round, after one that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = clock()
            call()
            taken[name].append(clock() - start)
    return taken


def ratio(taken: Mapping[str, list[float]], above: str, below: str) -> float:
    """The median over rounds of one call's seconds in another's, which a slow moment does not move."""
    return median(a / b for a, b in zip(taken[above], taken[below], strict=True))


def peak(work: Callable[[], object]) -> int:
    """The most bytes that were resident while something ran, which began with what was free given back."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
    work()
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def alone(part: str, *arguments: object, **environment: str) -> dict[str, float]:
    """What ``measure(*arguments)`` of a part answers in a process of its own."""
    call = [sys.executable, str(HERE.parent / "forward_only.py"), "--alone", part, json.dumps(arguments)]
    done = subprocess.run(call, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        raise RuntimeError(f"{part} {arguments} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
