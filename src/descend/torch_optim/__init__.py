"""The torch.optim face: estimators, transforms and step rules as a `torch.optim.Optimizer`."""

from descend.torch_optim.optimizer import Optimizer
from descend.torch_optim.recorder import Recorder
from descend.torch_optim.replay import replay
from descend.torch_optim.rounding import Feedback, Nearest, Rounding, Stochastic
from descend.torch_optim.trajectory import Damaged, Trajectory

__all__ = [
    "Damaged",
    "Feedback",
    "Nearest",
    "Optimizer",
    "Recorder",
    "Rounding",
    "Stochastic",
    "Trajectory",
    "replay",
]
