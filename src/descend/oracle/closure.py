"""The torch.optim closure as an oracle: it takes nothing, and returns the loss of the live parameters.

Asking at a point writes it into the parameters; `restore` puts them back bit for bit. Under an estimator no evaluation
builds a graph, and a closure that calls ``loss.backward()`` itself finds that call silenced.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

from descend.direction import BLOCK, Combination, Dense, Directions
from descend.direction.pieces import Pieces
from descend.errors import MissingAnswer
from descend.key import Key
from descend.layout import Parameters
from descend.oracle.apart import Apart
from descend.oracle.core import Asks, Slope
from descend.oracle.examples import Over
from descend.oracle.failure import OnFailure, derive, evaluate
from descend.oracle.leaf import Leaf, Randomness, with_randomness
from descend.oracle.ledger import Ledger
from descend.oracle.population import Population
from descend.oracle.scalar import as_float

__all__ = ["Closure"]


_NO_CONTEXT = nullcontext()


class _NoBackward(TorchFunctionMode):
    """While it is on, Tensor.backward does nothing: a probe wants the loss, not its graph."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.backward or func is torch.autograd.backward:
            return None
        return func(*args, **(kwargs or {}))


class Closure(Leaf):
    """Answers questions about a closure over live parameters.

    Args:
        parameters: the point.
        closure: takes nothing and returns the loss (a float, NumPy number or one-element tensor). It may call
            ``loss.backward()``, and it may take a `backward` flag, which probes set to False.
        model: whose buffers (statistics of a batch norm) probes leave as they were; None if there is none.
        on_failure, ledger: as in `Function`.
    """

    answers = Asks.VALUE | Asks.VALUES | Asks.GRADIENT | Asks.JVP | Asks.HVP | Asks.EXAMPLES
    varies = answers  # a closure draws its own minibatches

    def __init__(
        self,
        parameters: Parameters,
        closure: Callable[..., Any],
        *,
        model: nn.Module | None = None,
        on_failure: OnFailure | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__(ledger, on_failure)
        self.parameters = parameters
        self.layout = parameters.layout
        self.closure = closure
        self.silence = self.functional = False
        self.population = Population(parameters, model)
        self._apart = Apart(self.population, model)

        # functional: whether the closure is a loss of a model and a batch, which may be asked for many members at once
        # even where the directions are dense; a closure without arguments may do anything, and be surprised

    def __repr__(self) -> str:
        return f"Closure({getattr(self.closure, '__name__', type(self.closure).__name__)})"

    def restore(self, home: Tensor) -> None:
        """Write `home` back into the parameters, bit for bit, even if that is interrupted once."""
        try:
            self.parameters.scatter(home)
        except BaseException:  # a second interrupt, in the middle of putting things back
            self.parameters.scatter(home)
            raise

    def value(self, x: Tensor, key: Key) -> float:
        self.parameters.scatter(x)
        return self.value_here(key)

    def value_here(self, key: Key) -> float:
        """The loss of the parameters as they are."""
        with Randomness(key):
            return evaluate(self.loss_here, key, self.ledger, self.on_failure)

    def along(self, x: Tensor, directions: Directions, scales: Tensor, key: Key) -> Tensor:
        """As `Oracle.along`; a point on the meta device, which has a size and no numbers, means the live parameters.

        Then they are not written to either: the forward is intercepted, for many members at once where it can be.
        """
        if not x.is_meta:
            return self._moved(x, directions, scales, key)
        if not self.population.escaped:
            values = self._intercepted(directions, scales, key)
            if not self.population.finds_escapes(lambda: self.value_here(key)):
                return values
        home = self.parameters.gather()
        try:
            return self._moved(home, directions, scales, key)
        finally:
            self.restore(home)

    def _moved(self, x: Tensor, directions: Directions, scales: Tensor, key: Key) -> Tensor:
        """By writing each probe into the parameters."""
        if directions.count * x.numel() <= BLOCK and not isinstance(directions, Dense):
            directions = Dense(directions.dense(x))
        alone = self.parameters.alone()
        whole = alone is not None and alone.dtype == x.dtype
        # where a probe is made: in the parameter itself if it is the whole point, else in a scratch of the point's size
        work = alone if whole else torch.empty_like(x) if x.numel() <= BLOCK else x

        def ask(row: int, scale: float) -> float:
            self._move(x, directions, row, scale, work)  # pyright: ignore[reportArgumentType]  # None is not whole
            return evaluate(self.loss_here, key, self.ledger, self.on_failure)

        return self._each(scales, key, ask)

    def _intercepted(self, directions: Directions, scales: Tensor, key: Key) -> Tensor:
        """By moving the parameters within the forward: all probes at once, or one at a time."""
        population = self.population
        if self._goes_together(directions, scales):
            values = population.values(directions, scales, self._answer, key, self.ledger, self.on_failure)
            if values is not None:
                return values

        def ask(row: int, scale: float) -> float:
            # a scale of zero is intercepted too, so that every forward takes the same way
            with population.probe(directions, row, scale):
                return evaluate(self.loss_here, key, self.ledger, self.on_failure)

        failures = self.ledger.failures
        values = self._each(scales, key, ask)
        if self.ledger.failures == failures:
            population.give_up()
        return values

    def _goes_together(self, directions: Directions, scales: Tensor) -> bool:
        """Whether probes are tried as one forward: their directions act on activations, or the loss is functional."""
        wanted = directions.acts or self.functional
        return wanted and self.population.applies(scales) and self.on_failure.attempts == 1

    def examples(self, x: Tensor, directions: Directions, scales: Tensor, key: Key) -> Tensor:
        if not x.is_meta:
            raise MissingAnswer(f"{self!r} answers losses of examples for the live parameters only")
        return self.population.examples(directions, scales, self._answer, key, self.ledger, self.on_failure)

    def apart(self, x: Tensor, directions: Directions, scales: Tensor, key: Key) -> Tensor:
        if not x.is_meta:
            raise MissingAnswer(f"{self!r} answers losses of examples for the live parameters only")
        over = self._over()
        return self._apart.losses(
            directions, scales, over.batch, lambda some: over.loss(over.model, some), key, self.ledger, self.on_failure
        )

    @property
    def batch(self) -> Any:
        return self._closure.batch if isinstance(self._closure, Over) else None

    def _over(self) -> Over:
        if not isinstance(self._closure, Over):
            raise MissingAnswer(
                f"{self!r} knows no batch, which is what examples are taken from; write step(loss, batch) with "
                "loss(model, batch)"
            )
        return self._closure

    @contextmanager
    def over(self, batch: Any) -> Iterator[None]:
        over, before = self._over(), self._over().batch
        over.batch = batch
        try:
            yield
        finally:
            over.batch = before

    def _answer(self) -> Any:
        """What the closure returns, unreduced and without a graph."""
        with torch.no_grad(), _NoBackward() if self.silence else _NO_CONTEXT:
            return self._raw(False)

    def _each(self, scales: Tensor, key: Key, ask: Callable[[int, float], float]) -> Tensor:
        """ask(row, scale) for every entry, the centre only once, all under the same randomness."""
        centre: float | None = None
        answers = []
        with self.population.kept as kept, Randomness(key) as randomness:
            for row, line in enumerate(scales.tolist()):
                values = []
                for scale in line:
                    if scale != 0.0 or centre is None:
                        value = ask(row, scale)
                        randomness.again()
                        kept.again()
                    else:
                        value = centre
                    if scale == 0.0:
                        centre = value
                    values.append(value)
                answers.append(values)
        return torch.tensor(answers, dtype=torch.float64)

    def _move(self, x: Tensor, directions: Directions, row: int, scale: float, work: Tensor) -> None:
        """Put the parameters at x + scale * z_row."""
        if scale == 0.0:
            self.parameters.scatter(x)
        elif x.numel() <= BLOCK:
            directions.point(x, row, scale, work)
            if work is not self.parameters.alone():
                self.parameters.scatter(work)
        else:  # no second copy of the parameters: each is perturbed where it lies
            self.parameters.scatter(x)
            self._perturb_in_place(directions, row, scale)

    def _perturb_in_place(self, directions: Directions, row: int, scale: float) -> None:
        for p, start in zip(self.parameters.live(), self.parameters.layout.offsets, strict=True):
            flat = p.view(-1) if p.is_contiguous() else p.reshape(-1)
            amount = torch.tensor([scale], dtype=p.dtype, device=p.device)
            for low in range(0, flat.numel(), BLOCK):
                directions.perturb(flat[None, low : low + BLOCK], [row], amount, start + low)
            if not p.is_contiguous():
                p.copy_(flat.view(p.shape))

    def loss_here(self, key: Key) -> float:
        """The closure's loss where the parameters are, without a graph; uncounted, `value_here` is the question."""
        with _NO_CONTEXT if not torch.is_grad_enabled() else torch.no_grad():
            if self.silence:
                with _NoBackward():
                    return as_float(self._call(False))
            try:
                return as_float(self._call(False))
            except RuntimeError as error:
                if "does not require grad" not in str(error):
                    raise
                self.silence = True  # the closure calls backward itself: from now on that call is silenced
                self.ledger.charge("value")
                with _NoBackward():
                    return as_float(self._call(False))

    @property
    def closure(self) -> Callable[..., Any]:
        """What is asked; set a new one at any time."""
        return self._closure

    @closure.setter
    def closure(self, closure: Callable[..., Any]) -> None:
        self._closure, self._flag = closure, _takes_flag(closure)

    def _raw(self, backward: bool) -> Any:
        """What the closure returns, unreduced."""
        return self._closure(backward) if self._flag else self._closure()

    def _call(self, backward: bool) -> Any:
        loss = self._raw(backward)
        # losses of examples: their mean is what is minimized
        several = self.functional and isinstance(loss, Tensor) and loss.dim() == 1
        return loss.double().mean() if several else loss

    def gradient(self, x: Tensor, key: Key) -> Slope:
        return self.gradient_outside(x, (), key)

    def gradient_outside(self, x: Tensor, stretches: Sequence[tuple[int, int]], key: Key) -> Slope:
        """As `Oracle.gradient_outside`; no graph is built for the parameters in the stretches.

        A point on the meta device means the live parameters, and the gradient is then held in their .grad.
        """
        if not x.is_meta:
            self.parameters.scatter(x)
        layout = self.parameters.layout
        places = zip(self.parameters.tensors, layout.offsets, layout.sizes, strict=True)
        inside = [p for p, at, n in places if any(low <= at and at + n <= high for low, high in stretches)]
        frozen = [p for p in inside if p.requires_grad]
        try:
            for p in frozen:
                p.requires_grad_(False)
            value = self.backward_here(key)
        finally:
            for p in frozen:
                p.requires_grad_(True)
        if not x.is_meta:
            gradient = self.parameters.gather_gradients()
            # what a failed backward left behind is no gradient, whatever it is
            return Slope(gradient if math.isfinite(value) else gradient.fill_(math.nan), value)
        held = Pieces(tuple(p.grad for p in self.parameters.tensors), layout)
        weight = 1.0 if math.isfinite(value) and held.is_finite() else math.nan
        return Slope(Combination((([weight], held),), layout.size), value)

    def backward_here(self, key: Key) -> float:
        """Fill the parameters' .grad by autograd where they are, and return the loss.

        A closure that called backward itself has done it already; one that returned a loss has it called here. The
        answer is NaN where the evaluation failed, under a penalty too: what is left in .grad then is no gradient.
        """
        finite = False

        def ask(k: Key) -> float:
            nonlocal finite
            for p in self.parameters.tensors:
                p.grad = None
            with torch.enable_grad():
                loss = with_randomness(k, lambda: self._call(True))
                if all(p.grad is None for p in self.parameters.tensors):
                    if isinstance(loss, Tensor) and loss.requires_grad:
                        loss.backward()
                    elif math.isfinite(as_float(loss)):
                        raise _without_graph(loss, "GRADIENT")
            finite = math.isfinite(as_float(loss))
            return as_float(loss)

        value = evaluate(ask, key, self.ledger, self.on_failure, "gradient")
        return value if finite else math.nan

    def jvp(self, x: Tensor, directions: Directions, key: Key) -> Tensor:
        def ask(k: Key) -> Tensor:
            answers = []
            for row in range(directions.count):
                self.parameters.scatter(x)
                tangent = directions.tile(row, row + 1, 0, x.numel(), x)[0]
                answers.append(with_randomness(k, lambda t=tangent: self._tangent_of_loss(x, t)))
            return torch.tensor(answers, dtype=torch.float64)

        nothing = torch.empty(directions.count, dtype=torch.float64)
        return derive(ask, nothing, key, self.ledger, self.on_failure, "jvp", directions.count)

    def _tangent_of_loss(self, x: Tensor, tangent: Tensor) -> float:
        """Forward-mode derivative: copying a dual tensor into a parameter makes it dual until the level closes."""
        unflatten = self.parameters.layout.unflatten
        with torch.no_grad(), forward_ad.dual_level(), _NoBackward() if self.silence else _NO_CONTEXT:
            for p, value, change in zip(self.parameters.tensors, unflatten(x), unflatten(tangent), strict=True):
                p.copy_(forward_ad.make_dual(value, change))
            loss = self._call(False)
            if not isinstance(loss, Tensor):
                raise _without_graph(loss, "JVP")
            derivative = forward_ad.unpack_dual(loss).tangent
        return 0.0 if derivative is None else as_float(derivative)

    def hvp(self, x: Tensor, direction: Tensor, key: Key) -> Tensor:
        self.parameters.scatter(x)
        return derive(lambda k: self._product(direction, k), direction, key, self.ledger, self.on_failure, "hvp")

    def _product(self, direction: Tensor, key: Key) -> Tensor:
        """The Hessian of the loss where the parameters are, times a direction."""
        tensors = self.parameters.tensors
        with torch.enable_grad(), _NoBackward() if self.silence else _NO_CONTEXT:
            loss = with_randomness(key, lambda: self._call(False))
            if not isinstance(loss, Tensor) or not loss.requires_grad:
                raise _without_graph(loss, "HVP")
            gradients = torch.autograd.grad(loss.reshape(()), tensors, create_graph=True, allow_unused=True)
        pieces = self.parameters.layout.unflatten(direction)
        pairs = [(g, v) for g, v in zip(gradients, pieces, strict=True) if g is not None and g.requires_grad]
        out = torch.zeros_like(direction)
        if pairs:
            products = torch.autograd.grad([g for g, _ in pairs], tensors, [v for _, v in pairs], allow_unused=True)
            for view, product in zip(self.parameters.layout.unflatten(out), products, strict=True):
                if product is not None:
                    view.copy_(product)
        return out


def _without_graph(loss: Any, kind: str) -> MissingAnswer:
    return MissingAnswer(
        f"autograd was asked for {kind}, but the closure returned a {type(loss).__name__} without a graph; "
        "return the loss as a tensor of parameters with requires_grad, or let values do: put SPSA() first"
    )


def _takes_flag(closure: Callable[..., Any]) -> bool:
    """Whether the closure has an argument `backward`; inspecting a function would cost as much as a loss."""
    code = getattr(closure, "__code__", None)
    if code is not None:
        return "backward" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    try:
        return "backward" in inspect.signature(closure).parameters
    except (TypeError, ValueError):
        return False
