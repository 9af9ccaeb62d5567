"""CMA-ES with a model: the evaluations that it spares, and where it has to do without."""

import statistics
import sys
from pathlib import Path

import pytest
import torch

from descend.errors import InvalidValue
from descend.model import SurrogateCMAES
from descend.population.cma import CMAES

sys.path.append(str(Path(__file__).parent))  # the tests are no package
from conversations import ellipsoid, evaluations_to, rosenbrock, sphere


@pytest.mark.parametrize(("f", "d", "factor"), [(sphere, 5, 15.0), (ellipsoid, 5, 15.0), (rosenbrock, 3, 1.5)])
def test_it_takes_a_part_of_the_evaluations_of_cma_es(f, d, factor):
    ours = statistics.median(evaluations_to(SurrogateCMAES(), f, d, 1e-6, 2000, key) for key in range(3))
    theirs = statistics.median(evaluations_to(CMAES(), f, d, 1e-6, 4000, key) for key in range(3))
    assert factor * ours < theirs, (ours, theirs)


def test_on_plateaus_the_model_is_not_asked():
    """Steps of a staircase: it still gets to the lowest one, since whole generations are evaluated."""
    assert evaluations_to(SurrogateCMAES(), lambda xs: xs.abs().round().sum(1), 4, 0.0, 3000) < 3000


def test_it_finds_a_minimum_in_a_corner():
    corner = evaluations_to(SurrogateCMAES(), lambda xs: (xs + 8).square().sum(1), 4, 36.0 + 1e-6, 3000)
    assert corner < 1500


@pytest.mark.parametrize(("given", "sentence"), [({"sigma": -1.0}, "sigma > 0"), ({"popsize": 1}, "popsize >= 2")])
def test_wrong_hyperparameters_are_refused(given, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        SurrogateCMAES(**given)


def test_the_same_key_repeats_the_run():
    runs = [evaluations_to(SurrogateCMAES(), rosenbrock, 2, 1e-6, 1000, key) for key in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]
    assert torch.isfinite(torch.tensor(runs)).all()
