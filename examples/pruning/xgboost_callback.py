"""XGBoost: depth and rate of boosted trees, whose bad runs end after some rounds."""

from typing import Any

import xgboost
import xgboost.callback
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from descend.study import Study, Trial
from descend.study.pruners import MedianPruner


class Prune(xgboost.callback.TrainingCallback):
    """Ends a boosting that the study's pruner gives up.

    Args:
        trial: of the study.
        data, metric: what is reported after each round: the name of one of `evals`, and of a metric.
    """

    def __init__(self, trial: Trial, data: str = "valid", metric: str = "logloss") -> None:
        super().__init__()
        self.trial, self.data, self.metric = trial, data, metric

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self.trial.report(epoch, float(evals_log[self.data][self.metric][-1]))
        return self.trial.should_stop()


def objective(trial: Trial) -> float:
    """The loss on the validation data after 40 rounds, or when the boosting was given up."""
    settings = {
        "objective": "binary:logistic",
        "max_depth": trial.int("max_depth", 1, 8),
        "eta": trial.float("eta", 1e-3, 1, log=True),
        "nthread": 1,
        "seed": 0,
    }
    x, x_valid, y, y_valid = train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)
    valid = xgboost.DMatrix(x_valid, y_valid)
    history: dict[str, Any] = {}
    xgboost.train(
        settings,
        xgboost.DMatrix(x, y),
        num_boost_round=40,
        evals=[(valid, "valid")],
        evals_result=history,
        callbacks=[Prune(trial)],
        verbose_eval=False,
    )
    return history["valid"]["logloss"][-1]


if __name__ == "__main__":
    study = Study(pruner=MedianPruner(startup=4, warmup=5))
    study.run(objective, trials=30)
    pruned = sum(record.state == "pruned" for record in study.trials)
    print(f"{study.best.params}: {study.best.value:.4g}; {pruned} of {len(study.trials)} trials were pruned")
