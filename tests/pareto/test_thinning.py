"""Thinning a front beside versions that work everything out again after every removal."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from descend.pareto import thinning


def curve(n: int, seed: int) -> np.ndarray:
    f = np.random.default_rng(seed).random(n)
    return np.stack([f, 3 - 3 * np.sqrt(f)], 1)


def sphere(n: int, seed: int, m: int = 3) -> np.ndarray:
    v = np.abs(np.random.default_rng(seed).normal(size=(n, m)))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def one_at_a_time(values: np.ndarray, k: int, worth: Callable[[np.ndarray], np.ndarray]) -> list[int]:
    left = list(range(len(values)))
    u = thinning.scaled(values)
    while len(left) > k:
        del left[int(worth(u[left]).argmin())]
    return left


def box(u: np.ndarray) -> np.ndarray:
    order = u[:, 0].argsort()
    found = np.full(len(u), math.inf)
    for before, i, after in zip(order, order[1:], order[2:], strict=False):
        found[i] = u[after, 0] - u[before, 0] + u[before, 1] - u[after, 1]
    return found


def area(u: np.ndarray) -> np.ndarray:
    order = u[:, 0].argsort()
    found = np.full(len(u), math.inf)
    for before, i, after in zip(order, order[1:], order[2:], strict=False):
        found[i] = (u[after, 0] - u[i, 0]) * (u[before, 1] - u[i, 1])
    return found


def test_two_objectives_lose_one_point_at_a_time() -> None:
    for seed in range(5):
        values = curve(40, seed)
        assert thinning.by_crowding(values, 15).tolist() == one_at_a_time(values, 15, box)
        assert thinning.by_area(values, 15).tolist() == one_at_a_time(values, 15, area)


@pytest.mark.parametrize(("n", "m", "k"), [(60, 3, 25), (60, 3, 5), (12, 5, 6), (150, 2, 6)])
def test_more_objectives_lose_the_point_whose_neighbours_are_nearest(n: int, m: int, k: int) -> None:
    for seed in range(3):
        values = sphere(n, seed, m)
        ends = {*thinning.scaled(values).argmin(0), *thinning.scaled(values).argmax(0)}
        whole = thinning.scaled(values)
        left = list(range(n))
        while len(left) > max(k, len(ends)):
            u = whole[left]
            apart = np.linalg.norm(u[:, None] - u[None], axis=2)
            np.fill_diagonal(apart, math.inf)
            worth = np.sort(apart, axis=1)[:, :m].prod(1)
            worth[[i in ends for i in left]] = math.inf
            del left[int(worth.argmin())]
        assert thinning.by_nearest(values, max(k, len(ends))).tolist() == left


def test_points_that_are_alike_and_fronts_without_width() -> None:
    alike = np.ones((10, 2))
    assert len(thinning.by_crowding(alike, 4)) == len(thinning.by_area(alike, 4)) == 4
    assert len(thinning.by_nearest(np.ones((10, 3)), 4)) == 4
    assert thinning.by_crowding(curve(3, 0), 1).shape == (1,)
