"""Every benchmark in turn; the tables go to benchmarks/RESULTS.md with the commit, the cores and the command.

Run: python benchmarks/run.py [name ...]
"""

import os
import platform
import subprocess
import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
NAMES = [
    *("overhead", "finite_difference", "smoothing", "memory", "noise", "rosenbrock", "forward_only"),
    *("search_overhead", "population_speed", "pareto", "combinatorial"),
]


def heading() -> str:
    import torch

    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE
    ).stdout.strip()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return (
        "# Results\n\n"
        "Ratios measured side by side in one run, medians over interleaved rounds; "
        "what they compare stands over each table.\n\n"
        f"Commit {commit}, {os.cpu_count()} cores, one thread, {platform.machine()}, {versions}. "
        "Command: `make bench`, or `python benchmarks/NAME.py` for one table.\n"
    )


def kept(text: str) -> str:
    """The sections that this command does not make: they take hours, and name their own commit and command."""
    parts = text.split("\n## ")[1:]
    return "".join(f"\n## {part}" for part in parts if part.split("\n")[0] not in NAMES)


def main(names: list[str]) -> None:
    file = HERE / "RESULTS.md"
    sections = {}
    for name in names:
        print(f"\n== {name}", flush=True)
        sections[name] = import_module(name).main()
    if names == NAMES:
        written = "".join(f"\n## {name}\n\n{text}" for name, text in sections.items())
        file.write_text(heading() + written + kept(file.read_text()))
        print(f"written to {file}")


if __name__ == "__main__":
    main(sys.argv[1:] or NAMES)
