"""The problems on which tuners are compared: six that the targets name, six others to decide by, and six to check with.

Each is made by a function without arguments, and is the same every time. Models are trained on scikit-learn's own data.
"""

from collections.abc import Callable

from tuning.learning import (
    cancer_pipeline,
    cancer_svc,
    diabetes_boosting,
    diabetes_models,
    diabetes_svr,
    digits_models,
    wine_forest,
    wine_mlp,
    wine_neighbours,
)
from tuning.problem import Task
from tuning.synthetic import (
    ackley10,
    branin,
    griewank8,
    hartmann6,
    levy5,
    mixed,
    noisy_branin,
    rosenbrock20,
    shapes,
    tree,
)

__all__ = ["GROUPS", "TASKS"]

GROUPS: dict[str, dict[str, Callable[[], Task]]] = {
    "named": {
        "branin": branin,
        "hartmann6": hartmann6,
        "ackley10": ackley10,
        "svc_cancer": cancer_svc,
        "model_digits": digits_models,
        "mlp_wine": wine_mlp,
    },
    "decided": {
        "levy5": levy5,
        "rosenbrock20": rosenbrock20,
        "mixed": mixed,
        "tree": tree,
        "svr_diabetes": diabetes_svr,
        "models_diabetes": diabetes_models,
    },
    "checked": {
        "griewank8": griewank8,
        "shapes": shapes,
        "noisy_branin": noisy_branin,
        "pipeline_cancer": cancer_pipeline,
        "boosting_diabetes": diabetes_boosting,
        "forest_wine": wine_forest,
        "neighbours_wine": wine_neighbours,
    },
}
"""named: those of the targets, looked at only to see whether they are met. decided: by these methods are chosen and
their numbers. checked: by these nothing is decided."""

TASKS: dict[str, Callable[[], Task]] = {name: make for group in GROUPS.values() for name, make in group.items()}
