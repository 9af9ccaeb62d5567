"""Spaces that are discovered from trials: the rules that explain them, and nothing that they refute."""

from typing import Any

import pytest

from descend.errors import InvalidValue
from descend.key import Key
from descend.space import Bool, Choice, Float, Int, Leaf, Permutation, Space, When
from descend.study.definitions import Definitions, merged
from descend.study.discovered import Discovered

LEAVES: dict[str, Leaf] = {
    "model": Choice("svc", "forest", "linear"),
    "scale": Bool(),
    "kernel": Choice("rbf", "poly"),
    "C": Float(0.01, 100, log=True),
    "degree": Int(2, 5),
    "trees": Int(10, 100),
}
TRUE = Space(
    model=LEAVES["model"], scale=LEAVES["scale"], kernel=When("model", "svc", LEAVES["kernel"]),
    C=When("model", ("svc", "linear"), LEAVES["C"]), degree=When("kernel", "poly", LEAVES["degree"]),
    trees=When("model", "forest", LEAVES["trees"]),
)  # fmt: skip


def trials(n: int) -> list[dict[str, Any]]:
    return [{name: point[name] for name in LEAVES if name in point} for point in TRUE.sample(n, Key(4))]


def test_enough_trials_show_the_space_as_it_is() -> None:
    found = Discovered.of(LEAVES, trials(60)).space
    assert found is not None
    assert {name: set(node.several) for name, node in conditions(found).items()} == {
        "kernel": {"svc"}, "C": {"svc", "linear"}, "degree": {"poly"}, "trees": {"forest"},
    }  # fmt: skip
    assert {name: node.parent for name, node in conditions(found).items()} == {
        "kernel": "model", "C": "model", "degree": "kernel", "trees": "model",
    }  # fmt: skip


def conditions(space: Space) -> dict[str, When]:
    nodes = space.root.nodes  # type: ignore[attr-defined]
    return {name: node for name, node in nodes.items() if isinstance(node, When)}


def test_trials_are_always_points_of_what_they_show() -> None:
    every = trials(40)
    for n in range(1, 40):
        space = Discovered.of(LEAVES, every[:n]).space
        assert space is not None
        assert all(space.contains(params) for params in every[:n]), n


def test_what_explains_a_trial_stays_as_it_is_and_the_rest_is_made_anew() -> None:
    every, found, changes = trials(60), Discovered({}, {}, frozenset()), 0
    for n, params in enumerate(every):
        anew = Discovered.of(LEAVES, every[: n + 1])
        if found.explains(LEAVES, params):
            assert anew.rules.keys() == found.rules.keys()
            assert anew.space == found.space
        else:
            changes += 1
            found = anew
    assert 3 <= changes <= 15


def test_what_no_rule_explains_counts_as_always_there() -> None:
    leaves: dict[str, Leaf] = {"a": Bool(), "b": Float(0, 1)}
    shown = [{"a": True, "b": 0.5}, {"a": True}, {"a": False, "b": 0.1}]
    found = Discovered.of(leaves, shown)
    assert found.unruled == {"b"}
    assert found.space == Space(leaves)
    assert found.explains(leaves, {"a": False})
    assert not found.explains(leaves, {"b": 0.5})


def test_nothing_depends_on_a_number_with_many_values_nor_on_what_came_later() -> None:
    leaves: dict[str, Leaf] = {"n": Int(1, 1000), "x": Float(0, 1), "late": Bool()}
    shown = [{"n": 5, "x": 0.5, "late": True}, {"n": 7, "late": False}]
    assert Discovered.of(leaves, shown).rules == {}


def test_a_space_without_anything_to_search_is_none() -> None:
    assert Discovered.of({"k": Choice("a")}, [{"k": "a"}]).space is None


@pytest.mark.parametrize(
    ("old", "new", "both"),
    [
        (Float(0, 1), Float(0.5, 2), Float(0, 2)),
        (Float(1, 2, log=True), Float(1, 4, log=True), Float(1, 4, log=True)),
        (Int(0, 10, step=5), Int(5, 20, step=5), Int(0, 20, step=5)),
        (Choice("a", 1), Choice(True, "a"), Choice("a", 1, True)),
        (Choice("a", "b"), Choice("b"), Choice("a", "b")),
        (Permutation(3), Permutation(3), Permutation(3)),
    ],
)
def test_definitions_are_merged(old: Leaf, new: Leaf, both: Leaf) -> None:
    assert merged("it", old, new) == both
    if both == old:
        assert merged("it", old, new) is old


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Float(0, 1), Int(0, 1)),
        (Float(1, 2), Float(1, 2, log=True)),
        (Int(0, 10, step=5), Int(1, 11, step=5)),
        (Choice("a"), Bool()),
        (Permutation(3), Permutation(4)),
        (Float(0, 1, step=0.5), Float(0, 2, step=0.5)),
    ],
)
def test_two_different_things_of_one_name_are_refused(old: Leaf, new: Leaf) -> None:
    with pytest.raises(InvalidValue, match=r"it was .* in this study, and is now .* another name"):
        merged("it", old, new)


def test_a_prefix_of_the_definitions_is_what_they_were() -> None:
    known = Definitions()
    known.extend([("k", Choice("a").text), ("x", Float(0, 1).text)])
    known.extend([("k", Choice("b").text), ("x", Float(0, 1).text)])
    assert [dict(known.leaves(count)).get("k") for count in range(5)] == [
        None, Choice("a"), Choice("a"), Choice("a", "b"), Choice("a", "b"),
    ]  # fmt: skip
    assert (known.needed("k"), known.needed("x"), len(known)) == (3, 2, 4)
    assert known.leaves(4)["x"] is known.leaves(2)["x"]
