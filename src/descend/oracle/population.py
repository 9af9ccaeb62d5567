"""Many members of a population answered by one forward of a model, or member by member where that cannot be.

The members run under vmap with the model intercepted (see `descend.oracle.intercept`). What cannot run so, because it
leaves torch or branches on numbers (a score from another library, a mixture that routes its tokens), is asked one
member at a time; the reason is kept in `reason` and given once as a warning.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from descend.direction import Directions, Scratch
from descend.errors import BudgetExhausted, MissingAnswer
from descend.key import Key
from descend.layout import Parameters
from descend.oracle.core import probes
from descend.oracle.failure import OnFailure
from descend.oracle.intercept import Intercept, Move
from descend.oracle.kept import Kept
from descend.oracle.leaf import Randomness
from descend.oracle.ledger import Ledger

__all__ = ["Population", "in_short", "settled"]

Answer = Callable[[], Any]
"""The user's loss: takes nothing, returns one number or one per example."""


class Population:
    """Asks members around the live parameters.

    Attributes:
        kept: the buffers of the model.
        activations: elements that the largest activation of one forward may have; it decides how many members run at
            once. Default 2^22, which is 16 MB of float32.
        tile: see `Move`.
        together: whether members still run as one forward.
        reason: why they do not, in words, once that was found out.
        unseen: indices of the parameters that no forward has been seen to use.
        escaped: those of them that it uses nevertheless, where that has been found out.
    """

    def __init__(self, parameters: Parameters, model: nn.Module | None = None) -> None:
        self.parameters, self.kept = parameters, Kept(model)
        self.activations, self.tile = 2**22, 2**22
        self.together, self.reason = True, ""
        self.unseen = set(range(len(parameters.tensors)))
        self.escaped: set[int] = set()
        self._widest = 0
        self._suspect: Exception | None = None
        self._scratch = Scratch()

    def applies(self, scales: Tensor) -> bool:
        """Whether these probes can be tried as one forward."""
        return self.together and scales.numel() > 1

    @contextmanager
    def probe(self, directions: Directions, row: int, scale: float) -> Iterator[None]:
        """While it is open, the model runs at x + scale * z_row."""
        move = self.move(directions, [row], [scale])
        with Intercept(move):
            yield
        self._note(move)

    def values(
        self,
        directions: Directions,
        scales: Tensor,
        answer: Answer,
        key: Key,
        ledger: Ledger,
        policy: OnFailure,
        reduce: bool = True,
    ) -> Tensor | None:
        """The losses at x + scales[i, k] * z_i.

        Args:
            scales: (n, m) float64; every zero is one evaluation.
            answer: the loss, () or (b,).
            ledger: is charged for every member before it runs, and told of those that are not finite.
            policy: what stands for those.
            reduce: take the mean over the examples.

        Returns:
            (n, m), or (n, m, b) if not reduced, float64 on the CPU; None if the loss cannot be asked so.
        """
        rows, amounts, back = probes(scales)
        found: list[Tensor] = []
        done = 0
        with self.kept as kept, Randomness(key) as randomness:
            while done < len(rows):
                try:
                    if self._widest == 0:  # its answer is not used, so that no bit hangs on what was asked before
                        self.forward(directions, [int(rows[0])], [0.0], answer)
                        randomness.again()
                        kept.again()
                    some = slice(done, done + (step := self._members(len(rows))))
                    members, moves = rows[some].tolist(), amounts[some].tolist()
                    ledger.charge("value", len(members))
                    if len(members) == 1 and step > 1:  # alone it would see another dropout mask than the others
                        losses = self.forward(directions, members * 2, moves * 2, answer)[:1]
                    else:
                        losses = self.forward(directions, members, moves, answer)
                except (BudgetExhausted, torch.OutOfMemoryError):
                    raise
                except Exception as error:
                    again = self._suspect is None and bool(ledger.counts)
                    self._suspect = error
                    if not again:
                        return None
                    ledger.fail(in_short(error))  # it may have been the loss's own, and gone
                    continue
                finally:
                    randomness.again()
                    kept.again()
                self._suspect = None
                found.append(losses.flatten(1).mean(1) if reduce and losses.dim() > 1 else losses)
                done = some.stop
        return settled(torch.cat(found), ledger, policy)[back]

    def examples(
        self, directions: Directions, scales: Tensor, answer: Answer, key: Key, ledger: Ledger, policy: OnFailure
    ) -> Tensor:
        """The losses of every example, (n, m, b) float64 on the CPU."""
        if self.applies(scales):
            together = self.values(directions, scales, answer, key, ledger, policy, reduce=False)
            if together is not None:
                return _per_example(together, 2)
        found: list[Tensor] = []
        with self.kept as kept, Randomness(key) as randomness:
            for row, line in enumerate(scales.tolist()):
                for scale in line:
                    ledger.charge("value")
                    with self.probe(directions, row, scale):
                        found.append(torch.as_tensor(answer()).detach().to("cpu", torch.float64))
                    randomness.again()
                    kept.again()
        self.give_up()
        stacked = _per_example(torch.stack(found), 1)
        return stacked.view(*scales.shape, -1)

    def finds_escapes(self, value: Callable[[], float]) -> bool:
        """Whether parameters that no function was seen to use are used nevertheless; the loss itself is asked once.

        Args:
            value: asks the loss where the parameters are.
        """
        if not self.unseen:
            return False
        with self.kept as kept:
            at_home = value()
            kept.again()
            if self._changes(self.unseen, at_home, value):  # mostly none does: then one by one is not asked
                kept.again()
                for i in self.unseen:
                    if self._changes({i}, at_home, value):
                        self.escaped.add(i)
                    kept.again()
        self.unseen = set()
        if self.escaped:
            names = ", ".join(self.parameters.layout.names[i] for i in sorted(self.escaped))
            warnings.warn(
                f"the forward uses {names} in a way that cannot be intercepted (NumPy, compiled code), so probes are "
                "written into the parameters, which takes a copy of them; check_forward(model, batch) says more",
                RuntimeWarning,
                stacklevel=6,
            )
        return bool(self.escaped)

    def _changes(self, places: set[int], at_home: float, value: Callable[[], float]) -> bool:
        """Whether the loss is another one when these parameters are moved; they are put back."""
        live = self.parameters.live()
        before = {i: live[i].clone() for i in places}
        try:
            for i in places:
                live[i].mul_(1.125).add_(0.0625)
            return value() != at_home
        finally:
            for i, values in before.items():
                live[i].copy_(values)

    def forward(self, directions: Directions, rows: list[int], amounts: list[float], answer: Answer) -> Tensor:
        """One forward for all of these members: (n,) or (n, b), float64 on the CPU."""
        if len(rows) == 1:
            with self.probe(directions, rows[0], amounts[0]):
                loss = answer()
            return torch.as_tensor(loss).detach().to("cpu", torch.float64)[None]
        move = self.move(directions, rows, amounts)

        def member(i: Tensor) -> Tensor:
            move.member = i
            with Intercept(move):
                loss = answer()
            if not isinstance(loss, Tensor):
                raise TypeError(f"the loss is a {type(loss).__name__}, not a tensor")
            return loss

        index = torch.arange(len(rows), device=self.parameters.device)
        losses = torch.func.vmap(member, randomness="same")(index)
        self._note(move)
        return losses.detach().to("cpu", torch.float64)

    def move(self, directions: Directions, rows: list[int], amounts: list[float]) -> Move:
        """These members, `amounts[i]` along direction `rows[i]`, with what is kept from forward to forward."""
        return Move(self.parameters, directions, rows, amounts, self.tile, self._scratch)

    def _members(self, left: int) -> int:
        """How many members each of the next forwards takes, so that they are of about one size."""
        forwards = -(-left // max(1, self.activations // self._widest))
        return -(-left // forwards)

    def _note(self, move: Move) -> None:
        self.unseen -= move.seen
        self._widest = max(self._widest, move.widest, 1)

    def give_up(self) -> None:
        """One by one the members answered, and twice they did not as one forward: from now on they are asked so."""
        if self._suspect is None:
            return
        self.together, self.reason, self._suspect = False, in_short(self._suspect), None
        warnings.warn(
            f"the population is evaluated member by member, because its members cannot run as one forward "
            f"({self.reason}); everything else stays as it is",
            RuntimeWarning,
            stacklevel=5,
        )


def settled(values: Tensor, ledger: Ledger, policy: OnFailure) -> Tensor:
    """The losses, with what the policy says in the place of those that are not finite."""
    bad = ~values.isfinite()
    if bool(bad.any()):
        for value in values[bad].tolist():
            ledger.fail(f"the objective returned {value}")
        values[bad] = policy.answer(ledger.last_failure, None)
    return values


def _per_example(losses: Tensor, lead: int) -> Tensor:
    if losses.dim() <= lead:
        raise MissingAnswer(
            "a baseline per example needs a loss that returns one number per example, and this one returns a single "
            "number; write reduction='none', or another shaping"
        )
    return losses.flatten(lead)


def in_short(error: Exception) -> str:
    """An exception in one line."""
    return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
