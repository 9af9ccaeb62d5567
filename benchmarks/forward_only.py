"""Forward-only training beside plain inference, the official recipe, torchzero and EvoX: one table per part.

Run: python benchmarks/forward_only.py [part ...]      (BENCH_CLOCK=cpu counts CPU time, on a machine that others use)
"""

import json
import sys
import time
from importlib import import_module

PARTS = ("memory", "speed", "population", "noise", "exactness", "learning", "precision", "trajectory")
ALIASES = {"time": "speed"}


def part(name: str) -> str:
    """The tables of a part."""
    return import_module(f"forward.{name}").main()


def main(names: tuple[str, ...] = PARTS) -> str:
    texts = []
    for name in names:
        start = time.perf_counter()
        texts.append(part(name))
        print(f"({name} took {time.perf_counter() - start:.0f} s)\n", flush=True)
    return "\n".join(texts)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--alone"]:
        print(json.dumps(import_module(f"forward.{sys.argv[2]}").measure(*json.loads(sys.argv[3]))))
    else:
        chosen = tuple(ALIASES.get(name, name) for name in sys.argv[1:]) or PARTS
        if unknown := set(chosen) - set(PARTS):
            sys.exit(f"no part is called {', '.join(sorted(unknown))}; the parts are {', '.join(PARTS)}")
        main(chosen)
