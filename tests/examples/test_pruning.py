"""The callbacks of the trainers: good runs are trained to their end, a bad one is given up."""

import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from descend.direct import Uniform
from descend.study import Study
from descend.study.pruners import MedianPruner

sys.path.append(str(Path(__file__).parents[2]))  # examples are no part of the package

ROWS = {
    "lightning": ("lightning_callback", {"rate": 3e-2, "width": 16}, {"rate": 1e-5, "width": 16}, 10),
    "transformers": ("hugging_face_callback", {"rate": 3e-2}, {"rate": 1e-5}, 5),
    "xgboost": ("xgboost_callback", {"max_depth": 3, "eta": 0.3}, {"max_depth": 1, "eta": 1e-3}, 40),
    "lightgbm": (
        "lightgbm_callback",
        {"num_leaves": 8, "learning_rate": 0.3},
        {"num_leaves": 2, "learning_rate": 1e-3},
        40,
    ),
}


@pytest.mark.parametrize("library", ROWS)
def test_bad_runs_end_early_and_good_ones_do_not(library: str) -> None:
    pytest.importorskip(library, reason=f"the example is for {library}")
    name, good, bad, steps = ROWS[library]
    example: Any = importlib.import_module(f"examples.pruning.{name}")
    study = Study(method=Uniform(), pruner=MedianPruner(startup=2), key=0)
    for point in (good, good, bad):
        study.enqueue(point)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the trainers', about loaders and machines
        study.run(example.objective, trials=3, catch=False)
    trials = study.trials
    assert [len(record.reports) for record in trials[:2]] == [steps, steps]
    assert (trials[2].state, len(trials[2].reports)) == ("pruned", 1)
    assert [record.value for record in trials] == [record.reports[max(record.reports)] for record in trials]
    assert trials[0].value < trials[2].value
