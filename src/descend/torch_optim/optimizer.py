"""Estimators, transforms and a step rule over the live parameters of a model, as a torch.optim.Optimizer.

Where every transform is separable and the step is fixed, the update walks through the parameters block by block and
nothing of size d is made beyond the transforms' own memory. Otherwise the parameters are gathered into one flat
point, one step of `Descent` is made there, and the result is written back.
"""

import math
import os
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import _global_optimizer_post_hooks as _global_post_hooks
from torch.optim.optimizer import _global_optimizer_pre_hooks as _global_pre_hooks

from descend.descent import Descent, DescentState
from descend.direction import Combination
from descend.errors import CompositionError, InvalidValue
from descend.estimate.base import Estimator, Lifted
from descend.estimate.gains import Gains, calibrate
from descend.estimate.random_directions import RandomDirections
from descend.estimate.settings import Pace, Settings
from descend.key import Key, as_key
from descend.layout import Parameters
from descend.oracle import Closure, Ledger, OnFailure, Oracle, Slope, check_answers
from descend.oracle.population import Population
from descend.parallel import Parallel, Shared
from descend.step.fixed import Fixed, Rate
from descend.torch_optim.blocks import Gradients, blocks_of, update_blocks
from descend.torch_optim.groups import (
    Masks,
    Part,
    as_groups,
    calibratable,
    check_group,
    first_rate,
    grown,
    hyperparameters,
    masks_of,
    own_estimator,
    rates,
    split,
    streams,
    stretches,
    with_group,
)
from descend.torch_optim.lifting import lift
from descend.torch_optim.pacing import paceable, paced, settle
from descend.torch_optim.pair import pair_step
from descend.torch_optim.recorder import Recorder
from descend.torch_optim.recording import record
from descend.torch_optim.rounding import Nearest, Rounding, as_rounding
from descend.torch_optim.saving import restore, saved
from descend.torch_optim.steps import about, flat_step, no_closure, over, slope_of
from descend.transform.chain import init_chain

__all__ = ["Optimizer"]


class Optimizer(torch.optim.Optimizer):
    """Estimators, then transforms, then at most one step rule, as a torch optimizer.

    Args:
        params: a module (its parameters with requires_grad, or all of them if none has it), an iterable of tensors
            or of (name, tensor) pairs, or of dicts that are parameter groups. A group may set `lr`, any numeric
            hyperparameter of a separable transform by its name, the `radius` of the estimator, and an `estimator` of
            its own: then autograd answers for the groups that have none.
        parts: in the order of the conversation. Without an estimator gradients come from autograd.
        lr: the learning rate, a number or a schedule from the number of steps taken; torch's lr_scheduler works on
            it. Without it, second-order transforms take steps of length 1. A random-direction estimator of a module,
            alone or before Adam and its kind, settles radius, number of probes and lr in some 20 evaluations at the
            first step and paces lr from then on (see `descend.estimate.settings`); for other points it calibrates
            gains (`descend.estimate.gains`).
        key: randomness; the same key repeats the run. Default: fresh entropy, kept in ``optimizer.key``.
        model: the module that parameter groups belong to, for ``step(loss, batch)``; default `params` if it is one.
        on_failure: what a failed evaluation does; default `Reject()`: the step is skipped, the failure counted in
            ``optimizer.ledger`` and the first one reported as a warning.
        rounding: how steps are written into bfloat16 and float16 parameters: `Nearest()` (default), which loses steps
            below their spacing, `Stochastic()` or `Feedback()`.
        parallel: several processes share the evaluations, see `descend.parallel.Parallel`; default one.

    `step(closure)` takes a closure that returns the loss (a float, NumPy number or tensor) and need not call
    backward. It returns the loss at the point before the step as a 0-d tensor; under a two-sided estimator, which
    never asks there, the mean of the probes around it. Parameters are at the iterate whenever `step` ends, bit for
    bit, also after an exception or an interrupt.

    Raises:
        CompositionError: an estimator after a transform, a step rule that is not last, a part that is none of these.
        MissingAnswer: a part needs what the estimator before it hides or nobody answers.
        InvalidValue: no parameters, the same one twice, several devices, a bad lr, an unknown key in a group.

    >>> model = nn.Linear(2, 1)
    >>> optimizer = Optimizer(model, lr=0.1)
    >>> loss = optimizer.step(lambda: model(torch.ones(4, 2)).square().mean())
    >>> loss.shape
    torch.Size([])
    """

    def __init__(
        self,
        params: nn.Module | Iterable[Any],
        *parts: Part,
        lr: Rate | None = None,
        key: Key | int | None = None,
        model: nn.Module | None = None,
        on_failure: OnFailure | None = None,
        rounding: Rounding = Nearest(),
        parallel: Parallel | None = None,
    ) -> None:
        self.estimators, self.chain, self._rule = split(parts)
        self.model = params if model is None and isinstance(params, nn.Module) else model
        self.key, self.t, self.rejected = as_key(key), 0, 0
        self._is_anykey = key is None  # then a recorded run brings its own
        self.ledger, self.on_failure = Ledger(), on_failure
        self.rounding, self.parallel = as_rounding(rounding), parallel
        self.team = None if parallel is None else parallel.connect()
        self._recorder: Recorder | None = None
        self._residual: Tensor | None = None
        self.gains: Gains | None = None
        self._masks: Masks = ()
        self._schedule = lr if callable(lr) else None
        self.settings: Settings | None = None
        self._pace: Pace | None = None
        free = lr is None and self._rule is None
        self._paces = free and self.model is not None and paceable(self.estimators, self.chain)
        self._calibrates = free and not self._paces and calibratable(self.estimators, self.chain)
        self._states: tuple[Any, ...] | None = None
        self._rule_state: Any = None
        self._own: list[Estimator | None] = []
        self._is_bound = False
        tunable = hyperparameters(self.estimators, self.chain)
        self._tunable = tuple(tunable)
        rate = first_rate(lr, self.chain, self._rule, self._calibrates or self._paces)
        super().__init__(as_groups(params), {"lr": rate, **tunable})
        self._bind()

    def _bind(self) -> None:
        """Everything that follows from the parameter groups: the point, the oracle over it, and how to walk it."""
        params, owners, names = [], [], []
        for i, group in enumerate(self.param_groups):
            params += group["params"]
            owners += [i] * len(group["params"])
            names += group.get("param_names", [f"{i}.{k}" for k in range(len(group["params"]))])
        self.parameters = Parameters(params, names)
        self._blocks = blocks_of(self.parameters, owners)
        self._stretches = stretches(self.parameters, owners)
        before = self._closure.population if "_closure" in self.__dict__ else None
        self._closure = Closure(
            self.parameters, no_closure, model=self.model, on_failure=self.on_failure, ledger=self.ledger
        )
        if before is not None:
            self.population.tile, self.population.activations = before.tile, before.activations
        self._base: Oracle = self._closure if self.team is None else Shared(self._closure, self.team)
        self._walks = all(transform.separable for transform in self.chain) and self._rule is None
        self._chain = tuple(transform.bound(self.parameters.layout) for transform in self.chain)
        self._masks = self._masks or masks_of(self.estimators, self.parameters.live())  # once, where training begins
        self._settings: Any = None
        self._refresh()
        check_answers(method := Descent(*self.chain, self._rule or Fixed(0.0)), method.needs, self._lifted)
        self._is_bound = True

    def _refresh(self) -> None:
        """Follow the param groups: their hyperparameters may have been changed by a scheduler, or by hand."""
        settings = [[group[name] for name in self._tunable] for group in self.param_groups]
        if settings == self._settings:
            return
        self._settings = settings
        self._chains = [with_group(self._chain, group) for group in self.param_groups]
        if not self._walks and any(chain != self._chains[0] for chain in self._chains):
            raise CompositionError(
                "other hyperparameters per parameter group than lr and radius need transforms that act on each "
                f"coordinate alone, and a fixed step; {self!r} has {[*self.chain, self._rule]}"
            )
        self._lifted = lift(self)
        self._pair = None
        plain = self.settings is None and self._walks and not self.chain and len(self.param_groups) == 1
        self._streams = self._walks and streams(self._lifted, self._base, self.parameters)
        if plain and not self._streams and isinstance(self._lifted, Lifted):
            estimator = self._lifted.estimator
            if self._lifted.base is self._closure and isinstance(estimator, RandomDirections):
                self._pair = pair_step(self._closure, estimator)
        rounds = self.rounding.rounds(self.parameters.tensors) and not isinstance(self.rounding, Nearest)
        if rounds and not self._walks:
            raise CompositionError(
                f"{self.rounding!r} rounds steps that go block by block, and {self!r} makes a step of the whole "
                "point; leave out rounding, or use transforms that act on each coordinate alone"
            )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; transforms' memories of the parameters that were there are kept.

        A transform whose state is not one number per parameter (BFGS and its kind) starts anew.

        Raises:
            InvalidValue: the group has an unknown key, no parameters, or parameters that are in another group.
        """
        group = dict(param_group)
        own = own_estimator(group)
        check_group(group, {"params", "param_names", "initial_lr", *self.defaults}, self._schedule)
        super().add_param_group(group)
        self._own.append(own)
        if self._is_bound:
            self._bind()
            if self._states is not None:
                x = self.parameters.gather()
                self._rule_state = self._rule.init(x) if self._rule else None
                fresh = init_chain(self._chain, x)
                self._states = tuple(
                    grown(old, new, self.parameters.size) for old, new in zip(self._states, fresh, strict=True)
                )

    def step(self, closure: Callable[..., Any] | None = None, batch: Any = None) -> Tensor | None:  # type: ignore[override]
        """One step; see the class for what it returns.

        Args:
            closure: returns the loss. Without it the parameters' .grad are used as they are, which only autograd's
                gradients and a fixed step allow; then it returns None. With a batch it is asked as
                ``closure(model, batch)`` and may return one loss per example, (b,), of which the mean counts.
            batch: the examples, in whatever form the loss takes them; for optimizers that were given a module. Tensors
                that the loss keeps are of no use afterwards, as it may run for many members at once.
        """
        self._closure.functional = batch is not None
        if batch is not None:
            closure = over(self.model, closure, batch)
        hooked = (
            _global_pre_hooks or self._optimizer_step_pre_hooks or _global_post_hooks or self._optimizer_step_post_hooks
        )
        if hooked:
            for hook in (*_global_pre_hooks.values(), *self._optimizer_step_pre_hooks.values()):
                hook(self, (closure,), {})
        if torch.is_grad_enabled():
            with torch.no_grad():
                loss = self._step(closure)
        else:
            loss = self._step(closure)
        if hooked:
            for hook in (*_global_post_hooks.values(), *self._optimizer_step_post_hooks.values()):
                hook(self, (closure,), {})
        wide = torch.promote_types(self.parameters.dtype, torch.float32)
        return None if closure is None else torch.scalar_tensor(loss, dtype=wide)

    # hooks run above; torch's profiling wrapper costs a third of a small step
    step.hooked = True  # type: ignore[attr-defined]

    def _step(self, closure: Callable[..., Any] | None) -> float:
        self._closure.closure = closure or no_closure
        key = self.key.fold(self.t)
        if self._schedule is not None:
            for group in self.param_groups:
                group["lr"] = self._schedule(self.t)
        self._rates = rates(self.param_groups)
        self._refresh()
        if self.team is not None:
            self.team.meet(self.t, self.parameters.tensors, about(self))
        if self._states is None:
            self._begin(closure)
        if closure is None:
            if self._lifted is not self._base or self._rule is not None:
                raise InvalidValue(f"{self!r} has to evaluate the loss: write step(closure), which returns it")
            return self._walk(Slope(Gradients(self.parameters)), key)  # type: ignore[arg-type]
        if self._pair is not None and self._recorder is None:
            return self._pair_step(key)
        if not self._walks:
            return flat_step(self)
        if self._lifted is self._base:
            value = self._closure.backward_here(key)
            return self._walk(Slope(Gradients(self.parameters), value), key, failed=not math.isfinite(value))  # type: ignore[arg-type]
        return self._walk(slope_of(self._closure, self._lifted.at(self.t), key, self._streams), key)

    def _pair_step(self, key: Key) -> float:
        """The fast version of the general step below, bit for bit."""
        t, gains, lr = self.t, self.gains, self._rates[0]
        rate = (lambda _: lr) if gains is None else (lambda length: gains.rate(t, length))
        loss, taken = self._pair(key, t, rate)  # type: ignore[misc]
        self.t += 1
        self.rejected += not taken
        return loss

    def _begin(self, closure: Callable[..., Any] | None) -> None:
        """At the first step: the transforms' states, and the gains where nobody set a learning rate."""
        self._residual = self.rounding.init(self.parameters.tensors)
        if self._paces and closure is not None and self.settings is None:
            self.settings, self._pace = settle(self)
            self._settings = None
            self._refresh()
        if self._walks and not self.chain and not self._calibrates:
            self._states = ()  # nothing looks at the point, so it is not gathered
            return
        home = self.parameters.gather()
        if self._calibrates and closure is not None:
            try:
                estimator: Any = self.estimators[0]
                self.gains = calibrate(self._base, estimator, home, self.key.fold("gains"))
            finally:
                self._closure.restore(home)
            self._settings = None
            self._refresh()
        self._states = init_chain(self._chain, home.to(self.rounding.working(home.dtype)))
        self._rule_state = self._rule.init(home) if self._rule else None

    def _walk(self, slope: Slope, key: Key, failed: bool = False) -> float:
        """Update block by block, unless the gradient failed or is not finite."""
        self.t += 1
        if failed or not slope.is_finite():
            self.rejected += 1
            if self._recorder is not None:
                self._recorder.rejected()
            return slope.loss
        per_group, gradient = self._rates, slope.gradient
        if self.settings is not None:
            rate = paced(self, slope, key)
            per_group = [rate for _ in per_group]
            if not self.chain and isinstance(gradient, Combination):  # one number less to be recorded
                gradient, per_group = gradient.scaled(rate), [1.0 for _ in per_group]
        if self.gains is not None and isinstance(slope.gradient, Combination):
            per_group = [self.gains.rate(self.t - 1, slope.gradient.length()) for _ in per_group]
        self._states = update_blocks(
            self.parameters,
            self._blocks,
            self._chains,
            per_group,
            gradient,
            self._states or (),
            self._lifted,
            key,
            slope.value,
            self.rounding,
            self._residual,
            self.t - 1,
        )
        if self._recorder is not None and isinstance(gradient, Combination):
            self._recorder.taken(per_group, [weights for weights, _ in gradient.terms])
        return slope.loss

    def record(
        self,
        path: str | os.PathLike[str],
        *,
        snapshot_every: int | None = None,
        fsync: bool = False,
    ) -> Recorder:
        """Write every step to a file as it is taken, or resume the run that is in it: see `descend.torch_optim.record`.

        The file holds the weights of the directions, 12 bytes for one probe a step, and `replay` makes the trained
        parameters of the base model with it. If the process is killed, the same call goes on where the file ends.
        """
        self._recorder = None
        self._recorder = record(self, path, snapshot_every=snapshot_every, fsync=fsync, adopt_key=self._is_anykey)
        return self._recorder

    def standing(self) -> DescentState:
        """Where the descent stands, as `Descent` would say it, for what reads transforms' memories: see `averaged`."""
        x = self.parameters.gather()
        states = init_chain(self._chain, x) if self._states is None else self._states
        return DescentState(x, math.nan, math.nan, self.t, self.rejected, self.key, states, self._rule_state)

    def state_dict(self) -> dict[str, Any]:
        """The state in torch's layout, loadable with ``torch.load(weights_only=True)``.

        Memory with one number per parameter stands under each parameter, shaped like it; all the rest (step count, key,
        evaluation counts, matrices) under the first parameter's "descend".
        """
        return saved(self, super().state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a saved state; parameters themselves are not part of it, as in torch.

        Raises:
            StateMismatch: it was saved by other parts, groups or parameter shapes.
        """
        restore(self, state_dict)

    @property
    def population(self) -> Population:
        """How forwards are perturbed: set its `tile` of a weight, or its `activations` of one forward of many members.

        Both are numbers of elements, see `descend.oracle.population.Population`.
        """
        return self._closure.population

    @property
    def parts(self) -> tuple[Part, ...]:
        """Estimators, transforms and the step rule, in order."""
        return (*self.estimators, *self.chain, *([self._rule] if self._rule else []))

    def __repr__(self) -> str:
        return f"Optimizer({self.parameters.size} parameters, {', '.join(map(repr, self.parts))})"

    def __getstate__(self) -> dict[str, Any]:
        derived = ("parameters", "_closure", "_base", "_lifted", "_blocks", "_pair")
        alone = {"parallel": None, "team": None, "_recorder": None}  # it is loaded without the others, and the file
        return {name: value for name, value in self.__dict__.items() if name not in derived} | alone

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._is_bound = False
        self._bind()
