"""What several runs of a method come to: one row of the table, and the sentences that the numbers support."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median

from .methods import Method
from .train import Run

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
    def loss(self) -> float:
        """Loss over the training images at the end, mean."""
        return mean(run.loss[-1] for run in self.runs)

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
        table: the rows.
        parameters: of the network.
        tests: test images.
    """
    by = {row.method.slug: row for row in table}
    exact = by.get("autograd")
    blind = [by[slug] for slug in ("forward-gradient", "spsa", "smoothing") if slug in by]
    said = []
    if exact and blind:
        said.append(_about_work(exact, blind))
        said.append(
            f"The reason is the dimension. A random direction shows one number about a gradient of {parameters:,}; a "
            "backward pass shows all of them, at the price of two more forward passes. The estimates work "
            "nevertheless, because each of their steps goes downhill on average, and because there are many steps."
        )
    if "hybrid" in by and "last-layer" in by:
        said.append(_about_hybrid(by["hybrid"], by["last-layer"], blind))
    if exact and "spsa" in by:
        said.append(_about_memory(exact, by["spsa"]))
    error = 100 * math.sqrt(0.95 * 0.05 / tests)
    said.append(
        f"How sure is this? {tests} test images place an accuracy of 95 % within about ±{error:.0f} point, and the "
        "seeds differ by about as much. Differences below two points are not findings."
    )
    return said


def _about_work(exact: Row, blind: Sequence[Row]) -> str:
    best = max(blind, key=lambda row: row.accuracy)
    said = (
        f"For the same work, the network that has its exact gradient recognises {_percent(exact.accuracy)} of the test "
        f"digits. The best of the methods that never run a backward pass, {best.method.name}, recognises "
        f"{_percent(best.accuracy)}."
    )
    prices = {row.method.name: row.price for row in blind if row.price is not None}
    if exact.price is None or not prices:
        return said
    name, price = min(prices.items(), key=lambda item: item[1])
    return (
        f"{said} Getting to {_percent(GOAL, 0)} took {exact.price:,.0f} forward-equivalents by autograd and "
        f"{price:,.0f} by {name}: {price / exact.price:.0f} times as many."
    )


def _about_hybrid(hybrid: Row, control: Row, blind: Sequence[Row]) -> str:
    said = (
        f"Where a part of a model can be differentiated, its gradient should be used: the hybrid recognises "
        f"{_percent(hybrid.accuracy)}. Its control, which leaves the convolutions as random as they began, recognises "
        f"{_percent(control.accuracy)}"
    )
    gain = 100 * (hybrid.accuracy - control.accuracy)
    losses = f"the loss over the training images is {hybrid.loss:.2g} with it and {control.loss:.2g} without it"
    if gain >= 2:
        said += f", so estimating the gradient of the convolutions was worth {gain:.1f} points; {losses}."
    elif hybrid.loss < control.loss:
        said += (
            f". That is no difference in accuracy, but the estimates did teach the convolutions something: {losses}."
        )
    else:
        said += ", so estimating the gradient of the convolutions was worth nothing here."
    if blind and control.accuracy > max(row.accuracy for row in blind):
        said += (
            " Even the control is ahead of every estimate of the whole gradient: an exact gradient of a few parameters "
            "was worth more than a rough one of all."
        )
    return said


def _about_memory(exact: Row, spsa: Row) -> str:
    said = (
        f"A step by autograd took {exact.memory:.1f} times the memory of the parameters above what inference takes, "
        f"most of it for activations that wait for the backward pass; a step by SPSA took {spsa.memory:.1f} times."
    )
    return said + (
        " The first number grows with the batch and with the depth of a network, the second with neither: it is Adam's "
        "memory and a few vectors as long as the parameters."
    )


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"
