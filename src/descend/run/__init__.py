"""Running a method: minimize, stopping rules, executors, results."""

from descend.run.ask_tell import AskTell
from descend.run.execute import Batched, Executor, Processes, Serial, Threads
from descend.run.front import Front
from descend.run.loop import minimize
from descend.run.method import Method, Standing
from descend.run.minimize_many import minimize_many
from descend.run.result import History, Result
from descend.run.until import (
    Both,
    Either,
    Evaluations,
    NoImprovement,
    Plateau,
    Progress,
    Rejections,
    Seconds,
    StepNorm,
    Steps,
    Target,
    Until,
)

__all__ = [
    "AskTell",
    "Batched",
    "Both",
    "Either",
    "Evaluations",
    "Executor",
    "Front",
    "History",
    "Method",
    "NoImprovement",
    "Plateau",
    "Processes",
    "Progress",
    "Rejections",
    "Result",
    "Seconds",
    "Serial",
    "Standing",
    "StepNorm",
    "Steps",
    "Target",
    "Threads",
    "Until",
    "minimize",
    "minimize_many",
]
