"""The report: one HTML file that needs nothing else, readable on a phone."""

import base64
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from pathlib import Path

import descend as dd

from .pictures import CAPTIONS
from .summary import GOAL, Row, findings
from .task import BATCH

__all__ = ["Facts", "write"]


@dataclass(frozen=True)
class Facts:
    """What a run was, for the report.

    Args:
        budget: forward-equivalents of each run.
        seeds: runs of each method.
        key: of everything random.
        parameters: of the network.
        images: training and test images.
        ratios: seconds of a gradient and a jvp as multiples of a forward pass, measured.
        command: that repeats the run.
        seconds: that everything took.
        interrupted: whether it was cut short.
    """

    budget: int
    seeds: int
    key: int
    parameters: int
    images: tuple[int, int]
    ratios: Mapping[str, float]
    command: str
    seconds: float
    interrupted: bool


def write(file: Path, table: Sequence[Row], pictures: Mapping[str, Path], facts: Facts) -> None:
    """Write the report."""
    told = "".join(f"<p>{escape(text)}</p>" for text in findings(table, facts.parameters, facts.images[1]))
    figures = "".join(_figure(name, pictures[name]) for name in CAPTIONS)
    cut = "<p class=note>This run was interrupted; the report shows what was there.</p>" if facts.interrupted else ""
    file.write_text(
        f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Is a gradient worth using?</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Is a gradient worth using?</h1>
<p class=lead>A small network learns to read handwritten digits: with its gradient, with estimates of it, and with a
mixture of both. Every method gets the same amount of work.</p>
{cut}
{_tiles(table)}
<p class=small>Test images recognised, in percent.</p>
<h2>What came out</h2>
{told}
<h2>The table</h2>
{_table(table, facts.seeds)}
<h2>Pictures</h2>
{figures}
{_ADVICE}
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
    """The accuracies in large type, best first."""
    tiles = "".join(
        f"<div><b>{100 * row.accuracy:.1f}</b><span>{escape(row.method.title)}</span></div>"
        for row in sorted(table, key=lambda row: -row.accuracy)
    )
    return f"<section class=tiles>{tiles}</section>"


def _table(table: Sequence[Row], seeds: int) -> str:
    heads = (
        "Method",
        "Test accuracy",
        f"Forwards to {GOAL:.0%}",
        "Evaluations per run",
        "Forward-equivalents",
        "Seconds",
        "Extra memory",
    )
    lines = []
    for row in table:
        cells = (
            f"<b>{row.accuracy:.1%}</b><br><small>{row.scores}</small>",
            "never" if row.price is None else f"{row.price:,.0f}",
            row.evaluations.replace(" + ", "<br>"),
            f"{row.spent:,.0f}",
            f"{row.seconds:.1f}",
            f"{row.memory:.1f} ×",
        )
        lines.append(f"<tr><th>{escape(row.method.title)}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = "".join(f"<th>{name}</th>" for name in heads)
    return f"""<div class=wide tabindex=0><table>
<thead><tr>{head}</tr></thead>
<tbody>{"".join(lines)}</tbody>
</table></div>
<p class=small>Means over {seeds} {"seed" if seeds == 1 else "seeds"}, whose accuracies stand below the means.
<b>Forwards to {GOAL:.0%}</b>:
forward-equivalents spent when {GOAL:.0%} of the test digits were first recognised, median. <b>Seconds</b>: of training
one run, on one thread. <b>Extra memory</b>: the peak above inference, as a multiple of the parameters' memory.</p>"""


def _figure(name: str, file: Path) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    caption = escape(CAPTIONS[name])
    return (
        f"<figure><div class=wide tabindex=0>"
        f'<img class={name} alt="{caption}" src="data:image/png;base64,{data}"></div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _task(facts: Facts) -> str:
    train, test = facts.images
    return f"""<p>The data are the {train + test:,} handwritten digits of 8 × 8 pixels that come with scikit-learn:
{train:,} to learn from and {test} to test on, always the same ones, standardised. The network has two convolutions and
a linear layer, {facts.parameters:,} parameters. Every method starts from the same random network and sees mini-batches
of {BATCH} images, the same ones in the same order. The learning rates fall to 0 along a cosine.</p>
<p>The settings were chosen for each method by itself, by the accuracy on 300 training images held back for it, at the
default budget. The test images had no part in it.</p>"""


def _methods(table: Sequence[Row]) -> str:
    return "".join(
        f"<h4>{escape(row.method.title)}</h4><p>{escape(row.method.what)}</p><pre>{escape(row.method.settings)}</pre>"
        for row in table
    )


def _counting(facts: Facts) -> str:
    return f"""<p><b>Work.</b> The budget of each run is {facts.budget:,} forward-equivalents. A forward pass of one
mini-batch is 1. A backward pass is 2, because it makes two matrix products in each layer where the forward pass makes
one; so a gradient is 3. A forward pass in dual numbers (a jvp) is 2, because it carries every activation together with
its derivative. That is the customary count and kind to it: the derivative of a product is two products, which would
make it 3. With this small network, here and now, a gradient took {facts.ratios["gradient"]:.1f} times as long as a
forward pass and a jvp {facts.ratios["jvp"]:.1f} times, since for so little work it is the number of operations that
counts. The gradient of the last layer alone is counted as a whole one.</p>
<p>What the learning curves needed, the loss over all training images and the accuracy on the test images, is neither
counted nor timed, and nothing of it was used for training.</p>
<p><b>Memory</b> was measured in short runs of its own: the most bytes that torch's allocator had handed out at one time
during an optimizer's first three steps, less the same for a forward pass without a graph, with the network and the
mini-batch there already. So it counts activations kept for the backward pass, gradients, directions, copies of the
parameters, and what Adam remembers, which is twice the parameters.</p>"""


def _repeat(facts: Facts) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "scikit-learn", "matplotlib"))
    return f"""<pre>{escape(facts.command)}</pre>
<p>The same key gives the same accuracies: everything random, from the first weights to the directions, comes from
<code>Key({facts.key})</code>. This run took {facts.seconds:.0f} seconds in all, on one thread of a machine with
{os.cpu_count()} cores ({escape(platform.machine())}, {escape(platform.system())}). It used descend {dd.__version__},
Python {platform.python_version()}, {packages}.</p>"""


_ADVICE = """<h2>When is a gradient worth using?</h2>
<ul>
<li><b>The loss can be differentiated, and the graph fits into memory:</b> use autograd. Nothing here comes near.</li>
<li><b>A part of the loss cannot be differentiated</b> (a simulator, a quantised layer, a lookup in the middle): give
that part an estimator and leave the rest to autograd. It costs a few evaluations a step.</li>
<li><b>There is only a number</b> (a metric, an experiment, somebody else's program): SPSA or smoothing. The work grows
with the number of parameters, so have as few as you can. The evaluations of one step do not depend on each other and
can run side by side: two of SPSA, as many as you like of smoothing.</li>
<li><b>The graph does not fit into memory:</b> SPSA keeps none, and without Adam it needs hardly more than inference. A
forward gradient keeps none either and has no radius to choose, but every operation has to know forward mode.</li>
</ul>"""

_STYLE = """
:root { color-scheme: light; --ink: #24292f; --faint: #57606a; --line: #d8dee4; --tint: #f3f6f9; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 17px/1.6 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 50rem; margin: 0 auto; padding: 2rem 1.1rem 4rem; overflow-wrap: break-word; }
h1 { font-size: clamp(1.8rem, 6vw, 2.7rem); line-height: 1.15; margin: 0.5rem 0; letter-spacing: -0.02em; }
h2 { margin: 2.6rem 0 0.6rem; font-size: 1.45rem; line-height: 1.25; }
h3 { margin: 1.8rem 0 0.4rem; font-size: 1.1rem; }
.lead { font-size: 1.15rem; color: var(--faint); margin-top: 0; }
.note { background: #fff4d6; border-left: 4px solid #e69f00; padding: 0.6rem 0.9rem; }
.small, figcaption { font-size: 0.88rem; color: var(--faint); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.4rem, 1fr)); gap: 0.6rem;
  margin: 1.4rem 0 0.4rem; }
.tiles div { background: var(--tint); border-radius: 10px; padding: 0.7rem 0.8rem; }
.tiles b { display: block; font-size: 1.6rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tiles span { font-size: 0.82rem; line-height: 1.3; color: var(--faint); display: block; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.88rem; line-height: 1.35; font-variant-numeric: tabular-nums; }
th, td { padding: 0.45rem 0.6rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }
td { white-space: nowrap; }
thead th { color: var(--faint); font-weight: 600; vertical-align: bottom; border-bottom: 2px solid var(--line); }
th:first-child { text-align: left; min-width: 6.2rem; position: sticky; left: 0; background: #fff; }
figure { margin: 1.6rem 0 2.2rem; }
img { display: block; width: 100%; height: auto; }
img.digits, img.filters { min-width: 34rem; }
pre { background: var(--tint); border-radius: 8px; padding: 0.7rem 0.9rem; font-size: 0.82rem; line-height: 1.5;
  white-space: pre-wrap; overflow-wrap: anywhere; }
h4 { margin: 1.2rem 0 0; font-size: 1rem; } h4 + p { margin: 0.1rem 0 0.4rem; }
li { margin: 0.5rem 0; }
ul { padding-left: 1.2rem; }
"""
