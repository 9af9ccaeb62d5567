"""What the program says: sentences, what a run has found, and what is in a file of studies."""

import json
import math
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # with it comes torch, which nobody needs who only looks
    from descend.run.recorded import Recorded
    from descend.study.glance import Glance

__all__ = ["INTERRUPTED", "say", "study_lines", "study_rows", "summary"]

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it."""


def summary(search: "Recorded", reason: str, maximize: bool, seconds: float) -> None:
    """The result on the standard output, one fact a line; the parameters as JSON."""
    told = search.search
    point, loss = told.best
    if not math.isnan(loss):
        print(f"best         {-loss if maximize else loss!r}")
        print(f"parameters   {json.dumps(point, default=str)}")
    failed = f", {told.failures} failed, the last one: {told.last_failure}" if told.failures else ""
    replayed = f", {search.replayed} of them earlier" if search.replayed else ""
    print(f"evaluations  {search.answered}{replayed}{failed}")
    print(f"seconds      {seconds:.3g}")
    print(f"stopped      {reason}", flush=True)


def say(sentence: str) -> None:
    """A sentence on the standard error."""
    print(f"descend: {sentence}", file=sys.stderr, flush=True)


def study_lines(study: "Glance") -> None:
    """What is in a study, on the standard output, one fact a line; the parameters as JSON."""
    seen, bests = study.digest, study.best
    print(f"study        {_clean(study.name)}")
    print(f"directions   {', '.join(study.directions)}")
    if study.method:
        print(f"method       {_clean(study.method)}")
    states = ", ".join(f"{count} {state}" for state, count in seen.counts.items())
    print(f"trials       {sum(seen.counts.values())}{': ' if states else ''}{states}")
    if seen.first is not None and seen.last is not None:
        print(f"time         {_date(seen.first)} to {_date(seen.last)}, {seen.last - seen.first:.3g} seconds")
    for objective, best in enumerate(bests):
        if best is not None:
            of = "" if len(study.directions) == 1 else f" of value {objective}"
            print(f"best         {best.value!r}{of}, trial {best.number}")
            print(f"parameters   {_clean(json.dumps(study.params(best.number), default=str))}")
    if seen.failed is not None:
        why = ((study.error(seen.failed) or "").strip() or "no reason was given").splitlines()[-1]
        print(f"last failure trial {seen.failed}: {_clean(why)[:300]}")
    for worker in study.workers():
        running = f", trial {', '.join(map(str, worker.running))}" if worker.running else ""
        print(f"worker       {_clean(worker.owner)}, heard of {max(time.time() - worker.seen, 0):.0f} s ago{running}")


def study_rows(studies: Sequence["Glance"]) -> None:
    """A line for each study, on the standard output."""
    rows = [("study", "trials", "done", "best", "last change")]
    for study in studies:
        counts, ended = study.digest.counts, study.digest.ended
        best = ["-" if best is None else f"{best.value:.6g}" for best in study.best]
        last = "-" if ended is None else _date(ended)
        trials, done = sum(counts.values()), counts.get("done", 0)
        rows.append((_clean(study.name), str(trials), str(done), ", ".join(best), last))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _date(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _clean(text: str) -> str:
    """A text of a study in one line, in which nothing commands the terminal."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
