"""What several runs of a method come to: one row of the table, and the sentences that the numbers support."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median

from examples.digits.methods import Method
from examples.digits.train import Run

__all__ = ["GOAL", "Row", "findings", "rows"]

GOAL = 0.90
"""The accuracy whose price is told."""


@dataclass(frozen=True)
class Row:
    """One method over its seeds.

    Args:
        runs: those that recorded anything, at least one.
        memory: peak bytes above inference as a multiple of the parameters'.
    """

    method: Method
    runs: tuple[Run, ...]
    memory: float

    @property
    def accuracies(self) -> list[float]:
        """Share of test images recognised at the end of every run."""
        return [run.accuracy[-1] for run in self.runs]

    @property
    def accuracy(self) -> float:
        """Their mean."""
        return mean(self.accuracies)

    @property
    def seconds(self) -> float:
        """Seconds of training per run, mean."""
        return mean(run.seconds for run in self.runs)

    @property
    def spent(self) -> float:
        """Forward-equivalents per run, mean."""
        return mean(run.spent[-1] for run in self.runs)

    @property
    def evaluations(self) -> str:
        """Evaluations by kind per run, such as "2,000 gradients + 4,000 values"."""
        kinds = {kind: mean(run.counts.get(kind, 0) for run in self.runs) for kind in ("gradient", "jvp", "value")}
        return " + ".join(f"{n:,.0f} {kind}s" for kind, n in kinds.items() if n) or "none"

    @property
    def price(self) -> float | None:
        """Forward-equivalents to the first record of the `GOAL`: the median run's, None if it never got there."""
        found = [math.inf if (first := run.first(GOAL)) is None else first for run in self.runs]
        price = median(found)
        return price if math.isfinite(price) else None

    @property
    def scores(self) -> str:
        """The accuracies of all runs, in percent."""
        return ", ".join(f"{100 * a:.1f}" for a in self.accuracies)


def rows(runs: Sequence[Run], memory: Mapping[str, float]) -> list[Row]:
    """A row per method, in the order of its first run; runs that recorded nothing are left out."""
    methods = {run.method.slug: run.method for run in runs if run.spent[-1:] > [0]}
    return [
        Row(method, tuple(run for run in runs if run.method is method and run.spent[-1:] > [0]), memory[slug])
        for slug, method in methods.items()
    ]


def findings(table: Sequence[Row], parameters: int, tests: int) -> list[str]:
    """What the numbers of this run say, in sentences; only those that the methods that ran can support.

    Args:
        parameters: of the network.
        tests: test images.
    """
    by = {row.method.slug: row for row in table}
    said = []
    exact = by.get("autograd")
    blind = [by[slug] for slug in ("forward-gradient", "spsa", "smoothing") if slug in by]
    if exact and blind:
        best = max(blind, key=lambda row: row.accuracy)
        said.append(
            f"For the same work, the exact gradient recognises {_percent(exact.accuracy)} of the test digits; the best "
            f"of the methods that never run a backward pass, {best.method.name}, {_percent(best.accuracy)}."
        )
        said += _prices(exact, blind)
        said.append(
            f"The reason is the dimension. A random direction shows one number about a gradient of {parameters:,}; a "
            "backward pass shows all of them, at the price of two more forward passes. The estimates still work because "
            "each of their steps goes downhill on average, and because the steps are many."
        )
    if "hybrid" in by and "last-layer" in by:
        said.append(_about_hybrid(by["hybrid"], by["last-layer"]))
    lean = [row for row in blind if row.method.slug == "spsa"]
    if exact and lean:
        said.append(
            f"In memory it is the other way round: above what inference needs, a step by autograd took "
            f"{exact.memory:.0f} times the parameters, most of it activations kept for the backward pass, and one by SPSA "
            f"{lean[0].memory:.0f} times. The first number grows with the batch and the depth of a network, the second "
            "does not."
        )
    error = 100 * math.sqrt(0.95 * 0.05 / tests)
    said.append(
        f"How sure is this? {tests} test images place an accuracy of 95 % within about ±{error:.0f} point, and the seeds "
        "differ by about as much. Differences below two points are not findings."
    )
    return said


def _prices(exact: Row, blind: Sequence[Row]) -> list[str]:
    reached = [row for row in blind if row.price is not None]
    if exact.price is None or not reached:
        return []
    cheapest = min(reached, key=lambda row: row.price or 0)
    return [
        f"To recognise {GOAL:.0%} of them took {exact.price:,.0f} forward-equivalents by autograd and "
        f"{cheapest.price:,.0f} by {cheapest.method.name}: {(cheapest.price or 0) / exact.price:.0f} times as many."
    ]


def _about_hybrid(hybrid: Row, control: Row) -> str:
    gain = 100 * (hybrid.accuracy - control.accuracy)
    verdict = (
        f"so training the convolutions through estimates was worth {gain:.1f} points"
        if gain >= 0.5
        else "so here it was the last layer that did the work, and estimating the convolutions added nothing that could "
        "be told from chance"
    )
    return (
        f"Where a part of a model can be differentiated, its gradient should be used: the hybrid reaches "
        f"{_percent(hybrid.accuracy)}. Its control, which leaves the convolutions as random as they began, reaches "
        f"{_percent(control.accuracy)}, {verdict}."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
