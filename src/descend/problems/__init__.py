"""Test functions with known minima: more than a hundred of two variables, more than forty of any number.

`two_dimensional` and `scalable` map names to problems, `get` finds one by name, `table` lists them in Markdown, and the
most famous are attributes: `problems.rosenbrock`, `problems.beale`, ...

>>> import torch
>>> from descend import problems
>>> problem = problems.ackley.at(3)
>>> problem(problem.minimizers)
tensor([0.], dtype=torch.float64)
>>> torch.func.grad(problems.sphere)(torch.tensor([1.0, 2.0]))
tensor([2., 4.])
"""

from descend.problems.catalogue import get, scalable, table, two_dimensional
from descend.problems.core import TAGS, Problem, Scalable

ackley = scalable["ackley"]
griewank = scalable["griewank"]
levy = scalable["levy"]
michalewicz = scalable["michalewicz"]
rastrigin = scalable["rastrigin"]
rosenbrock = scalable["rosenbrock"]
schwefel = scalable["schwefel"]
sphere = scalable["sphere"]
styblinski_tang = scalable["styblinski_tang"]
beale = two_dimensional["beale"]
booth = two_dimensional["booth"]
branin = two_dimensional["branin"]
easom = two_dimensional["easom"]
eggholder = two_dimensional["eggholder"]
goldstein_price = two_dimensional["goldstein_price"]
himmelblau = two_dimensional["himmelblau"]
six_hump_camel = two_dimensional["six_hump_camel"]

__all__ = [
    "TAGS",
    "Problem",
    "Scalable",
    "ackley",
    "beale",
    "booth",
    "branin",
    "easom",
    "eggholder",
    "get",
    "goldstein_price",
    "griewank",
    "himmelblau",
    "levy",
    "michalewicz",
    "rastrigin",
    "rosenbrock",
    "scalable",
    "schwefel",
    "six_hump_camel",
    "sphere",
    "styblinski_tang",
    "table",
    "two_dimensional",
]
