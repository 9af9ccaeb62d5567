"""What is to be had without training the encoder: the anchors alone, and a linear classifier of its embeddings."""

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from .problem import Problem
from .summary import Row

__all__ = ["linear_probe", "zero_shot"]

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Inverse penalties on the weights that are tried; the validation snippets choose."""


def zero_shot(problem: Problem) -> Row:
    """Whichever anchor a snippet lies nearer to."""
    return _row("zero-shot", problem, (problem.kept.embeddings @ problem.anchors.T).argmax(1))


def linear_probe(problem: Problem) -> Row:
    """A logistic regression on the frozen embeddings."""
    x, y = problem.kept.embeddings.numpy(), problem.labels.numpy()
    train, validation = problem.train.numpy(), problem.validation.numpy()
    fitted = [LogisticRegression(C=strength, max_iter=3000).fit(x[train], y[train]) for strength in STRENGTHS]
    best = max(fitted, key=lambda probe: float(probe.score(x[validation], y[validation])))
    return _row("linear probe", problem, torch.as_tensor(best.predict(x)))


def _row(title: str, problem: Problem, said: Tensor) -> Row:
    right = said == problem.labels
    validation, test = (float(right[part].float().mean()) for part in (problem.validation, problem.test))
    return Row(title, (test,), validation=validation, answers="".join(map(str, said[problem.test].tolist())))
