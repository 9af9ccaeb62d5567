"""Every example of a batch at a point of its own, all of them in one forward.

The examples run under vmap as batches of one, with the model intercepted (see `descend.oracle.intercept`): example i
meets parameters moved along direction i. Where a model branches on a number on which the examples differ, such as
whether a text is padded, those that agree on it go together. What cannot run so is asked one example at a time.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase  # what all batch norms share
from torch.overrides import TorchFunctionMode

from descend.direction import Directions
from descend.errors import BudgetExhausted, CompositionError, ShapeMismatch
from descend.key import Key
from descend.oracle.examples import Examples
from descend.oracle.failure import OnFailure
from descend.oracle.intercept import Intercept, Move
from descend.oracle.leaf import Randomness
from descend.oracle.ledger import Ledger
from descend.oracle.population import Population, in_short, settled

__all__ = ["Apart"]

Loss = Callable[[Any], Any]
"""The user's loss over a batch: one number, or one per example."""


class Apart:
    """Asks examples around the live parameters.

    Args:
        population: of the same parameters.
        model: whose batch norms must not be training, since they mix the examples; None if there is none.

    Attributes:
        together: whether the examples still run as one forward.
        reason: why they do not, in words, once that was found out.
    """

    def __init__(self, population: Population, model: nn.Module | None) -> None:
        self.population = population
        self.together, self.reason = True, ""
        modules = [] if model is None else model.named_modules()
        self._norms = [
            (name, m) for name, m in modules if isinstance(m, _NormBase) and "Instance" not in type(m).__name__
        ]

    def losses(
        self,
        directions: Directions,
        scales: Tensor,
        batch: Any,
        loss: Loss,
        key: Key,
        ledger: Ledger,
        policy: OnFailure,
    ) -> Tensor:
        """As `Oracle.apart`.

        Args:
            loss: is asked under the key, with random numbers of their own for every example.
            ledger: is charged one evaluation for a pass through the batch.
            policy: what stands for losses that are not finite.

        Raises:
            ShapeMismatch, InvalidValue: the batch cannot be taken apart, see `Examples`; or there is not one direction
                for every example.
            CompositionError: a batch norm is training.
        """
        for name, norm in self._norms:
            if norm.training or norm.running_mean is None:
                raise CompositionError(
                    f"{name} is a batch norm over the examples of a batch, so they have no losses of their own; "
                    "write model.eval(), or an estimator that moves the whole batch, such as SPSA()"
                )
        examples = Examples(batch)
        n, m = scales.shape
        if n % examples.count:
            raise ShapeMismatch(f"{n} directions are not the same number for each of {examples.count} examples")
        found = torch.empty(n, m, dtype=torch.float64)
        with torch.no_grad(), self.population.kept as kept, Randomness(key) as randomness:
            for first in range(0, n, examples.count):
                some = slice(first, first + examples.count)
                for column in range(m):
                    ledger.charge("value")
                    rows, amounts = list(range(first, some.stop)), scales[some, column].tolist()
                    found[some, column] = self._pass(directions, rows, amounts, examples, loss, randomness)
                    randomness.again()
                    kept.again()
        return settled(found, ledger, policy)

    def _pass(
        self,
        directions: Directions,
        rows: list[int],
        amounts: list[float],
        examples: Examples,
        loss: Loss,
        randomness: Randomness,
    ) -> Tensor:
        """One pass through the batch: (b,)."""
        if self.together and len(rows) > 1:
            try:
                return self._in_groups(directions, rows, amounts, examples, loss)
            except (BudgetExhausted, torch.OutOfMemoryError):
                raise
            except Exception as error:
                self._give_up(error)
        answers = []
        for i, (row, amount) in enumerate(zip(rows, amounts, strict=True)):
            randomness.again()
            with self.population.probe(directions, row, amount):
                answers.append(torch.as_tensor(loss(examples.one(i))).detach().to("cpu", torch.float64).mean())
        return torch.stack(answers)

    def _in_groups(
        self, directions: Directions, rows: list[int], amounts: list[float], examples: Examples, loss: Loss
    ) -> Tensor:
        """The examples in as few forwards as they agree on."""
        found = torch.empty(len(rows), dtype=torch.float64)
        groups = [torch.arange(len(rows))]
        while groups:
            group = groups.pop()
            named = group.tolist()
            some = (
                examples
                if len(named) == len(rows)
                else Examples(examples.batch([t[group.to(t.device)] for t in examples.leaves]))
            )
            try:
                found[group] = self._forward(
                    directions, [rows[i] for i in named], [amounts[i] for i in named], some, loss
                )
            except _Disagree as parted:
                like_first = parted.numbers == parted.numbers[0]
                groups += [group[like_first], group[~like_first]]
        return found

    def _forward(
        self, directions: Directions, rows: list[int], amounts: list[float], examples: Examples, loss: Loss
    ) -> Tensor:
        """All these examples as one forward."""
        population = self.population
        move = population.move(directions, rows, amounts)

        def example(i: Tensor, *leaves: Tensor) -> Tensor:
            move.member = i
            with Intercept(move), _Agreed(move):
                answer = loss(examples.batch(list(leaves)))
            if not isinstance(answer, Tensor):
                raise TypeError(f"the loss is a {type(answer).__name__}, not a tensor")
            return answer

        index = torch.arange(len(rows), device=population.parameters.device)
        ones = [leaf.unsqueeze(1) for leaf in examples.leaves]  # batches of one
        losses = torch.func.vmap(example, randomness="different")(index, *ones)
        population.unseen -= move.seen
        losses = losses.detach().to("cpu", torch.float64)
        return losses.flatten(1).mean(1) if losses.dim() > 1 else losses

    def _give_up(self, error: Exception) -> None:
        self.together, self.reason = False, in_short(error)
        warnings.warn(
            f"the batch is evaluated one example at a time, because its examples cannot run as one forward with a "
            f"direction each ({self.reason}); everything else stays as it is",
            RuntimeWarning,
            stacklevel=6,
        )


class _Disagree(BaseException):
    """The model asks for a number on which the examples differ; no handler of the user's code is meant."""

    def __init__(self, numbers: Tensor) -> None:
        super().__init__("the examples differ")
        self.numbers = numbers


_NUMBERS = {Tensor.__bool__, Tensor.__int__, Tensor.__float__, Tensor.__index__, Tensor.item}


class _Agreed(TorchFunctionMode):
    """While it is entered, a number that the model takes out of a tensor is the one that all examples have there."""

    def __init__(self, move: Move) -> None:
        super().__init__()
        self.move = move

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _NUMBERS and args[0].numel() == 1:
            numbers: list[Tensor] = []

            def look(shared: tuple[bool], own: Tensor) -> Tensor:
                numbers.append(own.reshape(1 if shared[0] else len(own)))
                return own.new_zeros(len(self.move.rows))

            self.move.lift(look, args[0])
            if bool((numbers[0] != numbers[0][0]).any()):
                raise _Disagree(numbers[0].cpu())
            return func(numbers[0][0])
        return func(*args, **(kwargs or {}))
