"""LightGBM: leaves and rate of boosted trees, whose bad runs end after some rounds."""

import lightgbm
from lightgbm.callback import CallbackEnv, EarlyStopException
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from descend.study import Study, Trial
from descend.study.pruners import MedianPruner


class Prune:
    """Ends a boosting that the study's pruner gives up.

    Args:
        trial: of the study.
        data, metric: what is reported after each round: the name of one of the validation sets, and of a metric.
    """

    def __init__(self, trial: Trial, data: str = "valid", metric: str = "binary_logloss") -> None:
        self.trial, self.data, self.metric = trial, data, metric

    def __call__(self, env: CallbackEnv) -> None:
        measured = env.evaluation_result_list or []
        value = next(each[2] for each in measured if tuple(each[:2]) == (self.data, self.metric))
        self.trial.report(env.iteration, value)
        if self.trial.should_stop():
            raise EarlyStopException(env.iteration, measured)


def objective(trial: Trial) -> float:
    """The loss on the validation data after 40 rounds, or when the boosting was given up."""
    settings = {
        "objective": "binary",
        "num_leaves": trial.int("num_leaves", 2, 64, log=True),
        "learning_rate": trial.float("learning_rate", 1e-3, 1, log=True),
        "num_threads": 1,
        "seed": 0,
        "verbose": -1,
    }
    x, x_valid, y, y_valid = train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)
    data = lightgbm.Dataset(x, y)
    model = lightgbm.train(
        settings,
        data,
        num_boost_round=40,
        valid_sets=[lightgbm.Dataset(x_valid, y_valid, reference=data)],
        valid_names=["valid"],
        callbacks=[Prune(trial)],
    )
    return model.best_score["valid"]["binary_logloss"] if trial.last is None else trial.last[0]


if __name__ == "__main__":
    study = Study(pruner=MedianPruner(startup=4, warmup=5))
    study.run(objective, trials=30)
    pruned = sum(record.state == "pruned" for record in study.trials)
    print(f"{study.best.params}: {study.best.value:.4g}; {pruned} of {len(study.trials)} trials were pruned")
