"""The torch.optim face: estimators, transforms and step rules as a `torch.optim.Optimizer`."""

from descend.torch_optim.optimizer import Optimizer

__all__ = ["Optimizer"]
