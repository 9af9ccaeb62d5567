"""Spaces as wholes: random ones come back from everything, and each part of their face does what it says."""

import copy
import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import descend.space
from descend.errors import InvalidValue, ShapeMismatch
from descend.key import Key
from descend.space import (
    Array,
    Bool,
    Choice,
    Float,
    Int,
    Ordinal,
    Permutation,
    Row,
    Simplex,
    Space,
    Subset,
    When,
    as_space,
)

TYPED = Space(
    lr=Float(1e-5, 1, log=True),
    n=Int(1, 64, log=True),
    kernel=Choice("rbf", "poly", "linear"),
    degree=When("kernel", "poly", Int(2, 5)),
    opt=Space(beta=Float(0, 1, logit=True)),
)


class Draw:
    """Random decisions from a key."""

    def __init__(self, key: Key) -> None:
        self.key, self.made = key, 0

    def below(self, n: int) -> int:
        self.made += 1
        return int(self.key.fold(self.made).integers(0, n, 1))

    def number(self) -> float:
        self.made += 1
        return float(self.key.fold(self.made).normal(1, like=torch.zeros(1, dtype=torch.float64)))


def random_float(draw: Draw) -> Float:
    low = draw.number() * 10.0 ** draw.below(12)
    width = 10.0 ** (draw.below(20) - 10)
    positive = abs(low) * 10.0 ** -draw.below(200)
    kinds: list[Callable[[], Float]] = [
        lambda: Float(low, low + max(width, abs(low) * 1e-12)),
        lambda: Float(positive, positive * (1 + width), log=True),
        lambda: Float(positive, positive + 1e3, log=True, open=True),
        lambda: Float(0.3 / (1 + width), 1 - 0.3 / (2 + width), logit=True),
        lambda: Float(0, 1, logit=True),
        lambda: Float(location=low, scale=width),
        lambda: Float(round(low, 3), round(low, 3) + 30 * 0.125, step=0.125),
    ]
    return kinds[draw.below(len(kinds))]()


def random_leaf(draw: Draw, depth: int) -> Any:
    low = draw.below(1000) - 500
    kinds: list[Callable[[], Any]] = [
        *[lambda: random_float(draw)] * 3,
        lambda: Int(low, low + 1 + draw.below(2000)),
        lambda: Int(1 + abs(low), 2 + abs(low) + draw.below(10**6), log=True),
        lambda: Int(low, low + 7 * (1 + draw.below(9)), step=7),
        lambda: Choice(*[("a", 1, 1.0, None, True, (1, "b"), [2], {"c": (3,)})[i] for i in range(1 + draw.below(8))]),
        lambda: Ordinal(*range(low, low + 1 + draw.below(20))),
        Bool,
        lambda: Permutation(2 + draw.below(9)),
        lambda: Permutation(["x", 3, None, (4, 5)]),
        lambda: Subset(4 + draw.below(5), draw.below(2), 3 + draw.below(2)),
        lambda: Simplex(2 + draw.below(6)),
        lambda: Simplex(["p", "q", "r"]),
    ]
    if depth:
        deeper = draw.below(5)
        if deeper == 0:
            return Array(random_leaf(draw, depth - 1), tuple(1 + draw.below(3) for _ in range(1 + draw.below(2))))
        if deeper == 1:
            return Row(*(random_leaf(draw, depth - 1) for _ in range(1 + draw.below(3))))
        if deeper == 2:
            return random_record(draw, depth - 1)
    return kinds[draw.below(len(kinds))]()


def random_record(draw: Draw, depth: int) -> Space:
    parameters: dict[str, Any] = {"first": Choice("u", "v", "w"), "a name": Bool()}
    for k in range(1 + draw.below(5)):
        leaf = random_leaf(draw, depth)
        wrapped: list[Any] = [
            leaf,
            leaf,
            When("first", "u", leaf),
            When("first", ("v", "w"), leaf),
            When("a name", True, When("first", "w", leaf)),
            When("chain", 2, leaf) if "chain" in parameters else leaf,
        ]
        parameters[f"p{k}"] = wrapped[draw.below(len(wrapped))]
        if draw.below(3) == 0:
            parameters.setdefault("chain", When("first", "v", Int(1, 3)))
    names = sorted(parameters, key=lambda name: Key(draw.below(10**6)).fold(name).seed)  # children before parents too
    return Space({name: parameters[name] for name in names})


SPACES = {f"random {seed}": random_record(Draw(Key(seed)), 3) for seed in range(18)} | {
    "typed": TYPED,
    "an order": as_space(Permutation(52)),
    "pairs": as_space([(0, 1), (-5, 5)]),
}
EVERY = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


@EVERY
def test_points_come_back_exactly_and_coordinates_settle(space: Space) -> None:
    points = space.sample(100, Key(1))
    u = space.encode(points)
    assert u.shape == (100, space.dim)
    assert u.dtype == torch.float64
    assert bool(space.domain.contains(u).all())
    again = space.decode(u)
    assert again == points
    assert list(map(repr, again)) == list(map(repr, points))  # types too: 1 is not 1.0
    assert torch.equal(space.encode(again), u)
    assert all(point in space for point in points)
    assert bool(u.isfinite().all())


@EVERY
def test_any_coordinates_mean_a_point(space: Space) -> None:
    u = 3 * Key(2).normal(100, space.dim, like=torch.zeros(1, dtype=torch.float64))
    u[::7], u[1::7] = 0.0, 1.0
    points = space.decode(u)
    assert all(point in space for point in points)
    assert space.decode(space.encode(points)) == points
    # a point means its cell, so its middle means the same
    inside = space.domain.clip(u)
    assert space.decode(inside) == points
    assert space.decode(space.domain.centre(inside)) == points


@EVERY
def test_spaces_are_written_and_read(space: Space) -> None:
    text = space.to_json()
    assert Space.from_json(text) == space
    assert hash(Space.from_json(text)) == hash(space)
    assert json.loads(json.dumps(json.loads(text))) == json.loads(text)
    assert eval(repr(space), vars(descend.space)) == space
    assert repr(Space.from_json(text)) == repr(space)
    assert pickle.loads(pickle.dumps(space)) == copy.deepcopy(space) == space
    points = space.sample(20, Key(3))
    assert Space.from_json(text).sample(20, Key(3)) == points
    assert len({*space.names}) == space.dim


@EVERY
def test_one_point_and_many_are_the_same(space: Space) -> None:
    points = space.sample(15, Key(4))
    u = space.encode(points)
    assert torch.equal(torch.cat([space.encode([point]) for point in points]), u)
    assert [space.decode(row[None])[0] for row in u] == points


@EVERY
def test_the_middle_is_a_point_of_its_own(space: Space) -> None:
    [point] = space.decode(space.middle[None])
    assert point in space
    assert bool(space.domain.contains(space.middle))


@EVERY
def test_no_points_have_no_coordinates(space: Space) -> None:
    assert space.encode([]).shape == (0, space.dim)
    assert space.decode(torch.zeros(0, space.dim)) == []


def test_samples_repeat_under_a_key_and_differ_under_another() -> None:
    assert TYPED.sample(50, Key(0)) == TYPED.sample(50, 0) != TYPED.sample(50, Key(1))
    assert TYPED.sample(0, Key(0)) == []
    assert len(TYPED.sample(3)) == 3


def test_branches_come_as_often_as_their_condition() -> None:
    points = TYPED.sample(6000, Key(0))
    poly = [point for point in points if point["kernel"] == "poly"]
    assert all(("degree" in point) == (point["kernel"] == "poly") for point in points)
    assert stats.binomtest(len(poly), 6000, 1 / 3).pvalue > 1e-3
    assert stats.chisquare(np.bincount([point["degree"] for point in poly])[2:]).pvalue > 1e-3


def test_names_of_coordinates() -> None:
    assert TYPED.names == ("lr", "n", "kernel", "degree", "opt.beta")
    assert as_space(Float(0, 1)).names == ("x",)
    block = Space(w=Array(Space(a=Bool(), b=Row(Bool(), Choice("constant"))), (1, 2)))
    assert block.names == ("w[0, 0].a", "w[0, 0].b[0]", "w[0, 1].a", "w[0, 1].b[0]")


def test_what_is_not_there_lies_in_the_middle() -> None:
    u = TYPED.encode([{"lr": 0.1, "n": 3, "kernel": "rbf", "opt": {"beta": 0.5}}])
    assert u[0, 3] == 0.625  # of four cells the third
    assert TYPED.decode(u) == [{"lr": 0.1, "n": 3, "kernel": "rbf", "opt": {"beta": 0.5}}]
    moved = u.clone()
    moved[0, 3] = 0.1
    assert torch.equal(TYPED.encode(TYPED.decode(moved)), u)


def test_conditions_on_conditions() -> None:
    space = Space(
        c=When("b", (2, 3), Float(0, 1)),
        b=When("a", "yes", Int(1, 3)),
        a=Choice("yes", "no"),
        d=When("a", "yes", When("b", 3, Bool())),
    )
    kinds = {tuple(point) for point in space.sample(500, Key(0))}
    assert kinds == {("a",), ("b", "a"), ("c", "b", "a"), ("c", "b", "a", "d")}
    assert {"a": "no"} in space
    assert space.check({"a": "no", "b": 1}) == "b must be left out: it is there only when a is 'yes', got a='no'"
    assert space.check({"a": "no", "c": 0.5}) == "c must be left out: it is there only when b is 2 or 3, got no b"
    assert space.check({"a": "yes", "b": 2}) == "c is missing in {'a': 'yes', 'b': 2}"


def test_values_that_are_equal_but_of_another_type_are_other_branches() -> None:
    space = Space(a=Choice(1, True, 1.0, (1, 2)), b=When("a", True, Bool()), c=When("a", ((1, 2),), Bool()))
    assert {tuple(point) for point in space.sample(300, Key(0))} == {("a",), ("a", "b"), ("a", "c")}
    assert all(("b" in p) == (p["a"] is True) and ("c" in p) == (p["a"] == (1, 2)) for p in space.sample(300, Key(0)))


def test_arrays_of_numpy_and_torch_are_lists() -> None:
    space = Space(w=Array(Float(0, 1), (2, 2)), o=Array(Int(0, 9), 3))
    point = {"w": [[0.25, 0.5], [0.75, 1.0]], "o": [1, 2, 3]}
    others: list[Any] = [np.array(point["w"]), torch.tensor(point["w"], dtype=torch.float64)]
    assert all(space.decode(space.encode([{"w": w, "o": np.array(point["o"])}])) == [point] for w in others)
    assert all(space.check({"w": w, "o": point["o"]}) == "" for w in others)


def test_hard_conditions() -> None:
    space = Space(a=Float(0, 1), b=Float(0, 1)).where(lambda p: p["a"] + p["b"] <= 1, lambda p: p["a"] <= 0.9)
    points = space.sample(2000, Key(0))
    assert len(points) == 2000
    assert max(p["a"] + p["b"] for p in points) <= 1
    assert {"a": 0.6, "b": 0.6} not in space
    assert "where() does not hold for {'a': 0.6, 'b': 0.6}" in space.check({"a": 0.6, "b": 0.6})
    found = space.violations([{"a": 0.1, "b": 0.1}, {"a": 0.95, "b": 0.0}, {"a": 0.95, "b": 0.5}])
    assert found.tolist() == [[0, 0], [0, 1], [1, 1]]
    # uniform on what is left, a triangle whose corner is cut off: the mean of a is the integral of a (1 - a)
    mean = (0.9**2 / 2 - 0.9**3 / 3) / (0.5 - 0.1**2 / 2)
    assert abs(np.mean([p["a"] for p in points]) - mean) < 0.02
    assert space.encode([{"a": 0.6, "b": 0.6}]).tolist() == [[0.6, 0.6]]
    assert TYPED.violations(TYPED.sample(3, Key(0))).shape == (3, 0)
    assert space != Space(a=Float(0, 1), b=Float(0, 1))
    with pytest.raises(InvalidValue, match=r"held for 0 of 10000. random points, .* narrow the bounds"):
        space.where(lambda p: False).sample(5, Key(0))


def test_rare_conditions_are_still_met() -> None:
    space = as_space(Float(0, 1)).where(lambda x: x < 0.002)
    assert max(space.sample(20, Key(0))) < 0.002


def test_a_typical_batch_is_encoded_at_once() -> None:
    """However many points there are, no value is looked at on its own."""
    space = Space({f"x{i}": Float(1e-5, 1, log=True) for i in range(3)})
    points = space.sample(1000, Key(0))
    calls = 0

    class Spy(Float):
        def wrong(self, value: Any, name: str) -> str:
            nonlocal calls
            calls += 1
            return super().wrong(value, name)

    spied = Space({f"x{i}": Spy(1e-5, 1, log=True) for i in range(3)})
    assert torch.equal(spied.encode(points), space.encode(points))
    assert calls == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coordinates_may_have_any_type(dtype: torch.dtype) -> None:
    space = Space(n=Int(0, 9), c=Choice(*"abc"), b=Bool())
    points = space.sample(100, Key(0))
    u = space.encode(points).to(dtype)
    assert space.decode(u) == space.decode(u.numpy()) == space.decode(u.tolist()) == points
    assert space.decode(u.requires_grad_()) == points


def test_as_space_takes_what_people_write() -> None:
    assert as_space(TYPED) is TYPED
    assert as_space({"a b": Bool()}) == Space({"a b": Bool()})
    assert as_space([("a", Bool()), ("b", Float(0, 1))]) == Space(a=Bool(), b=Float(0, 1))
    assert as_space(np.array([[0, 1], [2, 3]])) == as_space([(0, 1), (2, 3)]) == as_space(Row(Float(0, 1), Float(2, 3)))
    assert as_space(Bool()).sample(1, Key(0)) in ([True], [False])
    assert repr(as_space(Permutation(3))) == "as_space(Permutation(3))"
    assert Space({"a": Bool()}, b=Bool()) == Space(a=Bool(), b=Bool())
    assert Space(a=Float(0, 1)) == Space(a=Float(0.0, 1.0))
    assert Space(a=Float(0, 1)) != Space(a=Float(0, 1, log=False, open=True))
    assert Space(a=Bool(), b=Bool()) != Space(b=Bool(), a=Bool())
    assert repr(Space({"class": Bool()})) == "Space({'class': Bool()})"


WRONG_POINTS: list[tuple[Any, str]] = [
    ({}, "lr is missing in {}"),
    (3, "a point must be a dict of lr, n, kernel, degree, opt, got 3"),
    ({"lr": 0.1, "z": 1}, "the space has no parameter 'z'; there are lr, n, kernel, degree, opt"),
    ({"lr": 2.0, "n": 3, "kernel": "rbf", "opt": {"beta": 0.5}}, "lr must lie in [1e-05, 1.0], got 2.0"),
    ({"lr": "0.1", "n": 3, "kernel": "rbf", "opt": {"beta": 0.5}}, "lr must be a number, got '0.1'"),
    ({"lr": True, "n": 3, "kernel": "rbf", "opt": {"beta": 0.5}}, "lr must be a number, got True"),
    ({"lr": math.nan, "n": 3, "kernel": "rbf", "opt": {"beta": 0.5}}, "lr must lie in [1e-05, 1.0], got nan"),
    ({"lr": 10**400, "n": 3, "kernel": "rbf", "opt": {"beta": 0.5}}, "lr must lie in [1e-05, 1.0], got 1000"),
    ({"lr": 0.1, "n": 1.5, "kernel": "rbf", "opt": {"beta": 0.5}}, "n must be a whole number, got 1.5"),
    ({"lr": 0.1, "n": math.inf, "kernel": "rbf", "opt": {"beta": 0.5}}, "n must be a whole number, got inf"),
    ({"lr": 0.1, "n": 65, "kernel": "rbf", "opt": {"beta": 0.5}}, "n must lie in [1, 64], got 65"),
    ({"lr": 0.1, "n": True, "kernel": "rbf", "opt": {"beta": 0.5}}, "n must be a whole number, got True"),
    (
        {"lr": 0.1, "n": 3, "kernel": "rfb", "opt": {"beta": 0.5}},
        "kernel must be one of 'rbf', 'poly', 'linear', got 'rfb'",
    ),
    (
        {"lr": 0.1, "n": 3, "kernel": "rbf", "degree": 3, "opt": {"beta": 0.5}},
        "degree must be left out: it is there only when kernel is 'poly', got kernel='rbf'",
    ),
    ({"lr": 0.1, "n": 3, "kernel": "poly", "degree": 6, "opt": {"beta": 0.5}}, "degree must lie in [2, 5], got 6"),
    ({"lr": 0.1, "n": 3, "kernel": "rbf", "opt": {"beta": 1}}, "opt.beta must lie inside of [0.0, 1.0], got 1"),
    ({"lr": 0.1, "n": 3, "kernel": "rbf", "opt": {"gamma": 1}}, "opt has no parameter 'gamma'; there are beta"),
    ({"lr": 0.1, "n": 3, "kernel": "rbf", "opt": 1}, "opt must be a dict of beta, got 1"),
]


@pytest.mark.parametrize(("point", "sentence"), WRONG_POINTS)
def test_wrong_points_get_a_sentence(point: Any, sentence: str) -> None:
    assert TYPED.check(point).startswith(sentence)
    assert point not in TYPED
    assert not TYPED.contains(point)
    good = TYPED.sample(1, Key(0))[0]
    with pytest.raises(InvalidValue) as caught:
        TYPED.encode([good, point])
    assert str(caught.value) == TYPED.check(point) + ", in point 1 of 2"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"w": [[0.5]], "r": [1, True]}, "w must be a list of 2, got [[0.5]]"),
        ({"w": [[0.5], [2.0]], "r": [1, True]}, "w[1][0] must lie in [0.0, 1.0], got 2.0"),
        ({"w": [0.5, 0.5], "r": [1, True]}, "w[0] must be a list of 1, got 0.5"),
        ({"w": [[0.5], [0.5]], "r": [1]}, "r must be a list of 2, got [1]"),
        ({"w": [[0.5], [0.5]], "r": [1, 0]}, "r[1] must be True or False, got 0"),
        ({"w": [[0.5], [0.5]], "r": "ab"}, "r must be a list of 2, got 'ab'"),
    ],
)
def test_wrong_blocks_are_found_where_they_are(value: Any, sentence: str) -> None:
    space = Space(w=Array(Float(0, 1), (2, 1)), r=Row(Int(0, 3), Bool()))
    assert space.check(value) == sentence
    with pytest.raises(InvalidValue, match="must"):
        space.encode([value])


def test_wrong_coordinates_get_a_sentence() -> None:
    with pytest.raises(ShapeMismatch, match=r"decode takes points of shape \(n, 5\), got \(2, 3\)"):
        TYPED.decode(torch.zeros(2, 3))
    for wrong in ("abc", [["a"]], [[0.1], [0.1, 0.2]]):
        with pytest.raises(ShapeMismatch, match=r"decode takes numbers of shape \(n, 5\), got"):
            TYPED.decode(wrong)  # type: ignore[arg-type]
    with pytest.raises(ShapeMismatch, match=r"\(5,\)"):
        TYPED.decode(torch.zeros(5))
    for value in (math.nan, math.inf):
        u = torch.full((2, 5), 0.5)
        u[1, 4] = value
        with pytest.raises(InvalidValue, match=f"got {value} for opt.beta in point 1"):
            TYPED.decode(u)
    with pytest.raises(InvalidValue, match=r"encode takes a list of points, .* write encode\(\[point\]\)"):
        TYPED.encode(TYPED.sample(1, Key(0))[0])
    for n in (-1, 1.5, True):
        with pytest.raises(InvalidValue, match=f"n={n}"):
            TYPED.sample(n, Key(0))  # type: ignore[arg-type]


TINY = {"type": "Int", "arguments": [1, 2]}
WRONG_SPACES: list[tuple[Callable[[], Any], str]] = [
    (lambda: Float(1, 0), "low < high, got low=1.0, high=0.0"),
    (lambda: Float(1, 1), "low < high, got low=1.0, high=1.0"),
    (lambda: Float(math.nan, 1), "finite number for low, got low=nan; write Float()"),
    (lambda: Float(0, math.inf), "finite number for high, got high=inf; write Float()"),
    (lambda: Float("a", 1), "finite number for low, got low='a'"),  # type: ignore[arg-type]
    (lambda: Float(True, 2), "finite number for low, got low=True"),
    (lambda: Float(0, 10**400), "finite number for high, got high=1000"),
    (lambda: Float(0), "both low and high, or none of them, got low=0.0, high=None"),
    (lambda: Float(0, 1, log=True), "needs low > 0, got low=0.0"),
    (lambda: Float(-1, 1, log=True), "needs low > 0, got low=-1.0"),
    (lambda: Float(0, 1, log=1), "True or False for log, got log=1"),  # type: ignore[arg-type]
    (lambda: Float(-0.1, 0.5, logit=True), "low and high in [0, 1], got low=-0.1"),
    (lambda: Float(0.1, 2, logit=True), "low and high in [0, 1], got low=0.1, high=2.0"),
    (lambda: Float(0.1, 0.9, log=True, logit=True), "exclude each other"),
    (lambda: Float(0.1, 0.9, log=True, step=0.1), "exclude each other"),
    (lambda: Float(0, 1, step=0.3), "step=0.3 does not divide [0.0, 1.0]; write high=0.9"),
    (lambda: Float(0, 1, step=2), "step=2.0 does not divide [0.0, 1.0]"),
    (lambda: Float(0, 1, step=0), "step > 0, got step=0.0"),
    (lambda: Float(0, 1, step=-0.5), "step > 0, got step=-0.5"),
    (lambda: Float(0, 1, step=1e-30), "step=1e-30 gives more than 1e+13 values"),
    (lambda: Float(0, 1, step=0.5, open=True), "open=True leaves out the ends"),
    (lambda: Float(1, math.nextafter(1, 2), open=True), "there is no float between"),
    (lambda: Float(0, 1, location=3), "location and scale belong to an unbounded number"),
    (lambda: Float(scale=0), "scale > 0, got scale=0.0"),
    (lambda: Float(location=math.inf), "finite number for location, got location=inf"),
    (lambda: Float(log=True), "belong to an interval"),
    (lambda: Int(3, 3), "low < high, got low=3, high=3"),
    (lambda: Int(1, 2.5), "whole number for high, got high=2.5"),  # type: ignore[arg-type]
    (lambda: Int(True, 3), "whole number for low, got low=True"),
    (lambda: Int(0, 10**15), "at most 1e+13"),
    (lambda: Int(0, 5, log=True), "needs low >= 1, got low=0"),
    (lambda: Int(1, 5, step=0), "step >= 1, got step=0"),
    (lambda: Int(1, 6, step=2), "step=2 does not divide [1, 6]; write high=5"),
    (lambda: Int(1, 4, step=5), "step=5 does not divide [1, 4]; write step=3"),
    (lambda: Int(1, 5, True, 2), "exclude each other"),
    (lambda: Int(1, 5, log=2), "True or False for log, got log=2"),  # type: ignore[arg-type]
    (Choice, "Choice() has no value to take"),
    (lambda: Choice("a", "b", "a"), "Choice has the value 'a' twice"),
    (lambda: Choice(["a", "b"]), "one by one, got the single value ['a', 'b']; write Choice(*values)"),
    (lambda: Choice("a", len), "cannot be written down as JSON"),
    (lambda: Choice("a", math.nan), "nan cannot be written down as JSON"),
    (lambda: Choice("a", {1: 2}), "must be text"),
    (lambda: Ordinal(1, 2, 1), "Ordinal has the value 1 twice"),
    (lambda: Permutation(1), "at least 2 items, got 1"),
    (lambda: Permutation("abc"), "a number of items or a list of them, got 'abc'"),  # type: ignore[arg-type]
    (lambda: Permutation(["a", "a"]), "Permutation has the item 'a' twice"),
    (lambda: Permutation(2.5), "a number of items or a list of them, got 2.5"),  # type: ignore[arg-type]
    (lambda: Subset(0), "at least 1 items, got 0"),
    (lambda: Subset(3, at_least=3), "leave no choice among 3 items"),
    (lambda: Subset(3, at_most=0), "leave no choice among 3 items"),
    (lambda: Subset(3, 2, 1), "0 <= at_least <= at_most <= 3, got at_least=2, at_most=1"),
    (lambda: Subset(3, at_most=4), "at_most=4"),
    (lambda: Subset(3, at_least=0.5), "whole number for at_least, got at_least=0.5"),  # type: ignore[arg-type]
    (lambda: Simplex(1), "at least 2 items, got 1"),
    (lambda: Simplex([1, 2]), "a list of their names, got the name 1"),  # type: ignore[list-item]
    (lambda: Array(Float, 2), "Array needs a parameter; write Float(...)"),  # type: ignore[arg-type]
    (lambda: Array(Bool(), 0), "a number >= 1 or a tuple of them, got shape=0"),
    (lambda: Array(Bool(), ()), "got shape=()"),
    (lambda: Array(Bool(), (2, 1.5)), "got shape=(2, 1.5)"),  # type: ignore[arg-type]
    (Row, "Row() has no parameters"),
    (lambda: Row(3), "Row needs a parameter, such as Float(0, 1), or a Space, got 3"),  # type: ignore[arg-type]
    (Space, "at least one parameter"),
    (lambda: Space(a=3), "the parameter 'a' needs a parameter, such as Float(0, 1)"),  # type: ignore[arg-type]
    (lambda: Space({1: Bool()}), "a text that is not empty, got 1"),  # type: ignore[dict-item]
    (lambda: Space({"": Bool()}), "a text that is not empty, got ''"),
    (lambda: Space({"a": Bool()}, a=Bool()), "the parameter 'a' is there twice"),
    (lambda: Space([("a", Bool())]), "Space takes parameters by name"),  # type: ignore[arg-type]
    (lambda: Space(a=When("b", 1, Bool())), "no such parameter beside it; there are a"),
    (lambda: Space(a=When("a", True, Bool())), "circle"),
    (lambda: Space(a=When("b", True, Bool()), b=When("a", True, Bool())), "circle"),
    (lambda: Space(k=Choice("a", "b"), x=When("k", "c", Bool())), "k must be one of 'a', 'b', got 'c'"),
    (lambda: Space(k=Choice("a", "b"), x=When("k", ("a", "c"), Bool())), "k must be one of 'a', 'b', got 'c'"),
    (lambda: Space(k=Float(0, 1), x=When("k", 1.0, Bool())), "x cannot depend on k, which is Float(0.0, 1.0)"),
    (lambda: Space(k=Choice((8, 8), (9,)), x=When("k", (8, 8), Bool())), "write ((8, 8),) for the one"),
    (lambda: When("k", (), Bool()), "When('k', ()) never holds"),
    (lambda: When(1, 2, Bool()), "the name of another parameter first, got 1"),  # type: ignore[arg-type]
    (lambda: When("k", 2, 3), "When needs a parameter"),  # type: ignore[arg-type]
    (lambda: Space(a=Choice("only")).domain, "every parameter has a single value"),
    (lambda: Space(a=Space(b=Bool()).where(len)), "where() belongs to the outermost space"),
    (lambda: TYPED.where(3), "where takes functions of a point, got 3"),  # type: ignore[arg-type]
    (lambda: TYPED.where(len).to_json(), "functions, which JSON cannot hold"),
    (lambda: as_space("abc"), "a space is a Space"),
    (lambda: as_space([]), "at least one parameter"),
    (lambda: as_space([(0, 1), ("a", Bool())]), "a space is a Space"),
    (lambda: as_space([("a", Bool()), ("a", Bool())]), "a space is a Space"),
    (lambda: as_space([(1, 0)]), "low < high"),
    (lambda: as_space(3), "a space is a Space"),
    (lambda: Space.from_json("{"), "the space is no JSON"),
    (lambda: Space.from_json("3"), "holds 3 where the space should be"),
    (lambda: Space.from_json('{"type": "Foo"}'), "names the type 'Foo'; there are Array, Bool"),
    (lambda: Space.from_json('{"typ": "Foo"}'), "which is no parameter and no value"),
    (lambda: Space.from_json('{"type": "Int", "arguments": [1, 2, 3, 4, 5]}'), "arguments it does not take"),
    (lambda: Space.from_json('{"type": "Int", "lo": 1}'), "arguments it does not take"),
    (lambda: Space.from_json(json.dumps({"type": "When", "arguments": ["a", 1, TINY]})), "where the space should be"),
]


@pytest.mark.parametrize(
    ("make", "sentence"), WRONG_SPACES, ids=[f"{k} {sentence[:30]}" for k, (_, sentence) in enumerate(WRONG_SPACES)]
)
def test_wrong_spaces_get_a_sentence(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        make()
    assert sentence in str(caught.value)
