"""The report: one HTML file that needs nothing else, readable on a phone."""

import base64
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from pathlib import Path

import torch

import descend as dd
from examples.digits.pictures import CAPTIONS
from examples.digits.summary import GOAL, Row, findings
from examples.digits.task import BATCH

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
<p class=lead>A small network learns to read handwritten digits: with its gradient, with estimates of it, and with a mixture
of both. Every method gets the same amount of work.</p>
{cut}
{_tiles(table)}
<h2>What came out</h2>
{told}
<h2>The table</h2>
{_table(table)}
<p class=small>Means over {facts.seeds} {"seed" if facts.seeds == 1 else "seeds"}. <b>Forwards to {GOAL:.0%}</b>: forward-equivalents spent
when {GOAL:.0%} of the test digits were first recognised, median. <b>Seconds</b>: of training one run, on one thread.
<b>Extra memory</b>: peak above inference, as a multiple of the parameters' memory.</p>
<h2>Pictures</h2>
{figures}
{_ADVICE}
<h2>What was compared</h2>
{_setting(facts)}
<h3>Methods and their settings</h3>
{_methods(table)}
<p>The learning rate of each falls to 0 along a cosine. The settings were chosen for each method by itself, by the accuracy on
300 training images held back for it, at the default budget; the test images had no part in it.</p>
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
    ordered = sorted(table, key=lambda row: -row.accuracy)
    tiles = "".join(
        f"<div><b>{100 * row.accuracy:.1f}<small> %</small></b><span>{escape(row.method.name)}</span></div>"
        for row in ordered
    )
    return f"<section class=tiles aria-label='Test accuracy of every method'>{tiles}</section>"


def _table(table: Sequence[Row]) -> str:
    heads = (
        "Method",
        "Test accuracy",
        "of each seed, %",
        f"Forwards to {GOAL:.0%}",
        "Evaluations per run",
        "Forward-equivalents",
        "Seconds",
        "Extra memory",
    )
    lines = []
    for row in table:
        cells = (
            f"<b>{row.accuracy:.1%}</b>",
            row.scores,
            "never" if row.price is None else f"{row.price:,.0f}",
            row.evaluations.replace(" + ", "<br>"),
            f"{row.spent:,.0f}",
            f"{row.seconds:.1f}",
            f"{row.memory:.1f} ×",
        )
        lines.append(f"<tr><th>{escape(row.method.name)}</th>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in heads)
    return f"<div class=wide tabindex=0><table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"


def _figure(name: str, file: Path) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    caption = escape(CAPTIONS[name])
    return (
        f'<figure><div class=wide tabindex=0><img class={name} src="data:image/png;base64,{data}" alt="{caption}"></div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _setting(facts: Facts) -> str:
    train, test = facts.images
    return f"""<p>The data are the {train + test:,} handwritten digits of 8 × 8 pixels that come with scikit-learn: {train:,} to learn
from, {test} to test on, always the same ones, standardised. The network has two convolutions and a linear layer,
{facts.parameters:,} parameters. Every method sees mini-batches of {BATCH} images, the same ones in the same order, and starts from
the same random network.</p>
<p>The budget of each run is {facts.budget:,} <b>forward-equivalents</b>. A forward pass of one mini-batch is 1. A backward pass is
2, because it makes two matrix products in each layer where the forward pass makes one; so a gradient is 3. A forward
pass in dual numbers (a jvp) is 2, because it carries every activation and its derivative; that is the customary count, and
kind to it, since the derivative of a product is two products. On this machine, with this small network, a gradient
took {facts.ratios["gradient"]:.1f} times as long as a forward pass, and a jvp {facts.ratios["jvp"]:.1f} times. In the hybrid, the gradient of the
last layer is counted as a whole one. What the learning curves needed, the loss over all training images and
the accuracy on the test images, is neither counted nor timed.</p>
<p>Memory was measured in separate short runs: the most bytes that torch's allocator had handed out at one time during
an optimizer's first three steps, less the same for a forward pass without a graph, with the network and the
mini-batch there already. That counts activations kept for the backward pass, gradients, directions, copies of the
parameters, and what Adam remembers (twice the parameters).</p>"""


def _methods(table: Sequence[Row]) -> str:
    return "".join(
        f"<details open><summary>{escape(row.method.name)}</summary><p>{escape(row.method.what)}</p>"
        f"<pre>{escape(row.method.settings)}</pre></details>"
        for row in table
    )


def _repeat(facts: Facts) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "scikit-learn", "matplotlib"))
    return f"""<pre>{escape(facts.command)}</pre>
<p>The same key gives the same accuracies: everything random, from the first weights to the directions, comes from
<code>Key({facts.key})</code>. This run took {facts.seconds:.0f} seconds in all, with {torch.get_num_threads()} thread on a machine with
{os.cpu_count()} cores ({escape(platform.machine())}, {escape(platform.system())}); descend {dd.__version__}, Python {platform.python_version()}, {packages}.</p>"""


_ADVICE = """<h2>When is a gradient worth using?</h2>
<ul>
<li><b>You can differentiate the loss, and the graph fits into memory:</b> use autograd. Nothing here comes near it.</li>
<li><b>A part of it cannot be differentiated</b> (a simulator, a quantised layer, a lookup in the middle): give that part an
estimator, and leave the rest to autograd. It costs a few evaluations a step.</li>
<li><b>There is only a number</b> (a metric, an experiment, a program of somebody else's): SPSA or smoothing. The work grows with the
number of parameters, so the fewer of them, the better. The evaluations of one step of smoothing do not depend on
each other and can run side by side; those of SPSA come two at a time.</li>
<li><b>The graph does not fit into memory:</b> SPSA without Adam needs hardly more than inference. A forward gradient needs no graph
either, has no radius to choose and no error of differences, but every operation has to know forward mode.</li>
</ul>"""

_STYLE = """
:root { color-scheme: light; --ink: #24292f; --faint: #57606a; --line: #d8dee4; --tint: #f3f6f9; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink); font: 17px/1.6 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 50rem; margin: 0 auto; padding: 2rem 1.1rem 4rem; overflow-wrap: break-word; }
h1 { font-size: clamp(1.8rem, 6vw, 2.7rem); line-height: 1.15; margin: 0.5rem 0; letter-spacing: -0.02em; }
h2 { margin: 2.6rem 0 0.6rem; font-size: 1.45rem; line-height: 1.25; }
h3 { margin: 1.8rem 0 0.4rem; font-size: 1.1rem; }
.lead { font-size: 1.15rem; color: var(--faint); margin-top: 0; }
.note { background: #fff4d6; border-left: 4px solid #e69f00; padding: 0.6rem 0.9rem; }
.small, figcaption { font-size: 0.88rem; color: var(--faint); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.4rem, 1fr)); gap: 0.6rem; margin: 1.4rem 0; }
.tiles div { background: var(--tint); border-radius: 10px; padding: 0.7rem 0.8rem; }
.tiles b { display: block; font-size: 1.6rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tiles b small { font-size: 0.9rem; font-weight: normal; }
.tiles span { font-size: 0.82rem; line-height: 1.3; color: var(--faint); display: block; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.88rem; line-height: 1.35; font-variant-numeric: tabular-nums; }
th, td { padding: 0.45rem 0.6rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }
td { white-space: nowrap; }
thead th { color: var(--faint); font-weight: 600; vertical-align: bottom; border-bottom: 2px solid var(--line); }
th:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
figure { margin: 1.6rem 0 2.2rem; }
img { display: block; width: 100%; height: auto; }
img.digits, img.filters, img.bars { min-width: 34rem; }
pre { background: var(--tint); border-radius: 8px; padding: 0.7rem 0.9rem; font-size: 0.82rem; line-height: 1.5;
  white-space: pre-wrap; overflow-wrap: anywhere; }
details { margin: 0.7rem 0; } summary { font-weight: 600; cursor: pointer; } details p { margin: 0.3rem 0; }
li { margin: 0.5rem 0; }
ul { padding-left: 1.2rem; }
"""
