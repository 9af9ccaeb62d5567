"""Hugging Face's Trainer with an optimizer that never asks for a gradient: every training step is a few forward passes.

The trainer goes on doing what it does (batches, schedules, logging, evaluation, checkpoints, resuming). Only its
`training_step`, which would run forward and backward, becomes the closure of one optimizer step.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from descend.errors import CompositionError, InvalidValue
from descend.torch_optim import Optimizer

__all__ = ["ForwardOnly"]


class ForwardOnly:
    """Mixed into any subclass of `transformers.Trainer`, it trains without backward passes.

    Write it first among the bases, and hand over the optimizer as the trainer's `optimizers`; with None beside it the
    trainer makes the schedule that its arguments name. The trainer then differs in this:

    * No backward pass is made, no parameter ever has a .grad, and nothing is kept for one. A step costs as many
      forward passes as the optimizer's estimator asks for, times `gradient_accumulation_steps`: the batches of one
      step are evaluated together at every probe.
    * Random numbers that a forward draws (dropout) come from the optimizer's key, the same for all probes of a step,
      and the global generators are left as they were. So a resumed run equals one that was never interrupted.
    * Adapters of `peft` need nothing: what is frozen is not moved.
    * What is about gradients has no effect (`max_grad_norm`; the logged `grad_norm` is 0), and `learning_rate` and
      `weight_decay` are the optimizer's own, as for every optimizer that is handed over.
    * Several processes, each with batches of its own, need an optimizer with ``parallel=Parallel(batch=n)``: then the
      losses travel, and nothing else.

    Raises:
        CompositionError: the trainer was given no descend optimizer, or one without an estimator, or one for a single
            process where there are several.
        InvalidValue: `fp16=True`, whose loss scaling is for gradients; `bf16=True` works, and so do models in float16.

    >>> class Loop:  # stands for transformers.Trainer
    ...     optimizer = None
    ...     def create_optimizer(self):
    ...         return self.optimizer
    >>> class Trainer(ForwardOnly, Loop):
    ...     pass
    >>> Trainer().create_optimizer()
    Traceback (most recent call last):
    descend.errors.CompositionError: ForwardOnly needs an optimizer that estimates, got None; ...
    """

    optimizer: Any
    accelerator: Any
    args: Any
    _waiting: tuple[Callable[[], Tensor], ...] = ()

    def create_optimizer(self, *model: Any) -> Any:
        """As the trainer's, which calls it; wraps the optimizer so that its step is not taken twice."""
        own = _own(self.optimizer)
        if self.accelerator.scaler is not None:
            raise InvalidValue(
                "fp16=True scales the loss for the sake of gradients, of which there are none; "
                "write bf16=True, or load the model with dtype=torch.float16"
            )
        processes = self.accelerator.num_processes
        if processes > 1 and own.parallel is None:
            raise CompositionError(
                f"each of the {processes} processes would go its own way; write "
                f"Optimizer(..., key=0, parallel=Parallel(batch={processes}))"
            )
        if self.optimizer is own:
            self.optimizer = _Taken(own)
        self._waiting = ()  # what an interrupted training may have left
        return super().create_optimizer(*model)  # type: ignore[misc]  # the trainer's

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """One batch: kept until the step's last one is there, then the optimizer's step over all of them.

        Returns:
            The loss of the step, () on the trainer's device; zero for a batch that waits.
        """
        batch = self._prepare_inputs(inputs)  # type: ignore[attr-defined]  # once, not at every probe
        trainer_step = super().training_step  # type: ignore[misc]
        self._waiting = (*self._waiting, lambda: trainer_step(model, batch, num_items_in_batch))
        if not self.accelerator.sync_gradients:
            return torch.zeros((), device=self.args.device)
        parts, self._waiting = self._waiting, ()
        with _without_backward(self.accelerator):
            loss = _own(self.optimizer).step(lambda: torch.stack([part() for part in parts]).sum(0))
        assert loss is not None  # there was a closure
        return loss.to(self.args.device)


class _Taken(torch.optim.Optimizer):
    """An optimizer whose step was taken already when the trainer's loop comes to it: all but `step` is the other's."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["optimizer"], name)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Nothing."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        self.optimizer.add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        return self.optimizer.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state_dict)


def _own(optimizer: Any) -> Optimizer:
    """The descend optimizer under what was wrapped around it."""
    inner = optimizer
    while inner is not None and not isinstance(inner, Optimizer):
        inner = getattr(inner, "optimizer", None)
    if inner is None or not inner.estimators:
        raise CompositionError(
            f"ForwardOnly needs an optimizer that estimates, got {optimizer!r}; "
            "write optimizers=(Optimizer(model, SPSA(), lr=...), None)"
        )
    return inner


@contextmanager
def _without_backward(accelerator: Any) -> Iterator[None]:
    """While it is open, the trainer's call for a backward pass does nothing."""
    accelerator.backward = _nothing  # hides the method
    try:
        yield
    finally:
        del accelerator.backward


def _nothing(*_: Any, **__: Any) -> None: ...
