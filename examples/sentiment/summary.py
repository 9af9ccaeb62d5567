"""What the runs come to: a row per method, and the sentences that the numbers support."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import mean, median

from .train import Run

__all__ = ["Row", "findings", "rows"]


@dataclass(frozen=True)
class Row:
    """A method over its keys, or a baseline that takes no training.

    Args:
        title: its name.
        accuracies: shares of the test snippets that it gets right, one per key.
        runs: that made them; none for a baseline.
        validation: the share of the validation snippets that a baseline gets right.
        answers: of a baseline to the test snippets, "0" rotten and "1" fresh, one letter each.
    """

    title: str
    accuracies: tuple[float, ...]
    runs: tuple[Run, ...] = ()
    validation: float = 0.0
    answers: str = ""

    @property
    def slug(self) -> str:
        """The name of its method; that of a baseline is its title."""
        return self.runs[0].method.slug if self.runs else self.title

    @property
    def accuracy(self) -> float:
        """The median of the keys."""
        return median(self.accuracies)

    @property
    def validated(self) -> float:
        """The share of the validation snippets that are right, median."""
        return median(run.validation[-1] for run in self.runs) if self.runs else self.validation

    @property
    def spread(self) -> str:
        """Lowest and highest, in percent."""
        low, high = 100 * min(self.accuracies), 100 * max(self.accuracies)
        return f"{low:.1f} to {high:.1f}" if len(self.accuracies) > 1 else "-"

    @property
    def spent(self) -> float:
        """Forward-equivalents of a run, mean."""
        return mean(run.spent[-1] for run in self.runs) if self.runs else 0.0

    @property
    def seconds(self) -> float:
        """Seconds of training of a run, mean."""
        return mean(run.seconds[-1] for run in self.runs) if self.runs else 0.0

    @property
    def trajectory(self) -> float:
        """Bytes of the file of a run, mean; 0 if there is none."""
        return mean(run.trajectory for run in self.runs) if self.runs else 0.0

    @property
    def replay(self) -> str:
        """Whether the replays gave the same weights, and in which time; "" if there were none."""
        found = [run for run in self.runs if run.replayed is not None]
        if not found:
            return ""
        exact = "exact" if all(run.replayed for run in found) else "DIFFERS"
        return f"{exact}, {mean(run.replay_seconds for run in found):.1f} s"


def rows(runs: Sequence[Run], baselines: Sequence[Row]) -> list[Row]:
    """The baselines, then a row per method that has ended a run, in the order of the runs."""
    methods = {run.method.slug: run.method for run in runs if run.done}
    made = list(baselines)
    for method in methods.values():
        own = tuple(run for run in runs if run.method is method and run.done)
        made.append(Row(method.title, tuple(run.test for run in own if run.test is not None), own))
    return made


def findings(table: Sequence[Row], memory: Mapping[str, int], weights: int, tests: int) -> list[str]:
    """What the numbers of this run say, in sentences; only those that the runs that ended can support.

    Args:
        table: the rows.
        memory: bytes above the loaded model at the peak of each kind of step.
        weights: how many learn.
        tests: test snippets.
    """
    by = {row.slug: row for row in table}
    own, exact = by.get("forward-only"), by.get("backpropagation")
    said = []
    if own:
        said += _about_accuracy(own, exact, by["zero-shot"], by["linear probe"])
    if own and exact and memory:
        said.append(_about_memory(own, memory, weights))
    if own and own.replay:
        said.append(_about_trajectory(own, weights))
    if other := by.get("accuracy"):
        said.append(
            "With the number of mistakes itself as the loss, of which there is no gradient, "
            f"{_percent(other.accuracy)} are right. It says less than the cross-entropy: most probes change no answer "
            "in the mini-batch."
        )
    if other := by.get("all-layers"):
        said.append(
            f"With all layers learning, not the last two, {_percent(other.accuracy)} are right, for the same number of "
            "forwards, each of which takes three times as long."
        )
    error = 100 * sqrt(0.7 * 0.3 / tests)
    said.append(
        f"How sure is this? {tests:,} test snippets place an accuracy within about ±{error:.1f} points (one standard "
        "error), which all methods share, since they answer the same ones; the keys add what the table says."
    )
    return said


def _about_accuracy(own: Row, exact: Row | None, zero: Row, probe: Row) -> list[str]:
    above, beside = 100 * (own.accuracy - zero.accuracy), 100 * (own.accuracy - probe.accuracy)
    said = [
        f"{own.spent:,.0f} forward passes take the encoder from {_percent(zero.accuracy)} of the test snippets to "
        f"{_percent(own.accuracy)}: {above:+.1f} points. A linear classifier of the frozen embeddings, which is fitted "
        f"to every snippet at once, reaches {_percent(probe.accuracy)} ({_beside(beside)})."
    ]
    if exact:
        gap = 100 * (exact.accuracy - own.accuracy)
        said.append(
            f"Backpropagation through the same layers reaches {_percent(exact.accuracy)} with {exact.spent:,.0f} "
            f"forward-equivalents: {abs(gap):.1f} points {'more' if gap >= 0 else 'less'}. "
            "Where a gradient is to be had and fits into memory, it is worth having."
        )
    return said


def _beside(points: float) -> str:
    return f"forward-only is {abs(points):.1f} points {'above' if points >= 0 else 'below'} it"


def _about_memory(own: Row, memory: Mapping[str, int], weights: int) -> str:
    mine, theirs = (_mib(memory[kind] - memory["inference"]) for kind in ("forward-only", "backpropagation"))
    return (
        f"A step on 64 snippets of 32 tokens through the whole encoder takes {mine} more than inference if it is "
        f"forward-only, and {theirs} more by backpropagation with Adam. The weights that learn are "
        f"{_mib(4 * weights)}. In this run both learnt faster than that, for the layers below were run once."
    )


def _about_trajectory(own: Row, weights: int) -> str:
    return (
        f"The whole training of {weights:,} weights is a file of {own.trajectory / 1000:,.1f} kB: a key, and a few "
        f"numbers a step. Replaying it on the pretrained weights, without data and without a forward pass, gave "
        f"{'the trained weights, bit for bit' if 'exact' in own.replay else 'OTHER WEIGHTS'}, in "
        f"{mean(run.replay_seconds for run in own.runs):.1f} seconds; the training took {own.seconds:.0f}."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _mib(size: float) -> str:
    return f"{max(0.0, size) / 2**20:,.0f} MiB"
