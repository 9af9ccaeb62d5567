"""What the benchmarks share: interleaved timing, peak memory of a process, and tables of ratios."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median


def interleaved(calls: Mapping[str, Callable[[], object]], rounds: int = 31, budget: float = 0.02) -> dict[str, float]:
    """Median seconds of each call, measured in turns within one run, so that a slow moment hits all alike.

    Args:
        calls: name -> what is timed.
        rounds: how many turns.
        budget: about the seconds that one turn of one call takes; short calls are repeated within it.
    """
    repeats = {}
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        repeats[name] = max(1, min(2000, int(budget / max(time.perf_counter() - start, 1e-7))))
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            taken[name].append((time.perf_counter() - start) / repeats[name])
    return {name: median(times) for name, times in taken.items()}


class PeakMemory:
    """Samples this process's resident size every 2 ms while it is open: `extra`, bytes above where it began."""

    def __enter__(self) -> "PeakMemory":
        self.start = self.peak = _resident()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.002):
            self.peak = max(self.peak, _resident())

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        self._thread.join()
        self.extra, self.held = self.peak - self.start, _resident() - self.start


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def in_process(script: str, *arguments: str) -> str:
    """The last line that a benchmark prints when it is run in a process of its own."""
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table under a title, printed and returned."""
    lines = [f"### {title}", "", "| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    text = "\n".join(lines) + "\n"
    print(text)
    return text


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)
