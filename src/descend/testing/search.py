"""What every method that asks and is told promises, beside what every method does (`descend.testing.method`).

Each contract raises an AssertionError with a sentence if the promise is broken.
"""

import math
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import torch
from torch import Tensor

from descend.key import Key
from descend.population.base import AskTell
from descend.space.domain import Domain
from descend.testing import method as of_methods
from descend.testing.objectives import ellipsoid

__all__ = [
    "CONTRACTS",
    "asks_inside",
    "keeps_the_dtype",
    "leaves_what_it_is_given",
    "looks_at_ranks_only",
    "loses_no_answer",
    "serves_unequal_workers",
    "survives_failed_generations",
    "takes_answers_in_any_order",
    "welcomes_points_it_never_asked_for",
]

_D = 5


def _start(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.linspace(11.0, 19.0, _D, dtype=dtype)


def _box(dtype: torch.dtype = torch.float64) -> Domain:
    return Domain.box(torch.full((_D,), 10.0, dtype=dtype), torch.full((_D,), 20.0, dtype=dtype))


def _bowl(xs: Tensor) -> Tensor:
    """An uneven bowl (n,) with its minimum 0 at (13, ..., 13)."""
    return ellipsoid(xs.double().cpu() - 12)


def _run(
    method: AskTell[Any], f: Callable[[Tensor], Tensor] = _bowl, turns: int = 20, domain: Domain | None = None
) -> tuple[Any, list[Tensor]]:
    """The state after some generations, and what was asked in each."""
    domain = _box() if domain is None else domain
    state, asked = method.init(_start(domain.lower.dtype), Key(3), domain), []
    for _ in range(turns):
        state, xs = method.ask(state)
        if not len(xs):
            break
        asked.append(xs.clone())
        state = method.tell(state, xs, f(xs))
    return state, asked


def asks_inside(method: AskTell[Any]) -> None:
    """Every point that it asks about lies in the domain, though the minimum lies outside of it."""
    _, asked = _run(method, lambda xs: (xs - 9.0).square().sum(1).double())
    box = _box()
    for t, xs in enumerate(asked):
        assert bool(box.contains(xs).all()), f"{method!r} asks outside of its domain in generation {t}: {xs}"
        assert xs.shape[1:] == (_D,), f"{method!r} asks about points of shape {tuple(xs.shape)}"


def keeps_the_dtype(method: AskTell[Any]) -> None:
    """Points have the dtype of the first one."""
    for dtype in (torch.float32, torch.float64):
        state, asked = _run(method, turns=3, domain=_box(dtype))
        kinds = {xs.dtype for xs in asked} | {state.x.dtype}
        assert kinds == {dtype}, f"{method!r} makes {kinds} of {dtype}"


def leaves_what_it_is_given(method: AskTell[Any]) -> None:
    """The first point, told points and their losses are not written to."""
    x, box = _start(), _box()
    state = method.init(x, Key(3), box)
    for _ in range(4):
        state, xs = method.ask(state)
        losses = _bowl(xs)
        before = x.clone(), xs.clone(), losses.clone()
        state = method.tell(state, xs, losses)
        same = all(torch.equal(a, b) for a, b in zip(before, (x, xs, losses), strict=True))
        assert same, f"{method!r} writes to what it is given"


def takes_answers_in_any_order(method: AskTell[Any]) -> None:
    """The answers of a generation, in another order and with their tickets, lead to the same points."""
    states = [method.init(_start(), Key(3), _box()) for _ in range(2)]
    for t in range(5):
        asked = []
        for i in range(2):
            states[i], xs = method.ask(states[i])
            asked.append(xs)
            order = torch.arange(len(xs)) if i == 0 else Key(t).permutation(len(xs))
            tickets = torch.arange(states[i].asked - len(xs), states[i].asked)
            states[i] = method.tell(states[i], xs[order], _bowl(xs)[order], tickets[order])
        near = torch.allclose(asked[0], asked[1], rtol=1e-9, atol=0.0)
        assert near, f"{method!r} goes another way in generation {t} if it is answered in another order"


def loses_no_answer(method: AskTell[Any]) -> None:
    """Three unequal workers, answers one or two at a time: the best of them is what the method reports."""
    state, waiting, told = method.init(_start(), Key(3), _box()), [], []
    for turn in range(120):
        if len(waiting) < 3:
            first = state.asked
            state, xs = method.ask(state, 3 - len(waiting))
            waiting += [(first + i, x.clone()) for i, x in enumerate(xs)]
        assert waiting, f"{method!r} neither asks nor waits for anything after {turn} turns"
        some = [waiting.pop(int(Key(turn).integers(0, len(waiting), 1)))]
        some += [waiting.pop()] if turn % 5 == 0 and waiting else []
        xs, losses = torch.stack([x for _, x in some]), _bowl(torch.stack([x for _, x in some]))
        state = method.tell(state, xs, losses, torch.tensor([ticket for ticket, _ in some]))
        told += losses.tolist()
        if state.done:
            break
    assert state.value == min(told), f"{method!r} reports {state.value}, and was told {min(told)}"


def serves_unequal_workers(method: AskTell[Any]) -> None:
    """Five workers, the slowest 23 times as slow as the quickest, each given a new question when it has answered one.

    In 900 evaluations it comes at least as near to the minimum as by generations in 300, and every question is inside
    the domain. Answers are told as many at once as it likes.
    """
    by_generations = method.init(_start(), Key(3), _box())
    while by_generations.asked < 300 and not by_generations.done:
        by_generations, xs = method.ask(by_generations)
        by_generations = method.tell(by_generations, xs, _bowl(xs)) if len(xs) else by_generations
    least, reached = by_generations.value, _worked(method, 3 * by_generations.asked)
    assert reached <= max(least, 1e-9) or method.recommends, (
        f"{method!r} comes to {reached:.3g} with unequal workers, to {least:.3g} in a third of the evaluations by "
        "generations"
    )


def _worked(method: AskTell[Any], evaluations: int) -> float:
    """The least loss that five unequal workers find."""
    pace, state, box = (1.0, 0.3, 7.0, 1.1, 2.0), method.init(_start(), Key(3), _box()), _box()
    busy: list[tuple[float, int, int, Tensor]] = []
    idle, told, now, least = list(range(5)), [], 0.0, math.inf
    for _ in range(evaluations):
        while idle and not state.done:
            ticket = state.asked
            state, xs = method.ask(state, 1)
            assert bool(box.contains(xs).all()), f"{method!r} asks outside of its domain, or NaN: {xs}"
            if not len(xs):
                break  # it waits for answers
            heappush(busy, (now + pace[idle[-1]], idle.pop(), ticket, xs[0]))
        if state.done or not busy:
            break
        now, worker, ticket, x = heappop(busy)
        idle.append(worker)
        told.append((x, ticket))
        if not busy or len(told) >= method.batch(state):
            xs, tickets = torch.stack([x for x, _ in told]), torch.tensor([ticket for _, ticket in told])
            losses, told = _bowl(xs), []
            least = min(least, float(losses.min()))
            state = method.tell(state, xs, losses, tickets)
    return least


def welcomes_points_it_never_asked_for(method: AskTell[Any]) -> None:
    """A better point that somebody else found becomes the best one, and the search goes on.

    One that knows of noise need not believe a single value.
    """
    state, _ = _run(method, turns=3)
    found = torch.full((1, _D), 13.0, dtype=torch.float64)
    found[0, 0] += 1e-3
    state = method.tell(state, found, _bowl(found), torch.tensor([-1]))
    told = torch.equal(state.x, found[0]) and state.value == float(_bowl(found)[0])
    assert told or method.recommends, f"{method!r} was told of {found[0]}, and its best is {state.value} at {state.x}"
    for _ in range(3):
        state, xs = method.ask(state)
        state = method.tell(state, xs, _bowl(xs)) if len(xs) else state
    assert bool(state.x.isfinite().all()), f"{method!r} does not stay finite after a point that it never asked for"


def survives_failed_generations(method: AskTell[Any]) -> None:
    """Generations that fail wholly or in part, or are all alike: its points stay finite and inside."""

    def always(value: float) -> Callable[[Tensor], Tensor]:
        return lambda xs: torch.full((len(xs),), value, dtype=torch.float64)

    def sometimes(xs: Tensor) -> Tensor:
        losses = _bowl(xs)
        losses[(xs[:, 0] * 1e6).long() % 3 == 0] = math.nan
        return losses

    for f in (always(math.nan), always(math.inf), always(-math.inf), always(3.0), sometimes):
        _, asked = _run(method, f, turns=12)
        assert all(bool(_box().contains(xs).all()) for xs in asked), f"{method!r} leaves its domain after failures"
    state, _ = _run(method, always(math.nan), turns=3)
    assert math.isnan(state.value), f"{method!r} takes a failure for the value {state.value}"
    assert state.rejected, f"{method!r} does not count a generation that failed"


def looks_at_ranks_only(method: AskTell[Any]) -> None:
    """Any increasing function of the losses leads to the same points bit for bit.

    For methods that only compare, and where there are no bounds: a penalty on leaving them has the size of losses.
    """
    free = Domain.free(_start())
    _, plain = _run(method, turns=8, domain=free)
    _, bent = _run(method, lambda xs: (_bowl(xs) / 1e3).sqrt() - 7.0, turns=8, domain=free)
    same = all(torch.equal(a, b) for a, b in zip(plain, bent, strict=True))
    assert same, f"{method!r} looks at more than the order of the losses"


CONTRACTS: tuple[Callable[..., None], ...] = (
    asks_inside,
    keeps_the_dtype,
    leaves_what_it_is_given,
    takes_answers_in_any_order,
    loses_no_answer,
    serves_unequal_workers,
    welcomes_points_it_never_asked_for,
    survives_failed_generations,
    of_methods.repeats_under_a_key,
    of_methods.resumes_at_every_step,
    of_methods.ignores_where_the_origin_is,
    of_methods.refuses_what_is_no_point,
    of_methods.reports_what_it_evaluated,
)
"""What holds for every method that asks and is told; `looks_at_ranks_only` for those that only compare."""
