"""What others do, rewritten from their papers' descriptions where they have no package: the recipe of MeZO, EvoX.

Malladi et al. (2023), "Fine-tuning language models with just forward passes", algorithm 1 and its reference: the
parameters are moved in place by +eps z, -2 eps z and +eps z, then updated, z being drawn anew each time, whole tensor
by whole tensor, from torch's generator under one seed.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Recipe:
    """Algorithm 1 of MeZO as its authors run it.

    Args:
        model: whose parameters are trained.
        eps: how far a probe goes.
        lr: the learning rate.
    """

    def __init__(self, model: nn.Module, eps: float = 1e-3, *, lr: float) -> None:
        self.params = [p for p in model.parameters() if p.requires_grad]
        self.eps, self.lr, self.t = eps, lr, 0

    def _draws(self):
        """Every parameter with its z, the same ones each time."""
        torch.manual_seed(self.t)
        for p in self.params:
            yield p, torch.normal(mean=0.0, std=1.0, size=p.size(), dtype=p.dtype)

    def _perturb(self, factor: float) -> None:
        for p, z in self._draws():
            p.data = p.data + factor * z * self.eps

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> float:
        """Two forwards and four sweeps over the parameters; returns the first loss."""
        self.t += 1
        self._perturb(1)
        above = float(closure())
        self._perturb(-2)
        below = float(closure())
        self._perturb(1)
        slope = (above - below) / (2 * self.eps)
        for p, z in self._draws():
            p.data = p.data - self.lr * (slope * z)
        return above


def torchzero_mezo(model: nn.Module, lr: float) -> Callable[[Callable[[], Tensor]], object]:
    """A step of torchzero's MeZO."""
    import torchzero as tz

    optimizer = tz.Optimizer(model.parameters(), tz.m.MeZO(h=1e-3), tz.m.LR(lr))

    def step(closure: Callable[[], Tensor]) -> object:
        with torch.no_grad():
            return optimizer.step(lambda backward=False: closure())

    return step


class EvoX:
    """EvoX 1.4's VirtualLoRAES on a Sequential of linear layers and activations: rank one, Adam.

    Args:
        model, inputs, labels: the network and all its examples; a batch of them is drawn at every step.
        population: how many members.
        sigma, lr: as elsewhere.
        batch: examples a step.
        shaped: z-score the losses of a generation, which EvoX leaves to its users.
    """

    def __init__(
        self, model: nn.Sequential, inputs: Tensor, labels: Tensor, population: int, *, sigma: float = 0.05,
        lr: float = 1e-2, batch: int = 128, shaped: bool = False,
    ) -> None:  # fmt: skip
        from evox.algorithms.so.es_variants.virtual_lora_es import VirtualLoRAES
        from evox.problems.neuroevolution.virtual_lora_problem import VirtualLoRAProblem
        from evox.workflows import StdWorkflow
        from torch.utils.data import DataLoader, TensorDataset

        self.model = model
        shapes = [tuple(p.shape) for p in model.parameters()]
        centre = torch.cat([p.detach().flatten() for p in model.parameters()])
        self._algorithm = VirtualLoRAES(shapes, 1, population, centre, lr, sigma, "adam")
        loader = DataLoader(
            TensorDataset(inputs, labels), batch_size=batch, shuffle=len(inputs) > batch, drop_last=True
        )
        problem = VirtualLoRAProblem(model, loader, nn.CrossEntropyLoss(reduction="none"), 1)
        transform = _ZScore() if shaped else None
        self._workflow = StdWorkflow(self._algorithm, problem, fitness_transform=transform)

    def step(self) -> None:
        """One generation."""
        with torch.no_grad():
            self._workflow.step()

    def trained(self) -> nn.Sequential:
        """The model at the population's centre."""
        at = 0
        with torch.no_grad():
            for p in self.model.parameters():
                p.copy_(self._algorithm.center[at : at + p.numel()].view(p.shape))
                at += p.numel()
        return self.model


class _ZScore(nn.Module):
    def forward(self, losses: Tensor) -> Tensor:
        return (losses - losses.mean()) / (losses.std() + 1e-8)
