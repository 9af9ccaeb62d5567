"""What a problem does apart from its formula: calls, dimensions, shifts, pickling, and sentences for mistakes."""

import pickle
from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from descend import problems
from descend.problems import Problem


def test_integers_scalars_and_other_dimensions_are_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"'beale' takes points of 2 coordinates.*shape \(4, 3\).*shape \(\.\.\., 2\)"):
        problems.beale(torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"floating-point points.*torch\.int64.*write for example"):
        problems.beale(torch.tensor([1, 2]))
    with pytest.raises(ValueError, match=r"'sphere' takes floating-point points of shape \(\.\.\., d\).*shape \(\)"):
        problems.sphere(torch.tensor(1.0))
    with pytest.raises(ValueError, match=r"'sphere' needs at least 2 dimensions, not 1; write 2 or more"):
        problems.sphere(torch.zeros(5, 1))


def test_at_fixes_the_dimension() -> None:
    assert problems.rosenbrock.dimension is None
    problem = problems.rosenbrock.at(3)
    assert problem.dimension == 3
    assert problem.low == (-2.048,) * 3
    assert problem.minimizers.tolist() == [[1.0, 1.0, 1.0]]
    assert problem.start.tolist() == [-1.2, 1.0, -1.2]
    with pytest.raises(ValueError, match="takes points of 3 coordinates"):
        problem(torch.zeros(4))
    assert problem.at(3) is problem
    assert problems.get("beale").at(2) is problems.beale
    with pytest.raises(ValueError, match=r"'beale' exists in 2 dimensions only, not in 5; choose one of problems\.sca"):
        problems.beale.at(5)
    with pytest.raises(ValueError, match="needs at least 2 dimensions, not 1"):
        problems.ackley.at(1)


def test_start_and_minimizers_are_new_tensors_so_that_no_method_can_spoil_them() -> None:
    problems.beale.start.fill_(7.0)
    problems.beale.minimizers.fill_(7.0)
    assert problems.beale.start.tolist() == [1.0, 1.0]
    assert problems.beale.minimizers.tolist() == [[3.0, 0.5]]
    assert problems.beale.start.dtype == problems.beale.minimizers.dtype == torch.float64


def test_problems_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        problems.beale.minimum = 1.0  # pyright: ignore[reportAttributeAccessIssue]


def test_shifted_moves_everything_but_the_minimum() -> None:
    moved = problems.branin.shifted([100.0, -7.5])
    x = torch.tensor([[1.0, 2.0], [-3.0, 12.0]], dtype=torch.float64)
    offset = torch.tensor([100.0, -7.5], dtype=torch.float64)
    torch.testing.assert_close(moved(x + offset), problems.branin(x), rtol=1e-12, atol=0.0)
    assert moved.low == (95.0, -7.5)
    assert moved.high == (110.0, 7.5)
    torch.testing.assert_close(moved.start, problems.branin.start + offset)
    torch.testing.assert_close(moved(moved.minimizers), torch.full((3,), moved.minimum, dtype=torch.float64))
    assert moved.minimum == problems.branin.minimum
    assert moved.name == "branin_shifted"
    assert problems.branin.shifted(offset) == moved  # a tensor will do
    assert moved(x.to(torch.bfloat16)).dtype == torch.bfloat16
    torch.testing.assert_close(torch.func.vmap(moved)(x), moved(x))
    with pytest.raises(ValueError, match="'branin' has 2 dimensions but the offset has 3 numbers"):
        problems.branin.shifted([1.0, 2.0, 3.0])


@pytest.mark.parametrize("name", sorted(problems.two_dimensional))
def test_every_problem_can_be_pickled(name: str) -> None:
    problem = problems.two_dimensional[name].shifted([0.25, 0.5])
    again = pickle.loads(pickle.dumps(problem))
    assert again == problem
    assert torch.equal(again(problem.start), problem(problem.start))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"low": (0.0,)}, r"'beale' has 2 dimensions but low = \(0\.0,\) has 1 numbers; write one number for each"),
        ({"begin": (0.0, 1.0, 2.0)}, "but begin = .* has 3 numbers"),
        ({"solutions": ((3.0, 0.5), (1.0,))}, r"but solutions\[1\] = \(1\.0,\) has 1 numbers"),
        ({"solutions": ()}, "'beale' has no solutions; write at least one minimizer"),
        ({"low": (5.0, 0.0)}, r"has the side \[5\.0, 4\.5\]; write the smaller number in low"),
        ({"tags": frozenset({"spiky"})}, r"unknown tags \['spiky'\]; choose from"),
    ],
)
def test_parts_that_do_not_fit_are_refused_with_a_sentence(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(problems.beale, **change)  # pyright: ignore[reportArgumentType]


def test_scalable_problems_check_their_tags() -> None:
    with pytest.raises(ValueError, match="'sphere' has the unknown tags"):
        replace(problems.sphere, tags=frozenset({"spherical"}))


def test_smooth_is_the_absence_of_a_tag() -> None:
    assert problems.beale.smooth
    assert problems.sphere.smooth
    assert not problems.ackley.smooth
    assert not problems.eggholder.smooth


def test_a_problem_of_ones_own() -> None:
    mine = Problem(
        name="mine",
        function=lambda x: (x**2).sum(-1),
        dimension=1,
        low=(-1.0,),
        high=(2.0,),
        minimum=0.0,
        solutions=((0.0,),),
        begin=(1.5,),
        formula="x^2",
        source="here",
    )
    assert mine(torch.tensor([[3.0], [4.0]])).tolist() == [9.0, 16.0]
