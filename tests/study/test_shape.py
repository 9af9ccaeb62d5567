"""Points made of the JSON of a space are those that the space itself makes."""

import json

import pytest

from descend.key import Key
from descend.space import Array, Bool, Choice, Float, Int, Permutation, Simplex, Space, When, as_space
from descend.study.frame import Frame
from descend.study.shape import shaped

CONDITIONAL = Space(degree=When("kernel", "poly", Int(2, 5)), kernel=Choice("rbf", "poly"))
NESTED = Space(
    {"a.b": Float(0, 1)}, opt=Space(name=Choice("sgd", ("adam", 2)), inner=Space(lr=Float(0, 1))),
    order=Permutation(4), w=Array(Space(x=Float(0, 1)), (2, 2)), parts=Simplex(["a", "b"]), flag=Bool(),
    late=When("flag", True, When("flag", True, Space(a=Int(1, 3), b=Bool()))),
)  # fmt: skip


@pytest.mark.parametrize("space", [CONDITIONAL, NESTED, as_space(Float(0, 1)), as_space([(0, 1), (2, 3)])])
def test_points_are_those_of_the_space(space: Space) -> None:
    frame, text = Frame(space), json.loads(space.root.text)
    for point in space.sample(50, Key(1)):
        found = shaped(frame.flattened(point), text)
        assert json.dumps(found) == json.dumps(point)  # the order too
        assert found == point


def test_without_a_space_there_are_names_only() -> None:
    assert shaped({"a.b": 1, "t": {"tuple": (1, 2)}}, None) == {"a.b": 1, "t": (1, 2)}
    assert shaped({}, json.loads(NESTED.root.text)) == {}
