"""Which parameters matter: shares of the variance (fANOVA), and mean contributions to single trials (Shapley).

Both ask a random forest that is fitted to the trials that are done. *fANOVA* (Hutter, Hoos and Leyton-Brown 2014) is
the share of the forest's variance over the box of all tried values that one parameter explains alone; marginals are
exact, since a tree is constant on boxes. *Shapley values* (Shapley 1953; Štrumbelj and Kononenko 2014) share the
difference between a trial's prediction and that of another trial among the parameters in which they differ, averaged
over the orders in which these are changed and over other trials; the importance is the mean absolute value.

Conditional parameters: where one is absent it gets values drawn evenly from those that it had elsewhere, so it explains
nothing there, and what follows from its being absent is explained by the parameter on which it depends.
Categories are put in the order of their mean loss, in which one cut of a tree can part them best (Breiman 1984). Losses
beyond three quartile ranges above the upper quartile are moved there, so that one diverged trial is not all there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from descend.errors import InvalidValue
from descend.key import Key
from descend.plot.study._forest import Tree, grow
from descend.plot.study.figure import Array, Axis, Bars, Figure, Panel, clipped
from descend.plot.study.view import View, evenly, few, to_unit

__all__ = ["Importance", "Prepared", "fanova", "importance", "marginal_variance", "prepare", "shapley", "walks"]

TRIALS = 2000  # to which the forest is fitted
_EXPLAINED = 60
_ORDERS = 24
_LEAST = 8
_FENCE = 3.0


@dataclass(frozen=True, eq=False)
class Importance:
    """How much each parameter matters.

    Fields: names (d), the most important first; share (d,); low and high (d,), ends of an 80 % interval: of the trees,
    or of the mean over the explained trials; rest, the share of what parameters do together, 0 where it is shared out.
    """

    names: tuple[str, ...]
    share: Array
    low: Array
    high: Array
    rest: float


@dataclass(frozen=True, eq=False)
class Prepared:
    """Trials as a forest reads them: names (d), xs (n, d) in the unit cube, ys (n,) losses; key, what is random."""

    names: tuple[str, ...]
    xs: Array
    ys: Array
    key: Key

    @cached_property
    def forest(self) -> tuple[list[Tree], Callable[[Array], Array]]:
        return grow(self.xs, self.ys, self.key.fold("forest").seed % 2**31)


def prepare(view: View, *, objective: int = 0, key: Key = Key(0)) -> Prepared:
    """The trials of a study that are done, at most 2000 of them: a quarter the best ones, the others evenly from all.

    Raises:
        InvalidValue: fewer than eight trials are done, all have one value, or no parameter has two values.
    """
    rows = np.flatnonzero(view.finished(objective))
    if len(rows) < _LEAST:
        raise InvalidValue(
            f"importance needs {_LEAST} trials that are done, and {view.name!r} has {len(rows)}; run more"
        )
    rows = few(rows, view.loss(objective)[rows], TRIALS)
    ys = view.loss(objective)[rows]
    quarter, most = np.quantile(ys, [0.25, 0.75])
    ys = np.minimum(ys, most + _FENCE * (most - quarter)) if most > quarter else ys
    if not ys.max() > ys.min():
        raise InvalidValue(
            f"all trials of {view.name!r} have the value {view.value(objective)[rows[0]]:g}; nothing matters"
        )
    rng = np.random.default_rng(key.fold("absent").seed)
    names, axes = [], []
    for name, column in view.table.columns.items():
        unit = (
            _ordered(column.numbers[rows], len(column.labels), ys)
            if column.labels is not None
            else to_unit(column)[rows]
        )
        there = np.isfinite(unit)
        if there.any() and np.ptp(unit[there]) > 0:
            names.append(name)
            axes.append(_filled(unit, there, rng))
    if not names:
        raise InvalidValue(f"no parameter of {view.name!r} has been tried at two values; run more trials")
    return Prepared(tuple(names), np.stack(axes, 1), ys, key)


def _ordered(codes: Array, k: int, ys: Array) -> Array:
    """The middles of k equal cells, given to the categories in the order of their mean losses."""
    there = np.isfinite(codes)
    whole = codes[there].astype(np.int64)
    counts = np.bincount(whole, minlength=k)
    means = np.bincount(whole, ys[there], minlength=k) / np.maximum(counts, 1)
    known = np.flatnonzero(counts)
    place = np.zeros(k)
    place[known[np.argsort(means[known], kind="stable")]] = (np.arange(len(known)) + 0.5) / len(known)
    unit = np.full(len(codes), np.nan)
    unit[there] = place[whole]
    return unit


def _filled(unit: Array, there: NDArray[np.bool_], rng: np.random.Generator) -> Array:
    """With values where there are none: evenly from those that there are, in an order that means nothing."""
    missing = int((~there).sum())
    if not missing:
        return unit
    pool = np.sort(unit[there])
    places = ((np.arange(missing) + 0.5) / missing * len(pool)).astype(np.int64)
    filled = unit.copy()
    filled[~there] = rng.permutation(pool[places])
    return filled


def marginal_variance(tree: Tree, axes: Sequence[int]) -> tuple[float, float]:
    """The variance of a tree over the unit cube, and that of its mean over all other axes, for one axis or two.

    The marginal is a sum of boxes, which are added up from their corners.
    """
    sides = tree.high - tree.low
    volume = sides.prod(1)
    mean = float((volume * tree.value).sum())
    variance = float((volume * (tree.value - mean) ** 2).sum())
    weight = tree.value * volume / sides[:, list(axes)].prod(1)
    edges = [np.unique(np.concatenate([tree.low[:, j], tree.high[:, j]])) for j in axes]
    first = [np.searchsorted(edge, tree.low[:, j]) for edge, j in zip(edges, axes, strict=True)]
    last = [np.searchsorted(edge, tree.high[:, j]) for edge, j in zip(edges, axes, strict=True)]
    corners = np.zeros([len(edge) for edge in edges])
    for ends in np.ndindex(*(2,) * len(axes)):
        where = tuple((last if end else first)[i] for i, end in enumerate(ends))
        np.add.at(corners, where, weight * (-1) ** sum(ends))
    for i in range(len(axes)):
        corners = corners.cumsum(i)
    cells = np.diff(edges[0]) if len(axes) == 1 else np.outer(np.diff(edges[0]), np.diff(edges[1]))
    marginal = corners[(slice(None, -1),) * len(axes)]
    return variance, float((cells * (marginal - mean) ** 2).sum())


def fanova(trials: Prepared, *, pair: tuple[str, str] | None = None) -> Importance:
    """The share of the variance that each parameter explains alone; with a pair, the one that these two explain beyond
    what each does, as the only entry.

    >>> xs = np.random.default_rng(0).random((200, 2))  # two parameters, of which the first is the loss
    >>> found = fanova(Prepared(("a", "b"), xs, xs[:, 0], Key(0)))
    >>> found.names[0], bool(found.share[0] > 0.95)
    ('a', True)
    """
    trees, _ = trials.forest
    shares = []
    for tree in trees:
        found = [marginal_variance(tree, (j,)) for j in range(len(trials.names))]
        variance = found[0][0]
        if variance <= 0:
            continue
        alone = np.array([part for _, part in found]) / variance
        if pair is None:
            shares.append(alone)
        else:
            i, j = (trials.names.index(name) for name in pair)
            shares.append(np.array([marginal_variance(tree, (i, j))[1] / variance - alone[i] - alone[j]]))
    names: tuple[str, ...] = trials.names if pair is None else (" × ".join(pair),)
    table = np.array(shares) if shares else np.zeros((1, len(names)))
    low, high = np.quantile(table, [0.1, 0.9], axis=0)
    return _sorted(names, table.mean(0), low, high, float(max(1 - table.mean(0).sum(), 0.0)))


def shapley(trials: Prepared) -> Importance:
    """The mean absolute contribution of each parameter to the predictions of up to 60 trials, as shares of all."""
    _, predict = trials.forest
    explained = trials.xs[evenly(len(trials.xs), _EXPLAINED)]
    contributions = walks(predict, explained, trials.xs, _ORDERS, trials.key.fold("orders"))
    size = np.abs(contributions)
    total = max(float(size.mean(0).sum()), np.finfo(float).tiny)
    share, error = size.mean(0) / total, 1.2816 * size.std(0) / np.sqrt(len(size)) / total
    return _sorted(trials.names, share, share - error, share + error, 0.0)


def walks(predict: Callable[[Array], Array], points: Array, others: Array, orders: int, key: Key) -> Array:
    """Shapley values (k, d) of the predictions at points (k, d), by an even number of random orders for each.

    One walk goes from one of the others (n, d) to the point, changing one coordinate after the other; the same walk is
    made in the opposite order too (Mitchell, Cooper, Frank and Holmes 2022). The contributions of a walk add up to the
    difference of its ends.
    """
    k, d = points.shape
    rng = np.random.default_rng(key.seed)
    half = rng.permuted(np.tile(np.arange(d), (k * orders // 2, 1)), axis=1).reshape(k, orders // 2, d)
    order = np.concatenate([half, half[:, :, ::-1]], 1)  # (k, orders, d)
    start = others[rng.integers(len(others), size=(k, orders // 2))]
    start = np.concatenate([start, start], 1)
    turn = order.argsort(2)  # when each coordinate is changed
    changed = turn[:, :, None, :] < np.arange(d + 1)[None, None, :, None]  # (k, orders, d + 1, d)
    path = np.where(changed, points[:, None, None, :], start[:, :, None, :])
    steps = np.diff(predict(path.reshape(-1, d)).reshape(k, orders, d + 1), axis=2)
    return np.take_along_axis(steps, turn, 2).mean(1)


def _sorted(names: tuple[str, ...], share: Array, low: Array, high: Array, rest: float) -> Importance:
    order = np.argsort(-share, kind="stable")
    return Importance(tuple(names[j] for j in order), share[order], low[order], high[order], rest)


def importance(view: View, *, kind: str = "fanova", objective: int = 0, key: Key = Key(0)) -> Figure:
    """A bar for each parameter, the most important on top, with an interval of 80 %.

    Args:
        kind: "fanova", shares of the variance, or "shapley", shares of the mean contributions.

    Raises:
        InvalidValue: another kind, or trials of which nothing can be said.
        MissingExtra: scikit-learn is not installed.
    """
    if kind not in ("fanova", "shapley"):
        raise InvalidValue(f"kind={kind!r} is no kind of importance; write 'fanova' or 'shapley'")
    trials = prepare(view, objective=objective, key=key)
    found = fanova(trials) if kind == "fanova" else shapley(trials)
    most = 20
    names, shown = list(found.names[:most]), slice(0, most)
    share, low, high = found.share[shown], found.low[shown], found.high[shown]
    if kind == "fanova" and len(found.names) > 1:
        rest = max(1 - float(share.sum()), 0.0)
        names, share = [*names, "together"], np.append(share, rest)
        low, high = np.append(low, np.nan), np.append(high, np.nan)
    places = np.arange(len(names), dtype=np.float64)[::-1]
    wide = float(np.nanmax(np.concatenate([share, high])))
    across = Axis(
        "share of the variance" if kind == "fanova" else "share of the contributions", range=(0.0, 1.05 * wide)
    )
    up = Axis("", labels=tuple(clipped(name, 20) for name in names[::-1]))
    note = "What parameters explain only together stands apart." if "together" in names else ""
    return Figure(
        f"Importance in {view.name}", [Panel(across, up, [Bars(places, share, low, high)])], note=note,
        height=int(min(max(110 + 26 * len(names), 200), 640)), legend=False,
    )  # fmt: skip
