"""The record of a run, one JSON object a line, written as the run goes: what is on disk survives whatever ends it."""

import json
from pathlib import Path
from typing import Any

__all__ = ["Journal"]


class Journal:
    """A file of JSON lines. The first says what the run is, the others what became of it.

    Args:
        file: is made with the first line.
        settings: what the run is.
        resume: keep the lines that are there if their first one says the same; they are begun anew otherwise.
    """

    def __init__(self, file: Path, settings: dict[str, Any], resume: bool) -> None:
        self.file = file
        found = _lines(file) if resume and file.exists() else []
        self.kept = bool(found) and found[0] == settings
        self.lines = found[1:] if self.kept else []
        with file.open("w", encoding="utf-8") as out:  # a line that was cut short goes
            out.writelines(json.dumps(line) + "\n" for line in [settings, *self.lines])

    def append(self, line: dict[str, Any]) -> None:
        """Write a line down."""
        self.lines.append(line)
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")


def _lines(file: Path) -> list[dict[str, Any]]:
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:  # the process was killed while it wrote
            break
    return found
