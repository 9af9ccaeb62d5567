"""Points by flat names: there and back, one at a time and many, and completed where only a part is given."""

import numpy as np
import pytest
import torch

from descend.errors import InvalidValue
from descend.key import Key
from descend.space import Array, Bool, Choice, Float, Int, Ordinal, Permutation, Simplex, Space, When, as_space
from descend.study.frame import Frame
from descend.study.plain import plain, unplain
from descend.study.quick import coordinate_of, value_of

PLAIN = Space(
    x=Float(-4, 4), lr=Float(1e-5, 1, log=True), n=Int(1, 64, log=True), m=Int(0, 10, step=5), flag=Bool(),
    size=Ordinal(16, 32, 64), kind=Choice("a", None, 3, 2.5, True), only=Choice("one"),
)  # fmt: skip
CONDITIONAL = Space(
    degree=When("kernel", "poly", Int(2, 5)), kernel=Choice("rbf", "poly", "none"),
    gamma=When("kernel", ("rbf", "poly"), Float(0, 1)), coarse=When("degree", (2, 3), Bool()),
)  # fmt: skip
NESTED = Space(
    opt=Space(name=Choice("sgd", ("adam", 2)), lr=Float(0, 1)), order=Permutation(4), w=Array(Float(0, 1), (2, 2)),
    parts=Simplex(["a", "b"]), late=When("flag", True, Space(a=Int(1, 3), b=Bool())), flag=Bool(),
)  # fmt: skip


@pytest.mark.parametrize("space", [PLAIN, CONDITIONAL, NESTED, as_space(Float(0, 1)), as_space([(0, 1), (2, 3)])])
def test_points_become_flat_and_come_back(space: Space) -> None:
    frame = Frame(space)
    for point in space.sample(50, Key(1)):
        flat = frame.flattened(point)
        assert set(flat) <= set(frame.leaves)
        assert frame.point(flat) == point
        # what JSON and the log make of it, in which lists are tuples
        assert {name: plain(unplain(value)) for name, value in flat.items()} == flat
        assert torch.allclose(torch.from_numpy(frame.encode(flat)), space.encode([point])[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("space", [PLAIN, CONDITIONAL, NESTED])
def test_one_point_is_decoded_like_many(space: Space) -> None:
    frame = Frame(space)
    xs = space.domain.uniform(200, Key(2), space.middle)
    for x, expected in zip(xs, frame.decode(xs), strict=True):
        found = frame.decode_one(x.tolist())
        assert list(found) == list(expected)
        for name, value in expected.items():
            close = pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
            assert found[name] == close, name
            assert type(found[name]) is type(value)


@pytest.mark.parametrize("u", [0.0, 1.0, -0.5, 1.5, 1 - 2**-53])
def test_ends_are_hit_and_never_passed(u: float) -> None:
    for leaf in PLAIN.root.nodes.values():  # type: ignore[attr-defined]
        value, coordinate = value_of(leaf), coordinate_of(leaf)
        if value is None or coordinate is None:
            continue
        found = value(u)
        assert not leaf.wrong(found, "it"), leaf
        assert 0 <= coordinate(found) <= 1
        assert value(coordinate(found)) == found


def test_parameters_that_are_missing_are_in_the_middle() -> None:
    frame = Frame(CONDITIONAL)
    x = frame.encode({"kernel": "none"})
    assert x.tolist() == CONDITIONAL.encode([{"kernel": "none"}])[0].tolist()
    assert np.array_equal(frame.encode({}), CONDITIONAL.middle.numpy())


def test_a_part_of_a_point_is_completed() -> None:
    frame = Frame(CONDITIONAL)
    for seed in range(20):
        found = frame.completed({"degree": 4}, Key(seed))
        assert found["degree"] == 4
        assert found["kernel"] == "poly"
        assert CONDITIONAL.contains(found)
    about = CONDITIONAL.encode([{"kernel": "rbf", "gamma": 0.125}])[0]
    assert frame.completed({"kernel": "rbf"}, Key(0), about) == {"kernel": "rbf", "gamma": 0.125}


@pytest.mark.parametrize(
    ("fixed", "sentence"),
    [
        ({"depth": 1}, "the space has no parameter 'depth'; there are degree, kernel, gamma, coarse"),
        ({"degree": 9}, "degree must lie in [2, 5], got 9"),
        ({"degree": 3, "kernel": "rbf"}, "cannot be completed to a point of the space"),
    ],
)
def test_what_does_not_fit_is_refused(fixed: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidValue) as found:
        Frame(CONDITIONAL).completed(fixed, Key(0))
    assert sentence in str(found.value)


def test_a_condition_of_the_space_is_kept() -> None:
    space = Space(a=Float(0, 1), b=Float(0, 1)).where(lambda p: p["a"] + p["b"] <= 1)
    found = Frame(space).completed({"a": 0.75}, Key(3))
    assert found["a"] == 0.75
    assert found["b"] <= 0.25
