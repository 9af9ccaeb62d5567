"""The index: how much there is, read-only, found by name, tabulated."""

import importlib
import inspect
import pkgutil
import re

import pytest

from descend import problems
from descend.problems import catalogue


def test_there_are_enough_problems() -> None:
    own = [name for name in problems.two_dimensional if name not in problems.scalable]
    assert len(problems.two_dimensional) >= 100
    assert len(own) >= 65
    assert len(problems.scalable) >= 40
    assert sum(problem.smooth for problem in problems.two_dimensional.values()) >= 60
    assert sum("multimodal" in problem.tags for problem in problems.two_dimensional.values()) >= 40


def test_names_are_keys_in_snake_case_and_unique() -> None:
    for mapping in (problems.two_dimensional, problems.scalable):
        for name, problem in mapping.items():
            assert problem.name == name
            assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)
    rows = len(catalogue.PLANAR) + len(catalogue.SCALABLE)
    assert len(problems.two_dimensional) == rows  # no row hides another of the same name


def test_scalable_problems_are_two_dimensional_too() -> None:
    for name, problem in problems.scalable.items():
        assert problems.two_dimensional[name] == problem.at(2)


def test_mappings_are_read_only() -> None:
    with pytest.raises(TypeError):
        problems.scalable["mine"] = problems.sphere  # pyright: ignore[reportIndexIssue]
    with pytest.raises(TypeError):
        del problems.two_dimensional["beale"]  # pyright: ignore[reportIndexIssue]


def test_every_table_of_rows_is_in_the_catalogue() -> None:
    listed = {problem.name for problem in (*catalogue.PLANAR, *catalogue.SCALABLE)}
    package = importlib.import_module("descend.problems")
    modules = [module.name for module in pkgutil.iter_modules(package.__path__)]
    tables = [name for name in modules if name.startswith(("_planar_", "_scalable_"))]
    assert len(tables) == 8
    for name in tables:
        module = importlib.import_module(f"descend.problems.{name}")
        rows = [rows for rows in vars(module).values() if isinstance(rows, list)]
        assert len(rows) == 1
        assert {row.name for row in rows[0]} <= listed


def test_get_finds_by_name_and_suggests_the_nearest() -> None:
    assert problems.get("rosenbrock") is problems.rosenbrock
    assert problems.get("beale") is problems.beale
    assert problems.get("rosenbrock").at(7).dimension == 7
    with pytest.raises(LookupError, match=r"called 'himelblau'; did you mean 'himmelblau'\? problems\.table\(\) lists"):
        problems.get("himelblau")
    with pytest.raises(LookupError, match=r"no problem called 'qqq'\. problems\.table\(\) lists all"):
        problems.get("qqq")


def test_every_attribute_is_the_problem_of_its_name() -> None:
    for name in problems.__all__:
        if name in problems.two_dimensional:
            assert getattr(problems, name) is problems.get(name)
    assert set(problems.__all__) <= set(vars(problems))


def test_table_is_markdown_with_a_row_for_each_problem() -> None:
    lines = problems.table().splitlines()
    assert len(lines) == 2 + len(problems.two_dimensional)
    assert all(line.count("|") == 7 for line in lines)  # no formula contains the bar that divides columns
    [beale] = [line for line in lines if line.startswith("| `beale` |")]
    assert "| [-4.5, 4.5]² | 0 |" in beale
    [adjiman] = [line for line in lines if line.startswith("| `adjiman` |")]
    assert "| [-1, 2] × [-1, 1] | -2.0218068 |" in adjiman
    [styblinski] = [line for line in lines if line.startswith("| `styblinski_tang` |")]
    assert "| any |" in styblinski
    assert "-78.332331 (d = 2), -391.66166 (d = 10)" in styblinski


def test_formulas_are_balanced_and_every_problem_has_a_source_with_a_year() -> None:
    for problem in (*catalogue.PLANAR, *catalogue.SCALABLE):
        formula = problem.formula
        bare = re.sub(r"\\[{}]", "", formula)
        assert bare.count("{") == bare.count("}"), problem.name
        assert formula.count(r"\left") - formula.count(r"\leftarrow") == formula.count(r"\right"), problem.name
        assert re.search(r"\d{4}|MATLAB", problem.source), problem.name


def test_functions_have_the_name_of_their_problem() -> None:
    for problem in problems.scalable.values():
        assert inspect.isfunction(problem.function)
        assert problem.function.__name__ == problem.name
